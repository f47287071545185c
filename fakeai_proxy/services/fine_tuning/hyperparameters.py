"""What "auto" comes to: numbers from the size of the training data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

#: cookbook.openai.com/examples/chat_finetuning_data_prep: three epochs, more of few examples and
#: fewer of many, so that about 100 to 25,000 examples are seen.
_EPOCHS, _EPOCHS_MAX = 3, 25
_SEEN_MIN, _SEEN_MAX = 100, 25_000
#: The vendor's guide of 2024: "~0.2 % of the number of examples, capped at 256".
_BATCH_SHARE, _BATCH_MAX = 0.002, 256
#: Seen in finished jobs: 1.8 for the small models of a family, 2 for others; 0.1 of DPO's own.
_RATE, _SMALL_RATE = 2.0, 1.8
_SMALL = ("-mini", "-nano")
_BETA = 0.1


def epochs_for(examples: int) -> int:
    if examples * _EPOCHS < _SEEN_MIN:
        return min(_EPOCHS_MAX, max(_EPOCHS, _SEEN_MIN // max(1, examples)))
    if examples * _EPOCHS > _SEEN_MAX:
        return max(1, _SEEN_MAX // examples)
    return _EPOCHS


def batch_for(examples: int) -> int:
    return max(1, min(_BATCH_MAX, round(examples * _BATCH_SHARE)))


def rate_for(model: str) -> float:
    return _SMALL_RATE if any(word in model for word in _SMALL) else _RATE


_AUTO: Mapping[str, Callable[[int, str], Any]] = {
    "n_epochs": lambda examples, model: epochs_for(examples),
    "batch_size": lambda examples, model: batch_for(examples),
    "learning_rate_multiplier": lambda examples, model: rate_for(model),
    "beta": lambda examples, model: _BETA,
    "compute_multiplier": lambda examples, model: 1.0,
    # About ten evaluations an epoch, of a few samples each.
    "eval_interval": lambda examples, model: max(1, examples // batch_for(examples) // 10),
    "eval_samples": lambda examples, model: 2,
}


def resolved(given: Mapping[str, Any], examples: int, model: str) -> dict[str, Any]:
    """Without "auto"; an effort of `default` is medium."""
    made = {
        name: _AUTO[name](examples, model) if value == "auto" else value
        for name, value in given.items()
    }
    if made.get("reasoning_effort") == "default":
        made["reasoning_effort"] = "medium"
    # More examples in a step than there are make no step of their own.
    made["batch_size"] = min(made["batch_size"], max(1, examples))
    return made

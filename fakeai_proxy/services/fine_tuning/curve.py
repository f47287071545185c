"""How a training goes: loss and accuracy by step. A pure function of a seed, the data and the settings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from fakeai_proxy.dice import Dice

#: Of cross entropy in nats per token. What chat models begin with on data of others, and what is left
#: of it; ranges of published runs (cookbook.openai.com/examples/how_to_finetune_chat_models: from 1.5
#: to below 0.4), illustrative.
_START = (1.2, 2.2)
_FLOOR = (0.18, 0.42)
#: The loss of a preference begins at that of a fair coin, ln 2 (arXiv:2305.18290).
_COIN = math.log(2)
#: How fast it falls: after so many epochs half of the way is done, at the usual learning rate.
_HALF_EPOCHS = 0.45
_RATE = 2.0
#: By how much unseen text is harder, to begin with and with every epoch: overfitting.
_GAP, _GAP_PER_EPOCH = 0.06, 0.035
#: Deviation of one example's loss, relative to the mean of its batch.
_NOISE = 0.22
#: Lines of a result file; longer trainings have a line for every so many steps.
LINES_MAX = 100_000

Metrics = dict[str, float]


@dataclass(frozen=True)
class Curve:
    """`key` keys the dice: the seed and the data. `steps` are those of the whole training."""

    method: str
    key: str
    steps: int
    epochs: int
    batch_size: int
    rate: float
    has_validation: bool

    @classmethod
    def of(cls, training: Mapping[str, Any]) -> Curve:
        return cls(**{name: training[name] for name in cls.__dataclass_fields__})

    @property
    def stride(self) -> int:
        """Every how many steps there is a line."""
        return -(-self.steps // LINES_MAX)

    def epoch_ends(self) -> list[int]:
        """The last steps of the epochs, without repetitions."""
        ends = {max(1, self.steps * epoch // self.epochs) for epoch in range(1, self.epochs + 1)}
        return sorted(ends)

    def at(self, dice: Dice, step: int, full: bool = False) -> Metrics:
        """What is measured at a step, from 1. `full`: over the whole validation file, too."""
        rng = dice.roll(self.key, "fine-tuning", step)
        ground = dice.roll(self.key, "fine-tuning")
        return _METHODS[self.method](self, ground, rng, step, full)

    def lines(self, dice: Dice) -> Iterator[tuple[int, Metrics]]:
        ends = set(self.epoch_ends())
        for step in range(1, self.steps + 1):
            if step % self.stride == 0 or step == 1 or step in ends:
                yield step, self.at(dice, step, step in ends and self.has_validation)

    def _progress(self, step: int) -> tuple[float, float]:
        """(share of the way still to go, epochs done)."""
        epochs = self.epochs * (step - 1) / max(1, self.steps)
        speed = (self.rate / _RATE) ** 0.5
        return 1 / (1 + epochs * speed / _HALF_EPOCHS), epochs

    def _noisy(self, rng: Random, value: float) -> float:
        return value * math.exp(rng.gauss(0.0, _NOISE / math.sqrt(self.batch_size)))

    def _harder(self, value: float, epochs: float) -> float:
        return value * (1 + _GAP + _GAP_PER_EPOCH * epochs)


def _accuracy(loss: float) -> float:
    """Of tokens that are the likeliest at that loss; from pairs in published result files."""
    return round(min(0.99999, math.exp(-0.42 * loss)), 5)


def _supervised(curve: Curve, ground: Random, rng: Random, step: int, full: bool) -> Metrics:
    start, floor = ground.uniform(*_START), ground.uniform(*_FLOOR)
    left, epochs = curve._progress(step)
    mean = floor + (start - floor) * left
    train = curve._noisy(rng, mean)
    made = {"train_loss": round(train, 5), "train_mean_token_accuracy": _accuracy(train)}
    if curve.has_validation:
        whole = curve._harder(mean, epochs)
        valid = max(curve._noisy(rng, whole), train * (1 + _GAP / 2))
        made |= {"valid_loss": round(valid, 5), "valid_mean_token_accuracy": _accuracy(valid)}
        if full:
            made |= {
                "full_valid_loss": round(whole, 5),
                "full_valid_mean_token_accuracy": _accuracy(whole),
            }
    return made


def _preferred(curve: Curve, ground: Random, rng: Random, step: int, full: bool) -> Metrics:
    floor = ground.uniform(*_FLOOR) / 2
    left, epochs = curve._progress(step)
    mean = floor + (_COIN - floor) * left
    train = curve._noisy(rng, mean)
    made = {"train_loss": round(train, 5), "train_mean_token_accuracy": _right(train)}
    if curve.has_validation:
        whole = min(curve._harder(mean, epochs), _COIN * (1 + _GAP))
        valid = max(curve._noisy(rng, whole), train * (1 + _GAP / 2))
        made |= {"valid_loss": round(valid, 5), "valid_mean_token_accuracy": _right(valid)}
        if full:
            made |= {
                "full_valid_loss": round(whole, 5), "full_valid_mean_token_accuracy": _right(whole),
            }  # fmt: skip
    return made


def _right(loss: float) -> float:
    """How often the preferred answer is the likelier one: half of the time at ln 2."""
    return round(min(0.99999, max(0.3, math.exp(-loss))), 5)


def _rewarded(curve: Curve, ground: Random, rng: Random, step: int, full: bool) -> Metrics:
    start, top = ground.uniform(0.15, 0.4), ground.uniform(0.75, 0.95)
    left, epochs = curve._progress(step)
    mean = top + (start - top) * left
    reward = min(1.0, curve._noisy(rng, mean))
    made = {
        "train_mean_reward": round(reward, 5),
        # Exploring makes answers longer, as published runs show.
        "train_reasoning_tokens_mean": round(curve._noisy(rng, 400 * (2 - left)), 1),
    }
    if curve.has_validation:
        whole = mean / (1 + _GAP + _GAP_PER_EPOCH * epochs)
        made["valid_mean_reward"] = round(min(reward, curve._noisy(rng, whole)), 5)
        if full:
            made["full_valid_mean_reward"] = round(whole, 5)
    return made


_METHODS = {"supervised": _supervised, "dpo": _preferred, "reinforcement": _rewarded}

#: The columns of a result file, and the metrics in them.
_COLUMNS = {
    "train_loss": "train_loss",
    "train_accuracy": "train_mean_token_accuracy",
    "valid_loss": "valid_loss",
    "valid_mean_token_accuracy": "valid_mean_token_accuracy",
}
_REWARD_COLUMNS = {
    name: name for name in ("train_mean_reward", "train_reasoning_tokens_mean", "valid_mean_reward")
}


def csv(curve: Curve, dice: Dice) -> Iterator[bytes]:
    columns = _REWARD_COLUMNS if curve.method == "reinforcement" else _COLUMNS
    yield (",".join(["step", *columns]) + "\n").encode()
    for step, metrics in curve.lines(dice):
        cells = [str(metrics.get(name, "")) for name in columns.values()]
        yield (",".join([str(step), *cells]) + "\n").encode()

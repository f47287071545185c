"""What an answer costs its caller, as an organization's usage counts it, and the tallies of that.

Rooms say what they used (`Reply.usage`); whoever ends an exchange makes tallies of it: the meter of
live ones at once, a job in the commit of its results. Amounts of tokens are totals that include their
parts, but for those named `input_cached_*` and the like, which are the parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from fakeai_proxy.exchange import BATCH, Admission, Usage
from fakeai_proxy.services.answer.cached import cached_tokens, may_be_cached
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.store import Tally

#: What the kinds of tallies begin with, which `kind` of a Usage follows.
PREFIX = "usage."
COMPLETIONS, EMBEDDINGS, MODERATIONS = "completions", "embeddings", "moderations"
IMAGES, SPEECHES, TRANSCRIPTIONS = "images", "audio_speeches", "audio_transcriptions"
VECTOR_STORES, SESSIONS = "vector_stores", "code_interpreter_sessions"
WEB_SEARCHES, FILE_SEARCHES = "web_search_calls", "file_search_calls"
VIDEOS, RANKINGS, TRAINING = "videos", "rankings", "training"

#: A label of requests that cost as much as long ones do.
LONG = {"context": "long"}
_TIERS = {"flex": "flex", "priority": "priority", "fast": "priority", "ultrafast": "priority"}

Late = Callable[[Admission], Mapping[str, int]]


def completion(
    card: ModelCard,
    read: int,
    written: int,
    *,
    heard: int = 0,
    seen: int = 0,
    said: int = 0,
    tier: str | None = None,
    late: Late | None = None,
    amounts: Mapping[str, int] | None = None,
) -> Usage:
    """Of `read` tokens of a prompt, `heard` and `seen` are sound and pictures; `said` of those `written`
    are sound. `late` and `amounts` are of a vendor who counts its cache in another way."""
    made = {
        "input_tokens": read,
        "output_tokens": written,
        "num_model_requests": 1,
        "input_audio_tokens": heard,
        "input_image_tokens": seen,
        "output_audio_tokens": said,
        **(amounts or {}),
    }
    if late is None and amounts is None and may_be_cached(card, read):
        late = _cached(card, read, heard, seen)
    labels = {**_length(card, read), **_tier(tier)}
    return Usage(COMPLETIONS, card.id, _some(made), labels, late)


def tokens_read(kind: str, card: ModelCard, read: int) -> Usage:
    return Usage(kind, card.id, {"input_tokens": read, "num_model_requests": 1})


def pictures(
    card: ModelCard,
    count: int,
    size: tuple[int, int],
    source: str,
    quality: str,
    tokens: Mapping[str, int] | None = None,
) -> Usage:
    """`tokens` are of models that are paid by them."""
    labels = {"size": f"{size[0]}x{size[1]}", "source": source, "quality": quality}
    amounts = {"images": count, "num_model_requests": 1, **_some(tokens or {})}
    return Usage(IMAGES, card.id, amounts, labels)


def speech(card: ModelCard, characters: int, read: int, said: int) -> Usage:
    """Some models are paid by characters, others by tokens."""
    amounts = {
        "characters": characters, "num_model_requests": 1, "input_tokens": read,
        "output_tokens": said, "output_audio_tokens": said,
    }  # fmt: skip
    return Usage(SPEECHES, card.id, amounts)


def transcription(
    model: ModelCard | str, duration_s: float, heard: int, read: int, written: int
) -> Usage:
    """`read` are tokens of text besides the sound."""
    amounts = {
        "seconds": math.ceil(duration_s), "num_model_requests": 1, "input_tokens": heard + read,
        "input_audio_tokens": heard, "output_tokens": written,
    }  # fmt: skip
    return Usage(TRANSCRIPTIONS, model if isinstance(model, str) else model.id, amounts)


def film(model: str, seconds: int, width: int, height: int) -> Usage:
    labels = {"size": f"{width}x{height}"}
    return Usage(VIDEOS, model, {"seconds": seconds, "num_model_requests": 1}, labels)


def training(model: str, tokens: int) -> Usage:
    """Of a fine-tuned model, whose name says what it was made from."""
    return Usage(TRAINING, model, {"training_tokens": tokens, "num_model_requests": 1})


def session() -> Usage:
    """Of a container that code runs in."""
    return Usage(SESSIONS, "", {"num_sessions": 1})


def searches(kind: str, card: ModelCard, count: int) -> Usage:
    return Usage(kind, card.id, {"num_requests": count, "num_model_requests": 1})


def _cached(card: ModelCard, read: int, heard: int, seen: int) -> Late:
    def late(admission: Admission) -> Mapping[str, int]:
        cached = cached_tokens(card, admission, read)
        if not cached:
            return {}
        text = min(cached, read - heard - seen)
        pictures = min(cached - text, seen)
        return _some(
            {
                "input_cached_tokens": cached,
                "input_cached_image_tokens": pictures,
                "input_cached_audio_tokens": cached - text - pictures,
            }
        )

    return late


def _length(card: ModelCard, read: int) -> Mapping[str, str]:
    long = None if card.price is None else card.price.long
    return {} if long is None or read <= long.above_tokens else LONG


def _tier(asked: str | None) -> Mapping[str, str]:
    return {"service_tier": _TIERS[asked]} if asked in _TIERS else {}


def _some(amounts: Mapping[str, int]) -> dict[str, int]:
    """Nothing is not counted, but for what every result has."""
    always = ("input_tokens", "output_tokens", "num_model_requests")
    return {name: count for name, count in amounts.items() if count or name in always}


# --- tallies ---------------------------------------------------------------------------------------


def tallies(
    usages: Sequence[Usage],
    at: float,
    admission: Admission,
    *,
    project: str,
    key_id: str = "",
    user_id: str = "",
    tier: str = "",
) -> list[Tally]:
    """Of one exchange that ended at `at`, in seconds since the epoch. `tier` is the class in which it
    was asked, where that is not for the request to say: "batch" costs half."""
    found = []
    for usage in usages:
        amounts = usage.amounts
        if usage.late is not None:
            amounts = {**amounts, **usage.late(admission)}
        labels = {
            "project_id": project,
            "api_key_id": key_id,
            "user_id": user_id,
            "model": usage.model,
            "service_tier": tier,
            **usage.labels,
        }
        if tier == BATCH:
            labels["batch"], labels["service_tier"] = "true", BATCH
        labels = {name: value for name, value in labels.items() if value}
        found.append(Tally(PREFIX + usage.kind, at, labels, amounts))
    return found

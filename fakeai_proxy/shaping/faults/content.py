"""Faults of what is said: words, model, usage, reasons, tool arguments, structured output."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

import orjson
from pydantic import Field

from fakeai_proxy.exchange import Chunk, Reply, is_event_stream
from fakeai_proxy.shaping.faults import speech
from fakeai_proxy.shaping.faults.broken import At, Each
from fakeai_proxy.shaping.faults.frames import Place, rewritten, says, tokens
from fakeai_proxy.shaping.faults.kinds import Case, Fault, Params, Stage, Where, edited
from fakeai_proxy.shaping.faults.speech import Object

_NOISE = "#@%&*+=~^?"


def _change(change: Any) -> Stage:
    """Every frame's JSON, or the body's, goes through `change`."""
    return Each(lambda frame: (edited(frame, lambda data: rewritten(data, change)),))


class Garble(Params):
    share: float = Field(0.2, ge=0, le=1, description="Share of the letters that are noise.")


def _garble(params: Garble, case: Case, reply: Reply) -> Stage:
    rng = case.rng

    def change(said: Object) -> bool:
        slots = list(speech.texts(said))
        for slot in slots:
            slot.put(noisy(slot.value, params.share, rng))
        return bool(slots)

    return _change(change)


def noisy(text: str, share: float, rng: Random) -> str:
    return "".join([rng.choice(_NOISE) if rng.random() < share else char for char in text])


class Nothing(Params):
    pass


def _no_usage(params: Nothing, case: Case, reply: Reply) -> Stage:
    return _change(speech.drop_usage)


class WrongModel(Params):
    name: str = Field("wrong-model", description="The model that answers call themselves.")


def _wrong_model(params: WrongModel, case: Case, reply: Reply) -> Stage:
    return _change(lambda said: speech.rename_model(said, params.name))


class Finish(Params):
    reason: str = Field(
        "length", description="length, content_filter, stop, tool_calls or any word."
    )


def _finish(params: Finish, case: Case, reply: Reply) -> Stage:
    return _change(lambda said: speech.finish(said, params.reason))


class Refusal(Params):
    message: str = Field("I'm sorry, I can't help with that.", description="What is said instead.")


class _Refused(Stage):
    """The refusal comes in place of the first words; other words do not come."""

    def __init__(self, message: str) -> None:
        self._message = message
        self._said = False

    def feed(self, chunk: Chunk) -> Iterable[Chunk]:
        if not says(chunk) and isinstance(chunk.data, bytes):
            return (chunk,)
        first, self._said = not self._said, True
        return (
            edited(chunk, lambda data: rewritten(data, lambda said: self._refuse(said, first))),
        )

    def _refuse(self, said: Object, first: bool) -> bool:
        changed = False
        for _, message in speech.choices(said):
            if message.get("content"):
                message["content"] = None if "role" in message else ""
                message["refusal"] = self._message if first else ""
                changed = True
            if message.pop("tool_calls", None):
                changed = True
        for slot in [] if changed else list(speech.texts(said)):
            slot.put(self._message if first else "")
            changed = True
        return changed


def _refusal(params: Refusal, case: Case, reply: Reply) -> Stage:
    return _Refused(params.message)


def _broken_arguments(params: Nothing, case: Case, reply: Reply) -> Stage:
    """What would close the arguments is missing, as of a model that ran out of tokens."""

    def change(said: Object) -> bool:
        changed = False
        for slot in list(speech.arguments(said)):
            value = slot.value
            if isinstance(value, str):
                slot.put(value.replace("}", ""))
            else:
                slot.put({"_raw": orjson.dumps(value).decode()[:-1]})
            changed = True
        return changed

    return _change(change)


class InvalidOutput(Where):
    pass


def _invalid_output(params: InvalidOutput, case: Case, reply: Reply) -> Stage:
    """Well-formed JSON with a field too many and, of a whole body, every field of another type."""
    if is_event_stream(reply.headers):
        return _ExtraField()

    def change(said: Object) -> bool:
        changed = False
        for slot in list(speech.texts(said)):
            try:
                value = orjson.loads(slot.value)
            except orjson.JSONDecodeError:
                continue
            slot.put(orjson.dumps(_mistyped(value)).decode())
            changed = True
        return changed

    return At(Place(), lambda frame: (edited(frame, lambda data: rewritten(data, change)),))


def _mistyped(value: Any) -> Any:
    if not isinstance(value, dict):
        return {"unexpected": value}
    wrong = {key: 0 if isinstance(inner, str) else str(inner) for key, inner in value.items()}
    return {**wrong, "unexpected": True}


class _ExtraField(Stage):
    """Puts a field that no schema has after the first brace that the model writes."""

    def __init__(self) -> None:
        self._done = False

    def feed(self, chunk: Chunk) -> Iterable[Chunk]:
        if self._done or not tokens(chunk):
            return (chunk,)

        def change(said: Object) -> bool:
            for slot in speech.texts(said):
                before, brace, after = slot.value.partition("{")
                if brace:
                    comma = "" if after.lstrip().startswith("}") else ","
                    slot.put(f'{before}{{"unexpected":true{comma}{after}')
                    self._done = True
                    return True
            return False

        return (edited(chunk, lambda data: rewritten(data, change)),)


FAULTS = (
    Fault("garble", "Noise in place of some letters of the answer", Garble, "garble:share=0.1,p=0.05",
          stage=_garble),
    Fault("no_usage", "Leaves out the usage", Nothing, "no_usage", stage=_no_usage),
    Fault("wrong_model", "Answers call themselves another model", WrongModel,
          "wrong_model:name=gpt-3.5-turbo", stage=_wrong_model),
    Fault("finish", "Another reason to stop", Finish, "finish:reason=content_filter", stage=_finish),
    Fault("refusal", "The model refuses", Refusal, "refusal:p=0.02", stage=_refusal),
    Fault("broken_arguments", "Arguments of tool calls are no JSON: what closes them is missing", Nothing,
          "broken_arguments:p=0.1", stage=_broken_arguments),
    Fault("invalid_output", "Structured output that is JSON but breaks its schema", InvalidOutput,
          "invalid_output:p=0.1", stage=_invalid_output),
)  # fmt: skip

"""Stored chat completions as JSON lines: a conversation a line with its answer.

Either a data set for distillation and fine-tuning, in which the last message is the answer, or stored
completions with their messages, whose `choices` are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fakeai_proxy.cassette.formats import chat
from fakeai_proxy.cassette.formats.fields import Fields, read_lines
from fakeai_proxy.cassette.formats.seen import Seen, Skipped

#: What the answer of a stored completion has; the rest was asked.
_ANSWERED = ("id", "object", "created", "choices", "usage", "system_fingerprint", "service_tier")
_STORED_ONLY = ("request_id", "input_user", "weight")
_MODEL = "gpt-4o"


def read(files: Sequence[Path], tell: Callable[[int, int], None]) -> Iterator[Seen | Skipped]:
    for path in files:
        lines = list(read_lines(path))
        for done, (number, value) in enumerate(lines, 1):
            yield _seen(Fields(value, path, f"line {number}"), number)
            tell(done, len(lines))


def _seen(line: Fields, number: int) -> Seen | Skipped:
    messages = line.items("messages")
    others = {name: value for name, value in line.value.items()
              if name not in (*_ANSWERED, *_STORED_ONLY, "messages", "model")}  # fmt: skip
    model = line.text("model", _MODEL)
    if line.has("choices"):
        answer = {name: line.any(name) for name in _ANSWERED if name in line.value}
        reply = {"object": "chat.completion", "model": model, **answer}
    else:
        last = messages[-1] if messages else None
        if not isinstance(last, dict) or last.get("role") != "assistant":
            return Skipped(line.place, "its last message is no answer")
        *messages, said = messages
        message = {name: value for name, value in said.items() if name != "weight"}
        reply = chat.completion(model, message, f"{number}", line.value)
    if not messages:
        return Skipped(line.place, "nothing was asked")
    seen = chat.asked(line.place, {"model": model, "messages": messages, **others},
                      chat.said(200, reply))  # fmt: skip
    if line.has("created"):
        seen.at = line.number("created")
    return seen

"""What a request asks, whatever it is wrapped in: the same question to another model, or no longer as a
stream, is the same question. And which tool results it brings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

#: Where the APIs (chat, Anthropic, Responses, Google, completions, embeddings) keep what is asked.
_ASKING = ("messages", "input", "prompt", "contents", "system", "instructions")
_TURNS = ("messages", "input")
#: Where they keep the names of answers and of calls.
_NAMES = frozenset(("id", "tool_call_id", "call_id", "tool_use_id"))

Turns = list[Mapping[str, Any]]


class Question(NamedTuple):
    """`key` is equal for equal questions. `results` are the tool results, call -> what it gave, and
    `asked_by` is the key of the question whose answer made the last of these calls, or b""."""

    key: bytes
    results: Mapping[str, bytes]
    asked_by: bytes


def question_of(method: str, target: str, body: bytes) -> Question:
    said = _parsed(body)
    if not any(said.get(name) for name in _ASKING):
        return Question(
            _hash(f"{method} {target}".encode("utf-8", "surrogateescape"), body), {}, b""
        )
    asking = {name: said[name] for name in _ASKING if said.get(name)}
    for name in _TURNS:
        turns = asking.get(name)
        if isinstance(turns, list) and all(isinstance(turn, Mapping) for turn in turns):
            results = dict(_results(turns))
            place = _last_calls(turns) if results else None
            asked_by = b"" if place is None else _key({**asking, name: turns[:place]})
            return Question(_key(asking), results, asked_by)
    return Question(_key(asking), {}, b"")


def _parsed(body: bytes) -> Mapping[str, Any]:
    if not body.startswith(b"{"):
        return {}
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}


def _key(asking: Mapping[str, Any]) -> bytes:
    return _hash(b"question", orjson.dumps(_unnamed(asking), option=orjson.OPT_SORT_KEYS))


def _unnamed(value: Any) -> Any:
    """Without the names that each answer gives its calls anew."""
    if isinstance(value, Mapping):
        return {key: _unnamed(inner) for key, inner in value.items() if key not in _NAMES}
    return [_unnamed(inner) for inner in value] if isinstance(value, list) else value


def _hash(*parts: bytes) -> bytes:
    hashed = blake2b(digest_size=16)
    for part in parts:
        hashed.update(b"%d:%b" % (len(part), part))
    return hashed.digest()


def _blocks(turn: Mapping[str, Any], kind: str) -> Iterator[Mapping[str, Any]]:
    """Anthropic's content blocks of a kind."""
    content = turn.get("content")
    for block in content if isinstance(content, list) else ():
        if isinstance(block, Mapping) and block.get("type") == kind:
            yield block


def _results(turns: Turns) -> Iterator[tuple[str, bytes]]:
    for turn in turns:
        if turn.get("role") in ("tool", "function"):
            yield str(turn.get("tool_call_id") or turn.get("name")), _dump(turn.get("content"))
        elif turn.get("type") == "function_call_output":
            yield str(turn.get("call_id")), _dump(turn.get("output"))
        for block in _blocks(turn, "tool_result"):
            yield str(block.get("tool_use_id")), _dump(block.get("content"))


def _dump(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _last_calls(turns: Turns) -> int | None:
    """Where the model's last calls of tools begin: what is before them is what it was asked."""
    place = None
    for k in range(len(turns) - 1, -1, -1):
        if _calls(turns[k]):
            place = k
        elif place is not None:
            break
    return place


def _calls(turn: Mapping[str, Any]) -> bool:
    return bool(
        turn.get("tool_calls")
        or turn.get("function_call")
        or turn.get("type") in ("function_call", "reasoning")
        or any(_blocks(turn, "tool_use"))
    )

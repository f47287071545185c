"""Recorded load as traces for benchmark tools: when requests came, how long they and their answers were, and
which of them begin alike. Words are not in them.

A trace has the requests that a model answered with tokens; lengths are the vendor's own counts where the
reply has them. The blocks of a prompt (512 tokens of o200k, as `encode` counts) are named by all that
comes before their end, so that an equal name is an equal prefix, and numbered by first appearance.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any, BinaryIO, NamedTuple

import orjson

from fakeai_proxy.cassette.formats.told import Encode, Told
from fakeai_proxy.cassette.texts import texts_of

#: Tokens that one hash id stands for (kvcache-ai/Mooncake, FAST25 release); aiperf's and guidellm's
#: default.
BLOCK_TOKENS = 512
#: Where a request has its prompt, in the order in which models are shown it.
_PROMPT = ("tools", "system", "instructions", "messages", "input", "prompt", "contents")


class _Row(NamedTuple):
    at: float
    prompt_tokens: int
    output_tokens: int
    blocks: tuple[bytes, ...]
    session: str
    duration_s: float
    id: str


def mooncake(told: Iterable[Told], out: BinaryIO, encode: Encode) -> int:
    return _write(told, out, encode, _mooncake_row)


def aiperf(told: Iterable[Told], out: BinaryIO, encode: Encode) -> int:
    return _write(told, out, encode, _aiperf_row)


def guidellm(told: Iterable[Told], out: BinaryIO, encode: Encode) -> int:
    return _write(told, out, encode, _guidellm_row)


def _mooncake_row(row: _Row, after_s: float, blocks: list[int]) -> dict[str, Any]:
    return {"timestamp": round(after_s * 1000), "input_length": row.prompt_tokens,
            "output_length": row.output_tokens, "hash_ids": blocks}  # fmt: skip


def _aiperf_row(row: _Row, after_s: float, blocks: list[int]) -> dict[str, Any]:
    """Its `mooncake_trace`: requests of one session wait for each other."""
    session = {"session_id": row.session} if row.session else {}
    return {**session, **_mooncake_row(row, after_s, blocks)}


def _guidellm_row(row: _Row, after_s: float, blocks: list[int]) -> dict[str, Any]:
    """For its kinds `trace_synthetic` and `mooncake`: seconds, and how long the request took."""
    return {"timestamp": round(after_s, 6), "input_length": row.prompt_tokens,
            "output_length": row.output_tokens, "duration": round(row.duration_s, 6),
            "hash_ids": blocks, "conversation_id": row.session or row.id}  # fmt: skip


def _write(
    told: Iterable[Told],
    out: BinaryIO,
    encode: Encode,
    form: Callable[[_Row, float, list[int]], dict[str, Any]],
) -> int:
    rows = [row for one in told if (row := _row(one, encode)) is not None]
    rows.sort(key=lambda row: row.at)
    numbers: dict[bytes, int] = {}
    for row in rows:
        blocks = [numbers.setdefault(name, len(numbers)) for name in row.blocks]
        out.write(json.dumps(form(row, row.at - rows[0].at, blocks)).encode() + b"\n")
    return len(rows)


def _row(told: Told, encode: Encode) -> _Row | None:
    """None for what is no prompt that a model answered."""
    record, response = told.record, told.record.response
    body = _object(told.asked)
    if response is None or response.status != 200 or not any(body.get(name) for name in _PROMPT):
        return None
    usage = record.view.get("usage", {})
    output = usage.get("completion_tokens") or _spoken(told, encode)
    ids = encode("\n".join(_texts(body)))
    prompt = usage.get("prompt_tokens") or len(ids)
    if not output or not prompt:
        return None
    duration_s = max(response.head_us, sum(response.gaps_us)) / 1e6
    blocks = _blocks(list(ids), prompt)
    return _Row(record.at, prompt, output, blocks, record.session, duration_s, record.id)


def _blocks(ids: list[int], prompt_tokens: int) -> tuple[bytes, ...]:
    """As many as the prompt's tokens have. Where the vendor counted more than there are in the text
    (pictures, its own words around it), the last ones stand for those."""
    wanted = -(-prompt_tokens // BLOCK_TOKENS)
    hashed, names = blake2b(digest_size=16), []
    for block in range(wanted):
        part = ids[block * BLOCK_TOKENS : (block + 1) * BLOCK_TOKENS]
        hashed.update(b"%d:" % len(part) + b",".join(b"%d" % one for one in part))
        names.append(hashed.copy().digest())
    return tuple(names)


def _texts(body: Mapping[str, Any]) -> Iterator[str]:
    """The prompt from its beginning, a text for each turn."""
    for name in _PROMPT:
        value = body.get(name)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str):
                yield one
            elif isinstance(one, dict):
                yield _turn(one)
            elif one is not None:
                yield json.dumps(one)


def _turn(turn: Mapping[str, Any]) -> str:
    said = turn.get("content")
    if isinstance(said, str) and set(turn) <= {"role", "content"}:
        return f"{turn.get('role')}\n{said}"
    return json.dumps(turn, sort_keys=True, ensure_ascii=False)


def _spoken(told: Told, encode: Encode) -> int:
    """Tokens of an answer that does not say how many they were."""
    streamed = [text for where, text in texts_of(told.record) if where == "reply text"]
    if streamed:
        return sum(len(encode(text)) for text in streamed)
    return sum(len(encode(text)) for text in _said(_object(told.answered)))


def _said(value: object, name: str = "") -> Iterator[str]:
    if isinstance(value, str) and name in ("content", "text", "arguments", "reasoning_content"):
        yield value
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from _said(child, key)
    elif isinstance(value, list):
        for child in value:
            yield from _said(child, name)


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}

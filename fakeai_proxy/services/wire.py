"""Shapes and frames that several rooms share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import zip_longest
from typing import Annotated, Any, cast

import orjson
from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticKnownError
from pydantic_core.core_schema import no_info_before_validator_function

from fakeai_proxy import errors
from fakeai_proxy.exchange import Admission, Chunk, Reply, Usage, Workload
from fakeai_proxy.generate.tokens import Tokens

JSON_HEADERS = ((b"content-type", b"application/json"),)
SSE_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
)
DONE = b"data: [DONE]\n\n"
#: Bytes that may tell what the back end did.
Late = bytes | Callable[[Admission], bytes]


#: Members of an object in a request whose shape sets no limit of its own.
MEMBERS_MAX = 4096
_TOKEN_MAX = 1 << 31


def _stop_early(schema: object) -> None:
    """Make lists stop at their first bad item and objects count before they look: a million
    complaints take minutes and gigabytes."""
    if isinstance(schema, dict):
        for inner in schema.values():
            _stop_early(inner)
        if schema.get("type") == "list":
            schema["fail_fast"] = True
        elif schema.get("type") == "dict":
            members = dict(schema)
            count = _counter(members.get("max_length") or MEMBERS_MAX)
            schema.clear()
            schema.update(no_info_before_validator_function(count, cast(CoreSchema, members)))
    elif isinstance(schema, (list, tuple)):
        for inner in schema:
            _stop_early(inner)


def _counter(most: int) -> Callable[[object], object]:
    def count(value: object) -> object:
        if isinstance(value, dict) and len(value) > most:
            context = {"field_type": "Object", "max_length": most, "actual_length": len(value)}
            raise PydanticKnownError("too_long", context)
        return value

    return count


class Shape(BaseModel):
    """A request body: strict types as JSON has them, immutable. Unknown fields are kept in
    `model_extra`, so that a room can refuse or accept them."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="allow", protected_namespaces=(), defer_build=True
    )

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = handler(source)
        _stop_early(schema)
        return schema


#: Pairs that a client keeps with an object.
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(max_length=16),
]


def json_kind(value: object) -> str:
    """Which of the two forms that many parameters have; tags the branches of a union."""
    if isinstance(value, list | tuple):
        return "array"
    return "object" if isinstance(value, dict | Shape) else "string"


def parsed_object(data: bytes | str) -> dict[str, Any] | None:
    """None for what is no object in JSON."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def json_reply(
    body: object,
    workload: Workload | None = None,
    status: int = 200,
    usage: Sequence[Usage] = (),
) -> Reply:
    """A whole JSON answer: one chunk worth all of the workload's output tokens."""
    data = orjson.dumps(body)
    headers = (*JSON_HEADERS, (b"content-length", b"%d" % len(data)))
    tokens = workload.output_tokens if workload else 0
    return Reply(status, headers, [Chunk(data, tokens)], workload=workload, usage=usage)


def sse_reply(chunks: Sequence[Chunk], workload: Workload, usage: Sequence[Usage] = ()) -> Reply:
    return Reply(200, SSE_HEADERS, chunks, workload=workload, usage=usage)


@lru_cache(maxsize=1024)
def model_fingerprint(model: str) -> tuple[bytes, bytes]:
    """The model's name in JSON, and what stands for its configuration."""
    digest = blake2b(model.encode("utf-8", "replace"), digest_size=5).hexdigest()
    return orjson.dumps(model), b"fp_" + digest.encode()


def counted(chunks: Sequence[Chunk], prompt_tokens: int) -> list[Chunk]:
    """The frames of one choice with the tokens of it so far, as vLLM counts them, in the place of
    their null."""
    made = 0
    frames = []
    for chunk in chunks:
        made += chunk.tokens
        assert isinstance(chunk.data, bytes)
        usage = b'"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}' % (
            prompt_tokens, made, prompt_tokens + made,
        )  # fmt: skip
        # The last of them in a frame is ours: quotation marks within texts are escaped.
        before, _, after = chunk.data.rpartition(b'"usage":null')
        frames.append(Chunk(before + usage + after, chunk.tokens))
    return frames


def side_by_side(bodies: Sequence[list[Chunk]]) -> list[Chunk]:
    """Choices as they are made: one token of each in turn."""
    if len(bodies) == 1:
        return bodies[0]
    return [chunk for turn in zip_longest(*bodies) for chunk in turn if chunk is not None]


def inputs_of(given: Any, param: str, most: int) -> Iterator[tuple[str, Any]]:
    """A text, texts, token ids or lists of these, one by one: each a string or a list, with its path.
    Raises 400 where an input's turn comes."""
    several = isinstance(given, list) and not (given and type(given[0]) is int)
    inputs: list[Any] = given if several else [given]
    if isinstance(given, list) and not given:
        raise errors.wrong_length(param, "array", ">=", 1, 0)
    if len(inputs) > most:
        raise errors.wrong_length(param, "array", "<=", most, len(inputs))
    kind = type(inputs[0])
    for index, one in enumerate(inputs):
        path = f"{param}[{index}]" if several else param
        if type(one) is not kind or kind not in (str, list):
            raise _no_input(path, one, kind if several else None)
        yield path, one


def _no_input(path: str, value: object, kind: type | None) -> errors.ApiError:
    wanted = "one of a string, array of strings, array of integers, or array of arrays"
    if kind is str:
        wanted = "a string"
    elif kind is list:
        wanted = "an array of integers"
    return errors.invalid_type(path, wanted, value)


def text_of(ids: list[Any], path: str, tokens: Tokens) -> str:
    """Of a list of token ids as it came. Raises 400 that names the first that is none."""
    if not ids:
        raise errors.wrong_length(path, "array", ">=", 1, 0)
    for index, token in enumerate(ids):
        if type(token) is not int:
            raise errors.invalid_type(f"{path}[{index}]", "an integer", token)
        if not 0 <= token < _TOKEN_MAX:
            raise errors.no_such_token(f"{path}[{index}]", token)
    try:
        return tokens.decode(ids)
    except KeyError:
        unknown = next(index for index, token in enumerate(ids) if not tokens.knows(token))
        raise errors.no_such_token(f"{path}[{unknown}]", ids[unknown]) from None

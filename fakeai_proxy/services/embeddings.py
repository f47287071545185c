"""Embeddings: texts or token ids to vectors, as floats or base64."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
from pydantic import Field

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply, Workload
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.metering import EMBEDDINGS, tokens_read
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.wire import Shape, inputs_of, json_reply, text_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: platform.openai.com/docs/api-reference/embeddings/create: inputs and tokens of one request.
INPUTS_MAX = 2048
REQUEST_TOKENS_MAX = 300_000

#: Parameters of the vLLM and NIM servers that change nothing here, and so are accepted.
_ACCEPTED = frozenset(
    ("add_special_tokens", "normalize", "use_activation", "request_id", "nvext", "mm_processor_kwargs")
)  # fmt: skip
#: Fields of the shape that are these servers'.
_OF_SERVERS = (
    "priority", "truncate", "input_type", "modality", "embedding_type", "truncate_prompt_tokens",
    "embed_dtype", "endianness",
)  # fmt: skip
#: Models of NVIDIA's that want to be told what a text is, unless their name ends with it.
_ROLES = ("query", "passage")


class EmbeddingRequest(Shape):
    input: Any
    model: str | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(None, ge=1)
    user: str | None = None
    #: vLLM: of requests that wait, a lower one goes first.
    priority: int | None = None
    #: NIM: which end of an input that is too long goes; without it such an input is refused.
    truncate: Literal["NONE", "START", "END"] | None = None
    #: NIM: what a text is; asymmetric models have other vectors for each.
    input_type: Literal["query", "passage"] | None = None
    #: NIM: what the inputs are, one for all or one each.
    modality: Literal["text"] | list[Literal["text"]] | None = None
    #: NIM: what the numbers are.
    embedding_type: Literal["float", "binary", "ubinary", "int8", "uint8"] | None = None
    #: vLLM: keep so many of the last tokens; -1: as many as the model takes.
    truncate_prompt_tokens: Annotated[int, Field(ge=-1)] | None = None
    #: vLLM: what the bytes of base64 are.
    embed_dtype: Literal["float32", "float16", "bfloat16"] | None = None
    endianness: Literal["native", "little", "big"] | None = None


def create_embeddings(call: Call) -> Reply:
    from fakeai_proxy.generate.vectors import Embedder

    asked: EmbeddingRequest = call.body
    card = call.catalogue.asked_for(call.params.get("deployment"), asked.model, "embedding")
    _check_parameters(asked, card, call.strict)
    texts, prompts = _inputs(asked, card)
    embedder = Embedder(card.id, card.dimensions, call.embedder)
    vectors = embedder.embed(texts, asked.dimensions, asked.input_type or "")
    count = sum(map(len, prompts))
    render = _rendering(asked)
    body = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": render(vector)}
            for index, vector in enumerate(vectors)
        ],
        "model": card.id,
        "usage": {"prompt_tokens": count, "total_tokens": count},
    }
    priority = asked.priority or 0
    parts = [Workload(card.id, ids, 0, priority=priority) for ids in prompts]
    usage = tokens_read(EMBEDDINGS, card, count)
    return json_reply(body, Workload.of(parts), usage=(usage,))


def _rendering(asked: EmbeddingRequest) -> Callable[[NDArray[np.float32]], Any]:
    if asked.embedding_type not in (None, "float"):
        kind = asked.embedding_type
        packed = asked.encoding_format == "base64"
        return lambda vector: (_as_bytes if packed else _as_numbers)(quantized(vector, kind))
    if asked.encoding_format == "base64":
        return lambda vector: _as_bytes(typed(vector, asked.embed_dtype, asked.endianness))
    return _as_numbers


def quantized(vector: NDArray[np.float32], kind: str) -> NDArray[Any]:
    """A bit a number (its sign, eight to a byte), or a byte a number: 127 is the largest there is."""
    import numpy

    if kind in ("binary", "ubinary"):
        bits = numpy.packbits(vector > 0)
        return bits if kind == "ubinary" else (bits.astype(numpy.int16) - 128).astype(numpy.int8)
    scaled = numpy.rint(vector * (127 / max(float(numpy.abs(vector).max()), 1e-12)))
    numbers: NDArray[Any] = scaled.astype(numpy.int8)
    return numbers if kind == "int8" else (scaled + 128).astype(numpy.uint8)


def typed(vector: NDArray[np.float32], dtype: str | None, endianness: str | None) -> NDArray[Any]:
    """What goes over the wire as bytes; a bfloat16 is the upper half of a float32."""
    import numpy

    order = ">" if endianness == "big" else "<"
    if dtype == "bfloat16":
        halves = vector.astype("<f4").view("<u4") + numpy.uint32(0x8000) >> 16
        upper: NDArray[np.uint16] = halves.astype(f"{order}u2")
        return upper
    floats: NDArray[Any] = vector.astype(f"{order}f2" if dtype == "float16" else f"{order}f4")
    return floats


def _as_numbers(vector: NDArray[Any]) -> orjson.Fragment:
    """As few digits as tell a float32 from its neighbours."""
    return orjson.Fragment(orjson.dumps(vector, option=orjson.OPT_SERIALIZE_NUMPY))


def _as_bytes(vector: NDArray[Any]) -> str:
    return base64.b64encode(vector.tobytes()).decode()


def _check_parameters(asked: EmbeddingRequest, card: ModelCard, strict: bool) -> None:
    accepted = frozenset() if strict else _ACCEPTED
    for name in asked.model_extra or ():
        if name not in accepted:
            raise errors.unrecognized_arguments([name])
    if strict:
        given = [name for name in _OF_SERVERS if getattr(asked, name) is not None]
        if given:
            raise errors.unrecognized_arguments(given)
    if card.owned_by == "nvidia" and asked.input_type is None and not card.id.endswith(_ROLES):
        raise errors.bad_parameter(
            "input_type", None, "'input_type' parameter is required for asymmetric models"
        )
    if isinstance(asked.modality, list) and isinstance(asked.input, list):
        wanted = len(asked.input)
        if len(asked.modality) != wanted:
            raise errors.bad_request(
                f"The length of 'modality' ({len(asked.modality)}) has to be that of 'input' ({wanted})."
            )
    if asked.dimensions is None:
        return
    if not card.shortens:
        raise errors.bad_request("This model does not support specifying dimensions.")
    if asked.dimensions > card.dimensions:
        raise errors.out_of_range("dimensions", "integer", "<=", card.dimensions, asked.dimensions)


def _inputs(asked: EmbeddingRequest, card: ModelCard) -> tuple[list[str], list[Sequence[int]]]:
    """The texts, and the token ids of each. Raises 400."""
    words = Tokens.load(card.vocabulary)
    texts: list[str] = []
    prompts: list[Sequence[int]] = []
    count = 0
    for path, one in inputs_of(asked.input, "input", INPUTS_MAX):
        ids: Sequence[int] = one
        if isinstance(one, str):
            text, ids = _text(one, path, words)
        else:
            text = text_of(one, path, words)
        if len(ids) > _room(asked, card):
            text, ids = _truncated(asked, card, ids, path, words)
        texts.append(text)
        prompts.append(ids)
        count += len(ids)
    if count > REQUEST_TOKENS_MAX:
        raise errors.too_many_tokens(count, REQUEST_TOKENS_MAX)
    return texts, prompts


def _room(asked: EmbeddingRequest, card: ModelCard) -> int:
    """The most tokens of an input that are read. Raises 400."""
    most = asked.truncate_prompt_tokens
    if most is None or most == -1:
        return card.context_tokens
    if not 0 < most <= card.context_tokens:
        raise errors.bad_parameter(
            "truncate_prompt_tokens", None,
            f"truncate_prompt_tokens value ({most}) is greater than max_model_len "
            f"({card.context_tokens}). Please, select a smaller truncation size."
            if most else "truncate_prompt_tokens has to be -1 or at least 1.",
        )  # fmt: skip
    return most


def _text(text: str, path: str, words: Tokens) -> tuple[str, Sequence[int]]:
    if not text:
        raise errors.wrong_length(path, "string", ">=", 1, 0)
    return text, words.encode(text)


def _truncated(
    asked: EmbeddingRequest, card: ModelCard, ids: Sequence[int], path: str, words: Tokens
) -> tuple[str, Sequence[int]]:
    room = _room(asked, card)
    if asked.truncate in (None, "NONE") and asked.truncate_prompt_tokens is None:
        too_long = errors.input_too_long
        if card.owned_by == "nvidia":
            too_long = errors.retriever_input_too_long
        raise too_long(path, room, len(ids))
    # vLLM keeps the end of a prompt, NIM what it is told to.
    kept = ids[:room] if asked.truncate == "END" else ids[-room:]
    return words.decode(kept), kept


OPERATIONS = (
    Operation(
        "createEmbedding", "POST", "/embeddings", create_embeddings, EmbeddingRequest, threaded=True
    ),
)

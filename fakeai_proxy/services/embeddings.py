"""Embeddings: texts or token ids to vectors, as floats or base64."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import orjson
from pydantic import Field

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply, Workload
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.services.catalogue import ModelCard
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
    ("input_type", "truncate_prompt_tokens", "add_special_tokens", "modality", "embedding_type",
     "normalize", "embed_dtype", "endianness", "request_id", "nvext")
)  # fmt: skip


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


def create_embeddings(call: Call) -> Reply:
    from fakeai_proxy.generate.vectors import Embedder

    asked: EmbeddingRequest = call.body
    card = call.catalogue.asked_for(call.params.get("deployment"), asked.model, "embedding")
    _check_parameters(asked, card, call.strict)
    texts, prompt = _inputs(asked, card)
    vectors = Embedder(card.id, card.dimensions, call.embedder).embed(texts, asked.dimensions)
    render = _as_base64 if asked.encoding_format == "base64" else _as_floats
    body = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": render(vector)}
            for index, vector in enumerate(vectors)
        ],
        "model": card.id,
        "usage": {"prompt_tokens": len(prompt), "total_tokens": len(prompt)},
    }
    return json_reply(body, Workload(card.id, prompt, 0, priority=asked.priority or 0))


def _as_floats(vector: NDArray[np.float32]) -> orjson.Fragment:
    """As few digits as tell a float32 from its neighbours."""
    return orjson.Fragment(orjson.dumps(vector, option=orjson.OPT_SERIALIZE_NUMPY))


def _as_base64(vector: NDArray[np.float32]) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _check_parameters(asked: EmbeddingRequest, card: ModelCard, strict: bool) -> None:
    accepted = frozenset() if strict else _ACCEPTED
    for name in asked.model_extra or ():
        if name not in accepted:
            raise errors.unrecognized_arguments([name])
    if strict:
        given = [name for name in ("priority", "truncate") if getattr(asked, name) is not None]
        if given:
            raise errors.unrecognized_arguments(given)
    if asked.dimensions is None:
        return
    if not card.shortens:
        raise errors.bad_request("This model does not support specifying dimensions.")
    if asked.dimensions > card.dimensions:
        raise errors.out_of_range("dimensions", "integer", "<=", card.dimensions, asked.dimensions)


def _inputs(asked: EmbeddingRequest, card: ModelCard) -> tuple[list[str], list[int]]:
    """The texts, and the token ids of them all. Raises 400."""
    words = Tokens.load(card.vocabulary)
    texts: list[str] = []
    prompt: list[int] = []
    for path, one in inputs_of(asked.input, "input", INPUTS_MAX):
        ids: Sequence[int] = one
        if isinstance(one, str):
            text, ids = _text(one, path, words)
        else:
            text = text_of(one, path, words)
        if len(ids) > card.context_tokens:
            text, ids = _truncated(asked, card, ids, path, words)
        texts.append(text)
        prompt += ids
    if len(prompt) > REQUEST_TOKENS_MAX:
        raise errors.too_many_tokens(len(prompt), REQUEST_TOKENS_MAX)
    return texts, prompt


def _text(text: str, path: str, words: Tokens) -> tuple[str, Sequence[int]]:
    if not text:
        raise errors.wrong_length(path, "string", ">=", 1, 0)
    return text, words.encode(text)


def _truncated(
    asked: EmbeddingRequest, card: ModelCard, ids: Sequence[int], path: str, words: Tokens
) -> tuple[str, Sequence[int]]:
    if asked.truncate in (None, "NONE"):
        raise errors.input_too_long(path, card.context_tokens, len(ids))
    kept = ids[: card.context_tokens] if asked.truncate == "END" else ids[-card.context_tokens :]
    return words.decode(kept), kept


OPERATIONS = (
    Operation(
        "createEmbedding", "POST", "/embeddings", create_embeddings, EmbeddingRequest, threaded=True
    ),
)

"""POST /rag/api/prompt, whole and streamed. The answer says what the documents say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import orjson
from pydantic import Field

from fakeai_proxy import errors
from fakeai_proxy.exchange import Chunk, Finish, Reply, Workload
from fakeai_proxy.generate.tokens import Passage, Tokens
from fakeai_proxy.services.metering import completion
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.rag.retrieval import Retrieved, Retriever, shipped_corpus, telling
from fakeai_proxy.services.wire import DONE, Shape, json_reply, sse_reply

DEFAULT_MODEL = "meta-llama/Llama-3.1-70B-Instruct"
#: Of an answer, unless the request says otherwise.
_ANSWER_TOKENS = 200
#: Documents that an answer is made of, and sentences of each: the best one's first.
_QUOTED_SENTENCES = (3, 2, 1)
QUERIES_MAX, FILTERS_MAX = 64, 32
_NOTHING = "None of the documents that match the filters answers this question."

#: Vector stores of one question; a limit of ours.
_STORES_MAX = 16

_Query = Annotated[str, Field(min_length=1)]
_Plain = str | int | float | bool


class RagRequest(Shape):
    query: _Query | Annotated[list[_Query], Field(min_length=1, max_length=QUERIES_MAX)]
    filters: (
        Annotated[
            dict[str, _Plain | Annotated[list[_Plain], Field(max_length=FILTERS_MAX)]],
            Field(max_length=FILTERS_MAX),
        ]
        | None
    ) = None
    inference_model: str = DEFAULT_MODEL
    top_k: Annotated[int, Field(ge=1, le=20)] = 5
    stream: bool = False
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    #: Where to look, instead of in the manual that is shipped.
    vector_store_ids: (
        Annotated[list[_Query], Field(min_length=1, max_length=_STORES_MAX)] | None
    ) = None


def prompt_rag(call: Call) -> Reply:
    asked: RagRequest = call.body
    if asked.model_extra:
        raise errors.unknown_parameter(next(iter(asked.model_extra))[:100])
    card = call.catalogue.require(asked.inference_model, "chat")
    query = asked.query if isinstance(asked.query, str) else "\n".join(asked.query)
    found = _retriever(call, asked).retrieve(query, asked.filters or {}, asked.top_k)
    words = Tokens.load(card.vocabulary)
    ids = words.encode(prompt_of(query, found))
    room = card.context_tokens - len(ids)
    if room <= 0:
        raise errors.input_too_long("query", card.context_tokens, len(ids))
    limit = min(asked.max_tokens or _ANSWER_TOKENS, card.output_tokens_max, room)
    whole = words.passage(_answer(query, found, call))
    said = whole.first(limit)
    finish: Finish = "stop" if said is whole else "length"
    workload = Workload(
        card.id, ids, said.tokens, output=said.ids, lora=card.id if card.parent else "",
        finishes=[finish],
    )  # fmt: skip
    usage = {
        "prompt_tokens": len(ids), "completion_tokens": said.tokens,
        "total_tokens": len(ids) + said.tokens,
    }  # fmt: skip
    billed = completion(card, len(ids), said.tokens)
    documents = [_shown(each) for each in found]
    if asked.stream:
        return sse_reply(list(_frames(said, documents, usage)), workload, (billed,))
    body = {"content": said.text, **_told(documents), "usage": usage}
    return json_reply(body, workload, usage=(billed,))


def prompt_of(query: str, found: Sequence[Retrieved]) -> str:
    """What the model reads: the documents, then the question."""
    return "\n\n".join([*(each.document.text for each in found), query])


def _retriever(call: Call, asked: RagRequest) -> Retriever:
    if asked.vector_store_ids is not None:
        from fakeai_proxy.services.rag.stocked import Stocked

        return Stocked(call, asked.vector_store_ids)
    return shipped_corpus(call.embedder)


def _answer(query: str, found: Sequence[Retrieved], call: Call) -> str:
    """Sentences of the best documents, each with where it stands."""
    if not found:
        return _NOTHING
    parts = [
        f"{telling(query, each.document.text, most, call.embedder)} [{each.document.source}]"
        for each, most in zip(found, _QUOTED_SENTENCES, strict=False)
    ]
    return "\n\n".join(parts)


def _shown(each: Retrieved) -> dict[str, Any]:
    document = each.document
    return {
        "id": document.id, "content": document.text, "score": each.score,
        "metadata": dict(document.metadata), "source": document.source,
    }  # fmt: skip


def _told(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`sources` is where benchmark clients look for them."""
    named = [{"source": each["source"], "score": each["score"]} for each in documents]
    return {"retrieved_docs": documents, "sources": named}


def _frames(
    said: Passage, documents: Sequence[Mapping[str, Any]], usage: Mapping[str, int]
) -> Iterator[Chunk]:
    """A token a frame; the documents come with the first, the usage when all is said."""
    told = orjson.dumps(_told(documents))[1:]
    for index, piece in enumerate(said.escaped):
        end = b"," + told if index == 0 else b"}"
        yield Chunk(b'data: {"content":"' + piece + b'"' + end + b"\n\n", 1)
    yield Chunk(b'data: {"content":"","usage":' + orjson.dumps(usage) + b"}\n\n")
    yield Chunk(DONE)


OPERATIONS = (
    Operation(
        "promptRag", "POST", "/rag/api/prompt", prompt_rag, RagRequest, threaded=True, at_root=True
    ),
)

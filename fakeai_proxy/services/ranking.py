"""Ranking: which passages belong to a query. NVIDIA's shape, vLLM's (which is Jina's and Cohere's)
and vLLM's scores of pairs, over one judgement.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply, Usage, Workload
from fakeai_proxy.generate.embedders import Kind
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.metering import RANKINGS
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.wire import Shape, json_reply

#: docs.nvidia.com/nim/nemo-retriever: passages of one request. vLLM has no limit; this one is ours.
PASSAGES_MAX, DOCUMENTS_MAX = 512, 2048
#: From the cosine of two texts to a logit as cross-encoders have it: texts that have nothing in common
#: are near -6, a passage that answers is above 0, the query itself is near 14. Set by hand.
_LOGIT_SLOPE, _LOGIT_ZERO = 20.0, 0.3
_DIMENSIONS = 1024

#: Parameters of the servers that change nothing here.
_ACCEPTED = frozenset(
    ("add_special_tokens", "activation", "mm_processor_kwargs", "request_id", "return_documents",
     "softmax_normalize", "use_activation", "user", "max_tokens_per_doc", "max_chunks_per_doc")
)  # fmt: skip


class Text(Shape):
    text: str


class RankingRequest(Shape):
    model: str | None = None
    query: Text
    passages: Annotated[list[Text], Field(min_length=1, max_length=PASSAGES_MAX)]
    truncate: Literal["NONE", "END"] | None = None


class RerankRequest(Shape):
    model: str | None = None
    query: str
    documents: Annotated[list[str | Text], Field(min_length=1, max_length=DOCUMENTS_MAX)]
    top_n: Annotated[int, Field(ge=0)] | None = None
    truncate_prompt_tokens: Annotated[int, Field(ge=-1)] | None = None
    priority: int | None = None


_Texts = str | Annotated[list[str], Field(min_length=1, max_length=DOCUMENTS_MAX)]


class ScoreRequest(Shape):
    model: str | None = None
    text_1: _Texts
    text_2: _Texts
    truncate_prompt_tokens: Annotated[int, Field(ge=-1)] | None = None
    priority: int | None = None


def create_ranking(call: Call) -> Reply:
    asked: RankingRequest = call.body
    _known(asked)
    card = _card(call, asked.model or call.params.get("model", "").replace("_", "."))
    pairs = [(asked.query.text, passage.text) for passage in asked.passages]
    judged = _Judgement(card, pairs, asked.truncate == "END", "passages", call.embedder)
    ranked = sorted(enumerate(judged.logits), key=lambda entry: -entry[1])
    body = {
        "rankings": [{"index": index, "logit": round(logit, 6)} for index, logit in ranked],
        "usage": judged.usage,
    }
    return json_reply(body, judged.workload(), usage=judged.billed)


def create_rerank(call: Call) -> Reply:
    asked: RerankRequest = call.body
    _known(asked)
    card = _card(call, asked.model)
    documents = [one if isinstance(one, str) else one.text for one in asked.documents]
    most = asked.truncate_prompt_tokens
    judged = _Judgement(
        card, [(asked.query, one) for one in documents], most is not None, "documents",
        call.embedder, most,
    )  # fmt: skip
    ranked = sorted(enumerate(judged.logits), key=lambda entry: -entry[1])
    body = {
        "id": f"rerank-{call.dice.text_id(call.id_key, 'rerank')}",
        "model": card.id,
        "usage": judged.usage,
        "results": [
            {
                "index": index,
                "document": {"text": documents[index]},
                "relevance_score": _likelihood(logit),
            }
            for index, logit in ranked[: asked.top_n or None]
        ],
    }
    return json_reply(body, judged.workload(asked.priority or 0), usage=judged.billed)


def create_score(call: Call) -> Reply:
    asked: ScoreRequest = call.body
    _known(asked)
    card = _card(call, asked.model)
    most = asked.truncate_prompt_tokens
    judged = _Judgement(card, _pairs(asked), most is not None, "text_2", call.embedder, most)
    body = {
        "id": f"score-{call.dice.text_id(call.id_key, 'score')}",
        "object": "list",
        "created": call.created,
        "model": card.id,
        "data": [
            {"index": index, "object": "score", "score": _likelihood(logit)}
            for index, logit in enumerate(judged.logits)
        ],
        "usage": judged.usage,
    }
    return json_reply(body, judged.workload(asked.priority or 0), usage=judged.billed)


def _pairs(asked: ScoreRequest) -> list[tuple[str, str]]:
    """One text with each of the others, or text by text."""
    first = [asked.text_1] if isinstance(asked.text_1, str) else asked.text_1
    second = [asked.text_2] if isinstance(asked.text_2, str) else asked.text_2
    if len(first) == 1:
        first = first * len(second)
    if len(first) != len(second):
        raise errors.bad_request("Input lengths must be either 1:1, 1:N or N:N")
    return list(zip(first, second, strict=True))


def _known(asked: Shape) -> None:
    unknown = [name[:100] for name in asked.model_extra or () if name not in _ACCEPTED]
    if unknown:
        raise errors.unrecognized_arguments(unknown[:8])


def _card(call: Call, name: str | None) -> ModelCard:
    """A model that ranks, or one whose vectors can be compared. Raises 400 and 404."""
    card = call.catalogue.find(name or "")
    if card is not None and card.can("embedding"):
        return card
    return call.catalogue.asked_for(None, name, "rerank")


def _likelihood(logit: float) -> float:
    return round(1.0 / (1.0 + math.exp(-logit)), 8)


class _Judgement:
    """Pairs of texts with their logits, and what reading them costs."""

    def __init__(
        self,
        card: ModelCard,
        pairs: Sequence[tuple[str, str]],
        cut: bool,
        field: str,
        kind: Kind,
        most: int | None = None,
    ) -> None:
        """`cut` shortens what is longer than the model's context, or than `most` tokens."""
        self._card = card
        words = Tokens.load(card.vocabulary)
        limit = (
            card.context_tokens if most in (None, -1, 0) else min(most or 0, card.context_tokens)
        )
        self._prompts: list[Sequence[int]] = []
        read: list[tuple[str, str]] = []
        for index, (query, passage) in enumerate(pairs):
            before, after = words.encode(query), words.encode(passage)
            length = len(before) + len(after)
            if length > limit:
                if not cut:
                    too_long = errors.input_too_long
                    if card.owned_by == "nvidia":
                        too_long = errors.retriever_input_too_long
                    raise too_long(f"{field}[{index}]", limit, length)
                before = before[:limit]
                after = after[: limit - len(before)]
                query, passage = words.decode(before), words.decode(after)  # noqa: PLW2901 - shorter
            self._prompts.append([*before, *after])
            read.append((query, passage))
        self.logits = [
            _LOGIT_SLOPE * (cosine - _LOGIT_ZERO) for cosine in _cosines(card, kind, read)
        ]

    @property
    def usage(self) -> dict[str, Any]:
        count = sum(map(len, self._prompts))
        return {"prompt_tokens": count, "total_tokens": count}

    @property
    def billed(self) -> tuple[Usage, ...]:
        amounts = {"num_requests": 1, "input_tokens": sum(map(len, self._prompts))}
        return (Usage(RANKINGS, self._card.id, amounts),)

    def workload(self, priority: int = 0) -> Workload:
        """A cross-encoder reads each pair by itself."""
        return Workload.of(
            [Workload(self._card.id, ids, 0, priority=priority) for ids in self._prompts]
        )


def _cosines(card: ModelCard, kind: Kind, pairs: Sequence[tuple[str, str]]) -> list[float]:
    from fakeai_proxy.generate.vectors import Embedder

    texts = list(dict.fromkeys(text for pair in pairs for text in pair))
    vectors = Embedder(card.id, _DIMENSIONS, kind).embed(texts)
    rows = {text: vectors[k] for k, text in enumerate(texts)}
    # A running sum, because a product's order depends on the machine.
    return [float((rows[a] * rows[b]).cumsum()[-1]) for a, b in pairs]


def _operation(
    name: str, path: str, shape: type[Shape], handler: Any, at_root: bool = False
) -> Operation:
    return Operation(name, "POST", path, handler, shape, threaded=True, at_root=at_root)


OPERATIONS = (
    _operation("createRanking", "/ranking", RankingRequest, create_ranking),
    _operation("createReranking", "/retrieval/{owner}/reranking", RankingRequest, create_ranking),
    _operation(
        "createModelReranking", "/retrieval/{owner}/{model}/reranking", RankingRequest,
        create_ranking,
    ),
    _operation("rerank", "/rerank", RerankRequest, create_rerank),
    _operation("rerankUnversioned", "/rerank", RerankRequest, create_rerank, at_root=True),
    _operation("rerankSecondVersion", "/v2/rerank", RerankRequest, create_rerank, at_root=True),
    _operation("score", "/score", ScoreRequest, create_score),
    _operation("scoreUnversioned", "/score", ScoreRequest, create_score, at_root=True),
)  # fmt: skip

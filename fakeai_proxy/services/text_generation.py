"""Azure's text generation: one input, one output."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply, Workload
from fakeai_proxy.generate.answer import stopped
from fakeai_proxy.generate.compose import compose
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.services.metering import completion
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.wire import Shape, json_reply

_ID_CHARS = 32


class TextRequest(Shape):
    input: Annotated[str, Field(min_length=1)]
    model: str | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] = 100
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    stop: Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=4)] | None = None
    user: str | None = None


def create_text(call: Call) -> Reply:
    asked: TextRequest = call.body
    if asked.model_extra:
        raise errors.unknown_parameter(next(iter(asked.model_extra))[:100])
    card = call.catalogue.asked_for(None, asked.model, "chat")
    words = Tokens.load(card.vocabulary)
    ids = words.encode(asked.input)
    room = card.context_tokens - len(ids)
    if room <= 0:
        raise errors.input_too_long("input", card.context_tokens, len(ids))
    limit = min(asked.max_output_tokens, card.output_tokens_max, room)
    rng = call.dice.roll(call.dice_key, "answer")
    canned = call.canned(card.id, asked.input)
    if canned is None:
        passage, ended = compose(words, rng, asked.input, limit)
    else:
        whole = words.passage(canned.content or canned.refusal)
        passage, ended = whole.first(limit), whole.tokens <= limit
    cut = stopped(words, passage, asked.stop or (), limit)
    passage, ended = cut.passage, ended or bool(cut.end)
    body = {
        "id": f"txtgen-{call.dice.text_id(call.id_key, 'txtgen', length=_ID_CHARS)}",
        "created": call.created,
        "output": passage.text,
        "model": card.id,
        "usage": {
            "prompt_tokens": len(ids), "completion_tokens": passage.tokens,
            "total_tokens": len(ids) + passage.tokens,
        },
    }  # fmt: skip
    workload = Workload(
        card.id, ids, passage.tokens, lora=card.id if card.parent else "",
        finishes=["stop" if ended else "length"],
    )  # fmt: skip
    return json_reply(body, workload, usage=(completion(card, len(ids), passage.tokens),))


OPERATIONS = (Operation("createText", "POST", "/text/generation", create_text, TextRequest),)

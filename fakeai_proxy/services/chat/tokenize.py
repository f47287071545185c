"""Texts and conversations as token ids, and back, in vLLM's shapes: `/tokenize` and `/detokenize`.

It belongs to the chat room because that knows how a conversation becomes a prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.generate.tokens import BEGINNINGS, Tokens
from fakeai_proxy.generate.transcript import MARKS
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.chat import wire
from fakeai_proxy.services.chat.prompt import prompt_of
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.wire import Shape, json_reply

#: What stands for a piece of an image or a sound.
_PLACEHOLDER = "<|placeholder|>"


class TokenizeRequest(Shape):
    """Either `prompt` or `messages`."""

    model: str | None = None
    prompt: str | None = None
    messages: (
        Annotated[list[Annotated[wire.Message, Field(discriminator="role")]], Field(min_length=1)]
        | None
    ) = None
    tools: list[Annotated[wire.Tool, Field(discriminator="type")]] | None = None
    add_special_tokens: bool | None = None
    add_generation_prompt: bool = True
    return_token_strs: bool | None = None


class DetokenizeRequest(Shape):
    model: str | None = None
    tokens: list[int]


def tokenize(call: Call) -> Reply:
    asked: TokenizeRequest = call.body
    card = _card(call, asked.model)
    tokens = Tokens.load(card.vocabulary)
    if (asked.prompt is None) == (asked.messages is None):
        raise errors.bad_request("Exactly one of 'prompt' and 'messages' must be given.")
    ids = _of_text(asked, card, tokens) if asked.messages is None else _of_messages(asked, tokens)
    body = {
        "count": len(ids),
        "max_model_len": card.context_tokens,
        "tokens": list(ids),
        "token_strs": [_shown(token, tokens) for token in ids] if asked.return_token_strs else None,
    }
    return json_reply(body)


def detokenize(call: Call) -> Reply:
    asked: DetokenizeRequest = call.body
    tokens = Tokens.load(_card(call, asked.model).vocabulary)
    for index, token in enumerate(asked.tokens):
        if token not in MARKS and not tokens.knows(token):
            raise errors.no_such_token(f"tokens[{index}]", token)
    text = b"".join(
        [
            tokens.bytes_of(token) if tokens.knows(token) else MARKS[token].encode()
            for token in asked.tokens
        ]
    )
    return json_reply({"prompt": text.decode("utf-8", "replace")})


def _card(call: Call, name: str | None) -> ModelCard:
    """The model of that name; the first that is served where none is given. Raises 404."""
    if name is None:
        return next(iter(call.catalogue))
    card = call.catalogue.find(name)
    return call.catalogue.require(name, "chat") if card is None else card


def _of_text(asked: TokenizeRequest, card: ModelCard, tokens: Tokens) -> Sequence[int]:
    beginning = None if card.is_openai else BEGINNINGS.get(card.vocabulary)
    ids = tokens.encode(asked.prompt or "")
    return ids if beginning is None or asked.add_special_tokens is False else [beginning, *ids]


def _of_messages(asked: TokenizeRequest, tokens: Tokens) -> Sequence[int]:
    request = wire.ChatRequest.model_construct(messages=asked.messages or [], tools=asked.tools)
    return prompt_of(tokens, request, answered=not asked.add_generation_prompt).ids


def _shown(token: int, tokens: Tokens) -> str:
    if tokens.knows(token):
        return tokens.bytes_of(token).decode("utf-8", "replace")
    return MARKS.get(token, _PLACEHOLDER)

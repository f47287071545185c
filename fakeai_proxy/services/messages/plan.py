"""What is answered to a message: thoughts, text and tool calls as blocks, how many tokens they are and
why the answer ends. Pure; `speech.py` turns a plan into bytes.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from fakeai_proxy import errors
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.messages import rules, wire
from fakeai_proxy.services.messages.block import Block
from fakeai_proxy.services.messages.filling import fill
from fakeai_proxy.services.messages.prompt import Prompt
from fakeai_proxy.services.operation import Call


@dataclass(slots=True)
class Plan:
    request: wire.MessagesRequest
    card: ModelCard
    prompt: Prompt
    #: Keys the dice: what is asked decides the answer, not whether it is streamed.
    key: bytes
    blocks: list[Block] = field(default_factory=list)
    stop_reason: str = "end_turn"
    stop_sequence: str = ""

    @property
    def output_tokens(self) -> int:
        return sum([block.tokens for block in self.blocks])

    @property
    def thinking_tokens(self) -> int:
        return sum([block.tokens for block in self.blocks if block.thought])

    @property
    def searches(self) -> tuple[int, int]:
        """Searches on the web, and pages fetched from there."""
        names = [block.name for block in self.blocks if block.kind == "server_tool_use"]
        return names.count("web_search"), names.count("web_fetch")

    @property
    def runs_code(self) -> bool:
        return any(block.name.endswith("code_execution") for block in self.blocks)

    @property
    def tokens(self) -> int:
        return len(self.prompt.ids) + self.output_tokens

    @property
    def output_ids(self) -> Sequence[int]:
        """The answer as `Prompt` puts it into the next turn; nothing after thoughts, which that turn
        leaves out, and what the vendor's tools did, which it has otherwise."""
        ids: list[int] = []
        encode = Tokens.load(self.card.vocabulary).encode
        for block in self.blocks:
            if block.kind not in ("text", "tool_use"):
                return ()
            if block.name:
                ids += encode(block.name)
            ids += block.passage.ids
        return ids


def read(call: Call, request: wire.Asking) -> tuple[ModelCard, Prompt]:
    """The model that is asked and what it reads. Raises ApiError."""
    card = call.catalogue.find(request.model)
    if card is None or card.kind != "chat":
        raise errors.model_not_found(request.model, call.catalogue.nearest(request.model))
    rules.check(request, card.id)
    return card, Prompt(Tokens.load(card.vocabulary), request)


def plan(call: Call) -> Plan:
    """Raises ApiError."""
    request: wire.MessagesRequest = call.body
    card, prompt = read(call, request)
    rules.check_answer(request, card.id, card.output_tokens_max)
    room = card.context_tokens - len(prompt.ids)
    if room <= 0:
        raise errors.context_length_exceeded(card.context_tokens, len(prompt.ids))
    made = Plan(request, card, prompt, _key(card.id, prompt.ids))
    filled = fill(request, card, call.dice, made.key, min(request.max_tokens, room), call.canned)
    made.blocks, made.stop_reason, made.stop_sequence = (
        filled.blocks,
        filled.stop_reason,
        filled.end,
    )
    return made


def _key(model: str, ids: Sequence[int]) -> bytes:
    hashed = blake2b(model.encode("utf-8", "replace") + b"\n", digest_size=16)
    hashed.update(array("I", ids))
    return hashed.digest()

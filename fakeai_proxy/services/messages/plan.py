"""What is answered to a message: thoughts, text and tool calls as blocks, how many tokens they are and
why the answer ends. Pure; `speech.py` turns a plan into bytes.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from random import Random
from typing import Any, Literal

from fakeai_proxy import errors
from fakeai_proxy.generate.answer import report, stopped, thought_tokens
from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.generate.strict_schema import SchemaError
from fakeai_proxy.generate.structured import Schema, written
from fakeai_proxy.generate.text import prose
from fakeai_proxy.generate.tokens import Passage, Tokens
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.claude import traits_of
from fakeai_proxy.services.messages import rules, wire
from fakeai_proxy.services.messages.prompt import Prompt
from fakeai_proxy.services.messages.tool_choice import called
from fakeai_proxy.services.messages.words import invalid
from fakeai_proxy.services.operation import Call

#: Prompts that the vendor documents for tests of what is otherwise rare.
_REFUSE = "ANTHROPIC_MAGIC_STRING_TRIGGER_REFUSAL"
_REDACT = "ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING"


@dataclass(frozen=True, slots=True)
class Block:
    """`head_tokens` are those of a tool's name, which goes out before the first of its input. A
    thought that is `hidden` was made, but is not shown."""

    kind: Literal["text", "thinking", "redacted_thinking", "tool_use"]
    passage: Passage
    name: str = ""
    head_tokens: int = 0
    hidden: bool = False

    @property
    def tokens(self) -> int:
        return self.head_tokens + self.passage.tokens

    @property
    def thought(self) -> bool:
        return self.kind in ("thinking", "redacted_thinking")


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
    def tokens(self) -> int:
        return len(self.prompt.ids) + self.output_tokens

    @property
    def output_ids(self) -> Sequence[int]:
        """The answer as `Prompt` puts it into the next turn; nothing after thoughts, which that turn
        leaves out."""
        ids: list[int] = []
        encode = Tokens.load(self.card.vocabulary).encode
        for block in self.blocks:
            if block.thought:
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
    _Planner(call, made, min(request.max_tokens, room)).fill()
    return made


def _key(model: str, ids: Sequence[int]) -> bytes:
    hashed = blake2b(model.encode("utf-8", "replace") + b"\n", digest_size=16)
    hashed.update(array("I", ids))
    return hashed.digest()


class _Planner:
    """Fills a plan, block by block, until it ends or has `left` no token."""

    def __init__(self, call: Call, made: Plan, limit: int) -> None:
        self.made = made
        self.request = made.request
        self.rng: Random = call.dice.roll(made.key, "answer")
        self.tokens = Tokens.load(made.card.vocabulary)
        self.hints = Hints(_question(made.request.messages))
        self.left = limit
        self.full = "max_tokens" if limit == made.request.max_tokens else (
            "model_context_window_exceeded"
        )  # fmt: skip

    def fill(self) -> None:
        made, request = self.made, self.request
        if _REFUSE in self.hints.prompt:
            made.stop_reason = "refusal"
            return
        self._think()
        if self.left <= 0:
            made.stop_reason = self.full
            return
        calls = called(request, self.hints)
        if calls.tools:
            self._call(calls.tools, calls.forced)
        elif request.schema_asked is not None:
            passage = self.tokens.passage(self._instance(request.schema_asked))
            self._say(passage.first(self.left), passage.tokens <= self.left)
        else:
            preface = report(_result(request.messages))
            self._say(
                *prose(self.tokens).write(self.rng, self.hints.subject, self.left, 0, preface)
            )

    def _think(self) -> None:
        most = self._thought_max()
        if most <= 0:
            return
        traits, request = traits_of(self.made.card.id), self.request
        config = request.output_config
        effort = (config.effort if config is not None else None) or traits.effort
        wanted = min(thought_tokens(self.rng, effort), most)
        passage, _ = prose(self.tokens).write(self.rng, self.hints.subject, most, wanted)
        display = getattr(request.thinking, "display", None)
        hidden = display == "omitted" or (display is None and traits.omitted)
        kind: Literal["thinking", "redacted_thinking"] = (
            "redacted_thinking" if _REDACT in self.hints.prompt else "thinking"
        )
        self._add(Block(kind, passage, hidden=hidden))

    def _thought_max(self) -> int:
        """Tokens that a thought may have. A model that may think as long as it likes leaves room for
        its answer."""
        thinking, traits = self.request.thinking, traits_of(self.made.card.id)
        if isinstance(thinking, wire.ManualThinking):
            return min(thinking.budget_tokens, self.left)
        choice = self.request.tool_choice
        forced = choice is not None and choice.type in ("any", "tool")
        by_default = thinking is None and traits.by_default and not forced
        return self.left // 2 if by_default or isinstance(thinking, wire.AdaptiveThinking) else 0

    def _add(self, block: Block) -> None:
        self.made.blocks.append(block)
        self.left -= block.tokens

    def _say(self, passage: Passage, ended: bool) -> bool:
        """Whether the answer may go on after it."""
        cut = stopped(self.tokens, passage, self.request.stop_sequences or (), self.left)
        if cut.passage.tokens:
            self._add(Block("text", cut.passage))
        if cut.end:
            self.made.stop_reason, self.made.stop_sequence = "stop_sequence", cut.end
        elif not ended:
            self.made.stop_reason = self.full
        return ended and not cut.end

    def _call(self, tools: Sequence[tuple[str, dict[str, Any], bool]], forced: bool) -> None:
        if not forced:
            passage = self.tokens.passage(f"I'll use {tools[0][0]} for this.")
            if not self._say(passage.first(self.left), passage.tokens <= self.left):
                return
        self.made.stop_reason = "tool_use"
        for name, schema, strict in tools:
            head = self.tokens.count(name)
            if head >= self.left:
                self.made.stop_reason = self.full
                return
            passage = self.tokens.passage(self._instance(schema, strict, name))
            argument = passage.first(self.left - head)
            self._add(Block("tool_use", argument, name, head))
            if argument is not passage:
                self.made.stop_reason = self.full
                return

    def _instance(self, schema: dict[str, Any], strict: bool = True, tool: str = "") -> str:
        try:
            return written(Schema.load(schema).instance(self.rng, self.hints, strict))
        except SchemaError as error:
            path = f"tools.{tool}.input_schema" if tool else "output_config.format.schema"
            raise invalid(path, f"JSON schema is invalid: {error}") from None


def _question(messages: Sequence[wire.Message]) -> str:
    """The text of the last message in which the user says something."""
    for message in reversed(messages):
        text = wire.text_of(message.content) if message.role == "user" else ""
        if text.strip():
            return text
    return wire.text_of(messages[-1].content)


def _result(messages: Sequence[wire.Message]) -> str:
    """What the last tool has answered, where the answer follows it."""
    for block in reversed(messages[-1].blocks):
        if isinstance(block, wire.ToolResultBlock):
            return wire.text_of(block.content)
    return ""

"""Fills an answer with blocks: thoughts, what the vendor's tools did, text with citations, and calls.

What is said and what tools are called with is planned as for every other vendor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from fakeai_proxy.dice import Dice
from fakeai_proxy.generate.answer import report, stopped, thought_tokens
from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.generate.text import prose
from fakeai_proxy.generate.tokens import Passage, Tokens
from fakeai_proxy.services.answer.planner import Planner
from fakeai_proxy.services.answer.task import Answer, Form, Task
from fakeai_proxy.services.answer.tool import Tool
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.claude import traits_of
from fakeai_proxy.services.messages import server_tools, wire
from fakeai_proxy.services.messages.block import Block
from fakeai_proxy.services.messages.citations import cited
from fakeai_proxy.services.messages.tool_choice import uses
from fakeai_proxy.services.responder import Canned

#: Prompts that the vendor documents for tests of what is otherwise rare.
_REFUSE = "ANTHROPIC_MAGIC_STRING_TRIGGER_REFUSAL"
_REDACT = "ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING"
_SCHEMA = "output_config.format.schema"


@dataclass(slots=True)
class Filled:
    """`end` is the stop sequence that ended it, "" where none did."""

    blocks: list[Block] = field(default_factory=list)
    stop_reason: str = "end_turn"
    end: str = ""


def fill(
    request: wire.MessagesRequest,
    card: ModelCard,
    dice: Dice,
    key: bytes,
    limit: int,
    canned: Callable[[str, str], Canned | None],
) -> Filled:
    """Up to `limit` tokens; what `canned` has for a model and a prompt goes first. Raises ApiError."""
    filling = _Filling(request, card, dice, key, limit, canned)
    filling.fill()
    return filling.made


class _Filling:
    """Block by block, until the answer ends or has `left` no token."""

    def __init__(
        self,
        request: wire.MessagesRequest,
        card: ModelCard,
        dice: Dice,
        key: bytes,
        limit: int,
        canned: Callable[[str, str], Canned | None],
    ) -> None:
        self.made = Filled()
        self.request = request
        self.card = card
        self.dice = dice
        self.key = key
        self.tokens = Tokens.load(card.vocabulary)
        self.hints = Hints(_question(request.messages), wire.text_of(request.system or ""))
        self.left = limit
        self.canned = canned(card.id, self.hints.prompt)
        self.full = "max_tokens" if limit == request.max_tokens else "model_context_window_exceeded"

    def fill(self) -> None:
        if _REFUSE in self.hints.prompt:
            self.made.stop_reason = "refusal"
            return
        if self.canned is not None:
            self._answer((), ())
            return
        self._think()
        if self.left <= 0:
            self.made.stop_reason = self.full
            return
        used = uses(self.request, self.hints)
        preface = used.runs or used.calls
        if preface and not used.forced:
            name = used.runs[0].name or used.runs[0].kind if used.runs else used.calls[0].name
            passage = self.tokens.passage(f"I'll use {name} for this.")
            if not self._say(passage.first(self.left), passage.tokens <= self.left):
                return
        found = self._run(used.runs)
        if found is None:
            return
        if not used.calls and not self._quote():
            return
        self._answer(used.calls, found)

    def _think(self) -> None:
        most = self._thought_max()
        if most <= 0:
            return
        traits, request = traits_of(self.card.id), self.request
        config = request.output_config
        effort = (config.effort if config is not None else None) or traits.effort
        rng = self.dice.roll(self.key, "thought")
        wanted = min(thought_tokens(rng, effort), most)
        passage, _ = prose(self.tokens).write(rng, self.hints.subject, most, wanted)
        display = getattr(request.thinking, "display", None)
        hidden = display == "omitted" or (display is None and traits.omitted)
        kind: Literal["thinking", "redacted_thinking"] = (
            "redacted_thinking" if _REDACT in self.hints.prompt else "thinking"
        )
        self._add(Block(kind, passage, hidden=hidden))

    def _thought_max(self) -> int:
        """Tokens that a thought may have. A model that may think as long as it likes leaves room for
        its answer."""
        thinking, traits = self.request.thinking, traits_of(self.card.id)
        if isinstance(thinking, wire.ManualThinking):
            return min(thinking.budget_tokens, self.left)
        choice = self.request.tool_choice
        forced = choice is not None and choice.type in ("any", "tool")
        by_default = thinking is None and traits.by_default and not forced
        return self.left // 2 if by_default or isinstance(thinking, wire.AdaptiveThinking) else 0

    def _add(self, block: Block) -> None:
        self.made.blocks.append(block)
        self.left -= block.tokens

    def _say(
        self, passage: Passage, ended: bool, citations: Sequence[Mapping[str, Any]] = ()
    ) -> bool:
        """Whether the answer may go on after it."""
        cut = stopped(self.tokens, passage, self.request.stop_sequences or (), self.left)
        self._said(cut.passage, cut.end, ended, citations)
        return ended and not cut.end

    def _said(
        self, passage: Passage, end: str, ended: bool, citations: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        if passage.tokens:
            self._add(Block("text", passage, citations=citations))
        if end:
            self.made.stop_reason, self.made.end = "stop_sequence", end
        elif not ended:
            self.made.stop_reason = self.full

    def _run(self, runs: Sequence[wire.VendorTool]) -> list[Mapping[str, Any]] | None:
        """What may be cited of what was found; None where no room is left."""
        found = []
        rng = self.dice.roll(self.key, "server tools")
        for tool in runs:
            blocks = server_tools.run(tool, self.tokens, rng, self.hints)
            if sum([block.tokens for block in blocks]) >= self.left:
                self.made.stop_reason = self.full
                return None
            for block in blocks:
                self._add(block)
                if block.found is not None:
                    found.append(block.found)
        return found

    def _quote(self) -> bool:
        """Whether the answer may go on after what it quotes of a document, if there is one."""
        if self.request.schema_asked is not None:
            return True
        quoted = cited(self.request.messages, self.hints.prompt)
        if quoted is None:
            return True
        passage = self.tokens.passage(f'According to the source, "{quoted.text}" ')
        fits = passage.tokens < self.left
        return self._say(passage.first(self.left), fits, [quoted.citation])

    def _answer(self, calls: Sequence[Tool], found: Sequence[Mapping[str, Any]]) -> None:
        task = self._task(calls)
        task.canned = self.canned
        answer = Planner(self.dice, self.key, self.tokens, task).answer()
        ended = answer.finish_reason != "length"
        if answer.content is not None or answer.refusal is not None:
            cites = found if self.request.schema_asked is None else ()
            self._said(answer.said, answer.stopped_by, ended, cites)
        for call in answer.calls:
            self._add(Block("tool_use", call.arguments, call.name, call.head_tokens))
        if calls or answer.calls:
            self._called(answer)

    def _called(self, answer: Answer) -> None:
        self.made.stop_reason = self.full if answer.finish_reason == "length" else "tool_use"

    def _task(self, calls: Sequence[Tool]) -> Task:
        schema = self.request.schema_asked
        return Task(
            self.hints,
            self.left,
            calls,
            form=None if schema is None else Form(schema, True, _SCHEMA, _SCHEMA),
            report=report(_result(self.request.messages)),
            stops=self.request.stop_sequences or (),
        )


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

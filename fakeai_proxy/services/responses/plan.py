"""What is answered to a request: the items of the output, how many tokens that is and whether it came
to its end. Pure; `speech.py` turns a plan into bytes.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

import orjson

from fakeai_proxy import errors
from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.generate.text import sentence
from fakeai_proxy.generate.tokens import Passage, Tokens
from fakeai_proxy.services.answer.planner import Planner
from fakeai_proxy.services.answer.prompt import Prompt
from fakeai_proxy.services.answer.reasoning import effort_of, reasons
from fakeai_proxy.services.answer.task import ANY_OBJECT, Answer, Form, Task
from fakeai_proxy.services.answer.tool import Tool
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.extras import guided_text
from fakeai_proxy.services.items.history import (
    History,
    Item,
    check_calls,
    given,
    instructions_in,
    question_of,
    references,
    report,
)
from fakeai_proxy.services.items.media import media_of
from fakeai_proxy.services.items.memory import referred
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.responses import rules, wire
from fakeai_proxy.services.responses.attached import check_named, readable
from fakeai_proxy.services.responses.before import Before, before
from fakeai_proxy.services.responses.built_in import Workshop
from fakeai_proxy.services.responses.file_search import check_tools, citations, told
from fakeai_proxy.services.responses.output import Called, Output, Said, Thought, Work, sealed
from fakeai_proxy.services.responses.tool_choice import Uses, choose

#: Length of prose by verbosity, as factors.
_LENGTHS = {"low": 0.5, "medium": 1.0, "high": 2.0}
#: Parts of a summary of thoughts, and the sentences of each.
_SUMMARY_PARTS = {"auto": 1, "concise": 1, "detailed": 2}
_SUMMARY_SENTENCES = 2
_NOISE_CHARS = 512


@dataclass(frozen=True, slots=True)
class Read:
    """`history` is all that was said up to the answer, `given` what of it came with the request and
    `before` what had been there."""

    history: History
    given: list[Item]
    before: Before
    #: What an answer may say of the pictures and the like that came last.
    told: tuple[str, ...] = ()


@dataclass(slots=True)
class Plan:
    """`said` is the answer as the next turn's prompt has it, empty where that has something else."""

    request: wire.ResponseRequest
    card: ModelCard
    read: Read
    prompt: array[int]
    outputs: list[Output]
    ended: bool
    reasoning_tokens: int
    said: Sequence[int]

    @property
    def output_tokens(self) -> int:
        return sum([output.tokens for output in self.outputs])

    @property
    def tokens(self) -> int:
        return len(self.prompt) + self.output_tokens


def plan(call: Call) -> Plan:
    """Raises ApiError."""
    request: wire.ResponseRequest = call.body
    rules.check_shape(request, call.strict)
    card = call.catalogue.asked_for(call.params.get("deployment"), request.model, "chat")
    rules.check(request, card)
    if request.prompt is not None:
        raise errors.prompt_not_found(request.prompt.id)
    check_tools(call, request.tools or ())
    check_named(call, request.tools or ())
    heard = read(call, request, card)
    history = heard.history
    rules.check_json_mode(request, history.items)
    tokens = Tokens.load(card.vocabulary)
    prompt = prompt_of(tokens, request, history.turns_for(card), card)
    room = card.context_tokens - len(prompt)
    asked = request.max_output_tokens or card.output_tokens_max
    maker = _Maker(call, request, card, tokens, heard)
    outputs, answer = maker.outputs(min(asked, card.output_tokens_max, room))
    simple = not answer.reasoning_tokens and not any(isinstance(out, Work) for out in outputs)
    return Plan(
        request, card, heard, prompt, outputs, answer.finish_reason != "length",
        answer.reasoning_tokens, answer.ids(tokens) if simple else (),
    )  # fmt: skip


def read(call: Call, request: wire.Prompted | wire.CompactRequest, card: ModelCard) -> Read:
    """Raises ApiError and Unhurried."""
    earlier = before(call, request, card)
    names = references(request.input)
    items = given(request.input, call.wait_for(lambda: referred(call, names)) if names else {})
    if items or earlier.history.items:
        check_calls([*earlier.history.items, *items])
    shown = readable(call, items)
    media = media_of(card, shown, "input")
    history = earlier.history.and_then(card, items, media, shown)
    return Read(history, items, earlier, tuple(media.told))


def prompt_of(
    tokens: Tokens,
    request: wire.Prompted | wire.CompactRequest,
    turns: Sequence[array[int]],
    card: ModelCard,
) -> array[int]:
    """All that the model reads. Where it may be truncated, the oldest turns go first."""
    head, tail = Prompt(tokens), Prompt(tokens)
    rendered = _rendered(request)
    if rendered:
        head.text(rendered)
    if request.instructions:
        head.open("system")
        head.text(request.instructions)
        head.close()
    tail.open("assistant")
    size = len(head.ids) + len(tail.ids) + sum(map(len, turns))
    first = 0
    if getattr(request, "truncation", None) == "auto":
        while size >= card.context_tokens and first < len(turns) - 1:
            size -= len(turns[first])
            first += 1
    if size >= card.context_tokens:
        raise errors.context_window_exceeded(card.context_tokens, size)
    prompt = array("I", head.ids)
    for turn in turns[first:]:
        prompt += turn
    prompt.extend(tail.ids)
    return prompt


def _rendered(request: wire.Prompted | wire.CompactRequest) -> str:
    """Tools and the schema of the answer as the text that a model is shown."""
    if isinstance(request, wire.CompactRequest):
        return ""
    shown: list[object] = [tool.model_dump(exclude_none=True) for tool in request.tools or ()]
    form = request.text.format if request.text else None
    if isinstance(form, wire.SchemaFormat):
        shown.append(form.schema_)
    return orjson.dumps(shown, default=str).decode() if shown else ""


class _Maker:
    """Makes the output of one response."""

    def __init__(
        self,
        call: Call,
        request: wire.ResponseRequest,
        card: ModelCard,
        tokens: Tokens,
        heard: Read,
    ) -> None:
        self.call = call
        self.request = request
        self.card = card
        self.tokens = tokens
        self.items = items = heard.history.items
        self.told = heard.told
        self.hints = Hints(
            question_of(items), f"{request.instructions or ''}\n{instructions_in(items)}".strip()
        )
        self.rng: Random = call.dice.roll(call.dice_key, "work")

    def outputs(self, limit: int) -> tuple[list[Output], Answer]:
        canned = self.call.canned(self.card.id, self.hints.prompt)
        uses = Uses() if canned else choose(self.request, self.items, self.hints)
        shop = Workshop(self.call, self.request, self.hints, self.tokens, self.rng)
        works: list[Work] = []
        left = limit
        for work in shop.works(uses.works, self.items):
            if work.tokens >= left // 2:
                break  # what cannot be finished is not begun
            works.append(work)
            left -= work.tokens
        asks = any(work.waits for work in works)
        task = self._task(uses.calls, left)
        task.canned = canned
        found = next((work.quotes for work in works if work.quotes is not None), None)
        if found is not None and task.form is None and not self.request.ignore_eos:
            task.guide = task.guide or (lambda rng: told(found))
        answer = Planner(self.call.dice, self.call.dice_key, self.tokens, task).answer()
        thought = self._thought(answer.reasoning_tokens)
        outputs: list[Output] = [*([thought] if thought else ()), *works]
        if asks and not answer.calls:
            # Nothing more is said until the client has decided.
            return outputs, Answer(None, "stop", (), answer.reasoning_tokens)
        if answer.refusal is not None:
            outputs.append(Said(answer.refusal, answer.logprobs, refusal=True))
        elif answer.content is not None and (answer.content.tokens or not answer.reasoning_tokens):
            outputs.append(Said(answer.content, answer.logprobs, self._cited(works, answer)))
        outputs += [Called(made) for made in answer.calls]
        return outputs, answer

    def _task(self, calls: Sequence[Tool], limit: int) -> Task:
        request = self.request
        wants_logprobs = request.top_logprobs or request.includes("message.output_text.logprobs")
        effort = request.reasoning.effort if request.reasoning else None
        verbosity = (request.text.verbosity if request.text else None) or "medium"
        least = limit + 1 if request.ignore_eos else min(request.min_tokens or 0, limit)
        return Task(
            self.hints,
            limit,
            calls,
            min_tokens=least,
            form=self._form(),
            guide=self._guide(),
            report=" ".join([report(self.items), *self.told]).strip(),
            effort=effort_of(self.card.id, effort),
            top_logprobs=(request.top_logprobs or 0) if wants_logprobs else None,
            temperature=1.0 if request.temperature is None else request.temperature,
            length=_LENGTHS[verbosity],
        )

    def _form(self) -> Form | None:
        form = self.request.text.format if self.request.text else None
        if isinstance(form, wire.SchemaFormat):
            what = f"response_format '{form.name}'"
            return Form(form.schema_, bool(form.strict), what, "text.format.schema")
        if isinstance(form, wire.ObjectFormat):
            return Form(ANY_OBJECT, True, "response_format", "text.format")
        return None

    def _guide(self) -> Callable[[Random], str] | None:
        form = self.request.text.format if self.request.text else None
        if not isinstance(form, wire.ObjectFormat):
            return None
        return partial(guided_text, {"json_object": True}, hints=self.hints)

    def _thought(self, hidden_tokens: int) -> Thought | None:
        reasoning = self.request.reasoning
        if not reasons(self.card.id) or (reasoning and reasoning.effort == "none"):
            return None
        parts: list[Passage] = []
        if self.request.summary and hidden_tokens:
            for _ in range(_SUMMARY_PARTS[self.request.summary]):
                parts.append(self.tokens.passage(self._summary()))
        closed = ""
        if self.request.includes("reasoning.encrypted_content"):
            noise = self.call.dice.text_id(self.call.dice_key, "sealed", length=_NOISE_CHARS)
            closed = sealed(noise, hidden_tokens)
        return Thought(hidden_tokens, tuple(parts), closed)

    def _summary(self) -> str:
        subject = self.hints.subject or "the question"
        said = [sentence(self.rng, self.hints.subject) for _ in range(_SUMMARY_SENTENCES)]
        return f"**Considering {subject}**\n\n{' '.join(said)}"

    def _cited(self, works: Sequence[Work], answer: Answer) -> tuple[dict[str, Any], ...]:
        """What the text refers to: files where it quotes them, the rest in its first sentence."""
        assert answer.content is not None
        if self._form() is not None:
            return ()
        text = answer.content.text
        end = text.find(". ") + 1 or len(text)
        cited: list[dict[str, Any]] = []
        for work in works:
            if work.quotes is not None:
                cited += citations(work.quotes, text)
            elif work.citation is not None and text:
                cited.append({**work.citation, "start_index": 0, "end_index": end})
        return tuple(cited)

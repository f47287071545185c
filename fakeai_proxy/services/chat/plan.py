"""What is answered to a chat request: which tools are called with what, or which words are said, how
many tokens that is and why it ends. Pure; `speech.py` turns a plan into bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.generate.answer import report, stopped, thought_tokens, written
from fakeai_proxy.generate.logprobs import LogProbs
from fakeai_proxy.generate.pattern import Pattern
from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.generate.strict_schema import SchemaError
from fakeai_proxy.generate.structured import Schema
from fakeai_proxy.generate.text import prose, sentence, usual_words
from fakeai_proxy.generate.tokens import EMPTY, Passage, Tokens
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.chat import rules, wire
from fakeai_proxy.services.chat.prompt import Prompt
from fakeai_proxy.services.chat.tool_choice import Calls, choose
from fakeai_proxy.services.operation import Call

#: Tokens of all choices together.
OUTPUT_TOKENS_MAX = 262_144
_ANY_OBJECT = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "summary": {"type": "string"},
        "details": {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 4},
    },
    "required": ["title", "summary", "details"],
}


@dataclass(frozen=True, slots=True)
class ToolCall:
    """`head_tokens` are those of the name, which goes out before the first argument."""

    name: str
    arguments: Passage
    head_tokens: int
    custom: bool = False


@dataclass(slots=True)
class Choice:
    content: Passage | None
    finish_reason: str
    calls: Sequence[ToolCall] = ()
    reasoning_tokens: int = 0
    logprobs: list[dict[str, Any]] | None = None

    @property
    def tokens(self) -> int:
        said = self.content.tokens if self.content is not None else 0
        return (
            self.reasoning_tokens + said
            + sum([call.head_tokens + call.arguments.tokens for call in self.calls])
        )  # fmt: skip


@dataclass(slots=True)
class Plan:
    request: wire.ChatRequest
    card: ModelCard
    prompt: Prompt
    choices: list[Choice]
    completion_tokens: int

    @property
    def model(self) -> str:
        return self.card.id

    @property
    def reasoning_tokens(self) -> int:
        return sum([choice.reasoning_tokens for choice in self.choices])

    @property
    def tokens(self) -> int:
        return len(self.prompt.ids) + self.completion_tokens

    @property
    def output_ids(self) -> Sequence[int]:
        """The answer as `Prompt` puts it into the next turn. Nothing where that turn has something
        else there: several choices to pick from, or thoughts, which templates leave out."""
        if len(self.choices) != 1 or self.reasoning_tokens:
            return ()
        choice = self.choices[0]
        ids: list[int] = []
        if choice.content is not None:
            ids += choice.content.ids
        encode = Tokens.load(self.card.vocabulary).encode
        for call in choice.calls:
            ids += encode(call.name)
            ids += call.arguments.ids
        return ids


def plan(call: Call) -> Plan:
    """Raises ApiError."""
    request: wire.ChatRequest = call.body
    deployment = call.params.get("deployment")
    if deployment is None and not request.model:
        raise errors.missing_model()  # older words than other operations have for it
    card = call.catalogue.asked_for(deployment, request.model, "chat")
    rules.check(request, card.id, card.output_tokens_max, call.strict)
    tokens = Tokens.load(card.vocabulary)
    prompt = Prompt(tokens, request)
    room = card.context_tokens - len(prompt.ids)
    if room <= 0:
        raise errors.context_length_exceeded(card.context_tokens, len(prompt.ids))
    asked = request.max_completion_tokens or request.max_tokens or card.output_tokens_max
    planner = _Planner(call, request, card, tokens, min(asked, card.output_tokens_max, room))
    choices: list[Choice] = []
    spent = 0
    for k in range(request.n or 1):
        choices.append(planner.choice(k))
        spent += choices[-1].tokens
        if spent > OUTPUT_TOKENS_MAX:
            raise errors.bad_parameter(
                "n",
                "invalid_value",
                f"The choices together have more than {OUTPUT_TOKENS_MAX} tokens: ask for fewer or "
                "for shorter ones.",
            )
    return Plan(request, card, prompt, choices, spent)


class _Planner:
    def __init__(
        self, call: Call, request: wire.ChatRequest, card: ModelCard, tokens: Tokens, limit: int
    ) -> None:
        self.call = call
        self.request = request
        self.card = card
        self.tokens = tokens
        self.limit = limit
        self.hints = Hints(_question(request.messages))
        self.calls = choose(request, self.hints)

    def choice(self, k: int) -> Choice:
        rng = self.call.dice.roll(self.call.dice_key, "answer", k)
        thought = self._thought(rng)
        if thought >= self.limit:
            return Choice(EMPTY, "length", reasoning_tokens=self.limit)
        if self.calls.tools:
            choice = self._called(rng, self.calls, self.limit - thought, k)
        elif isinstance(self.request.response_format, wire.SchemaResponse | wire.ObjectResponse):
            choice = self._structured(rng, self.limit - thought)
        else:
            choice = self._said(rng, self.limit - thought)
        choice.reasoning_tokens = thought
        if self.request.logprobs and choice.content is not None:
            temperature = 1.0 if self.request.temperature is None else self.request.temperature
            draws = LogProbs(rng, self.tokens, usual_words(self.tokens), temperature)
            choice.logprobs = draws.of(choice.content, self.request.top_logprobs or 0)
        return choice

    def _thought(self, rng: Random) -> int:
        if not rules.reasons(self.card.id):
            return 0
        return thought_tokens(rng, self.request.reasoning_effort or "medium")

    def _said(self, rng: Random, limit: int) -> Choice:
        request = self.request
        nvext = request.nvext
        least = request.min_tokens or (nvext.min_tokens if nvext else None) or 0
        least = min(least, limit)
        if request.ignore_eos or (nvext is not None and nvext.ignore_eos):
            least = limit + 1
        preface = _report(request.messages)
        passage, ended = prose(self.tokens).write(rng, self.hints.subject, limit, least, preface)
        return self._stopped(passage, ended, limit)

    def _structured(self, rng: Random, limit: int) -> Choice:
        form = self.request.response_format
        if isinstance(form, wire.SchemaResponse):
            declared = form.json_schema
            schema = declared.schema_ if declared.schema_ is not None else {"type": "object"}
            strict = bool(declared.strict)
            what, param = f"response_format '{declared.name}'", "response_format"
        else:
            schema, strict, what, param = _ANY_OBJECT, True, "response_format", "response_format"
        try:
            text = written(Schema.load(schema).instance(rng, self.hints, strict))
        except SchemaError as error:
            raise errors.invalid_schema(what, str(error), param, "invalid_json_schema") from None
        passage = self.tokens.passage(text)
        return self._stopped(passage.first(limit), passage.tokens <= limit, limit)

    def _stopped(self, passage: Passage, ended: bool, limit: int) -> Choice:
        """Ends the passage before the first stop string, which is looked for after `min_tokens`."""
        stop = self.request.stop or ()
        stops = [stop] if isinstance(stop, str) else stop
        cut = stopped(self.tokens, passage, stops, limit, self.request.min_tokens or 0)
        return Choice(cut.passage, "stop" if ended or cut.end else "length")

    def _called(self, rng: Random, calls: Calls, limit: int, k: int) -> Choice:
        made: list[ToolCall] = []
        for tool in calls.tools:
            name = rules.name_of(tool)
            head = self.tokens.count(name)
            if head >= limit:
                return Choice(None if made else EMPTY, "length", made)
            passage = self.tokens.passage(self._argument(rng, tool))
            arguments = passage.first(limit - head)
            made.append(ToolCall(name, arguments, head, isinstance(tool, wire.CustomTool)))
            limit -= head + arguments.tokens
            if arguments is not passage:
                return Choice(None, "length", made)
        return Choice(None, calls.finish_reason, made)

    def _argument(self, rng: Random, tool: wire.Tool) -> str:
        if isinstance(tool, wire.CustomTool):
            form = tool.custom.format
            if isinstance(form, wire.GrammarFormat):
                try:
                    return Pattern.load(f"^(?:{form.grammar.definition})$").sample(rng)
                except SchemaError as error:
                    raise errors.bad_parameter(
                        "tools", "invalid_value", f"Invalid grammar: {error}"
                    ) from None
            return sentence(rng, self.hints.subject)
        function = tool.function
        try:
            schema = Schema.load(rules.parameters_of(function))
            value = schema.instance(rng, self.hints, bool(function.strict))
        except SchemaError as error:
            raise errors.invalid_schema(
                f"function '{function.name}'", str(error), "tools", "invalid_function_parameters"
            ) from None
        return written(value)


def _question(messages: Sequence[wire.Message]) -> str:
    """The text of the last user message; of the last message where no user speaks."""
    for message in reversed(messages):
        if message.role == "user":
            return wire.text_of(message.content)
    return wire.text_of(messages[-1].content)


def _report(messages: Sequence[wire.Message]) -> str:
    """A sentence about the tool result that the answer follows."""
    last = messages[-1]
    if last.role not in ("tool", "function"):
        return ""
    return report(wire.text_of(last.content))

"""From a task to an answer: which tools are called with what, or which words are said, how many tokens
that is and why it ends. Pure, but for the dice that are passed in.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from fakeai_proxy import errors
from fakeai_proxy.dice import Dice
from fakeai_proxy.generate import bias, citations
from fakeai_proxy.generate.answer import stopped, thought_tokens
from fakeai_proxy.generate.compose import compose
from fakeai_proxy.generate.logprobs import LogProbs
from fakeai_proxy.generate.prediction import Match, compare, follow
from fakeai_proxy.generate.strict_schema import SchemaError
from fakeai_proxy.generate.structured import Schema, written
from fakeai_proxy.generate.text import prose, sentence, usual_words
from fakeai_proxy.generate.tokens import EMPTY, Passage, Tokens
from fakeai_proxy.services.answer.grammars import by_grammar
from fakeai_proxy.services.answer.refusal import REFUSAL, refuses
from fakeai_proxy.services.answer.task import Answer, Citation, Form, Task, ToolCall
from fakeai_proxy.services.answer.tool import Tool
from fakeai_proxy.services.responder import Canned


class Planner:
    """`key` keys the dice: equal tasks under one key have equal answers."""

    def __init__(self, dice: Dice, key: bytes, tokens: Tokens, task: Task) -> None:
        self._dice = dice
        self._key = key
        self._tokens = tokens
        self._task = task

    def answer(self, k: int = 0) -> Answer:
        """The k-th answer. Raises ApiError."""
        task = self._task
        if task.canned is not None:
            return self._canned(task.canned, task.limit)
        rng = self._dice.roll(self._key, "answer", k)
        thought = 0 if task.effort is None else thought_tokens(rng, task.effort)
        if thought >= task.limit:
            aloud = self._thought(k, task.limit)
            return Answer(EMPTY, "length", reasoning_tokens=task.limit, thought=aloud)
        limit = task.limit - thought
        if task.calls:
            answer = self._called(rng, limit)
        elif refuses(task.hints.prompt):
            answer = self._refused(limit)
        elif task.guide is not None:
            passage = self._tokens.passage(task.guide(rng))
            answer = self._stopped(passage.first(limit), passage.tokens <= limit, limit)
        elif task.form is not None:
            answer = self._structured(rng, task.form, limit)
        elif task.prediction is not None:
            answer = self._followed(task.prediction, limit)
        else:
            answer = self._said(rng, limit)
        if task.prediction is not None and answer.match is None:
            answer.match = self._match(answer, task.prediction)
        answer.reasoning_tokens = thought
        answer.thought = self._thought(k, thought)
        if task.top_logprobs is not None and not answer.calls:
            draws = LogProbs(rng, self._tokens, usual_words(self._tokens), task.temperature)
            answer.logprobs = draws.of(answer.said, task.top_logprobs)
        return answer

    def _canned(self, canned: Canned, limit: int) -> Answer:
        if canned.calls:
            return self._cut_calls([(Tool(name), text) for name, text in canned.calls], limit)
        passage = self._tokens.passage(canned.refusal or canned.content)
        if canned.refusal:
            cut = passage.first(limit)
            return Answer(None, "stop" if cut is passage else "length", refusal=cut)
        answer = self._stopped(passage.first(limit), passage.tokens <= limit, limit)
        if canned.finish_reason and answer.finish_reason == "stop":
            answer.finish_reason = canned.finish_reason
        return answer

    def _thought(self, k: int, count: int) -> Passage | None:
        """Exactly so many tokens of thinking aloud, which leaves the answer's own dice alone."""
        if not self._task.thinks_aloud or not count:
            return None
        rng = self._dice.roll(self._key, "thought", k)
        passage, _ = prose(self._tokens).write(
            rng, self._task.hints.subject, count, count, endless=True
        )
        return passage.first(count)

    def _followed(self, prediction: str, limit: int) -> Answer:
        passage = self._tokens.passage(follow(prediction, self._task.hints.prompt))
        answer = self._stopped(passage.first(limit), passage.tokens <= limit, limit)
        answer.match = self._match(answer, prediction)
        return answer

    def _match(self, answer: Answer, prediction: str) -> Match:
        return compare(answer.said.ids, self._tokens.encode(prediction))

    def _said(self, rng: Random, limit: int) -> Answer:
        task = self._task
        only_these = bias.forced(task.bias)
        if only_these:
            return self._stopped(bias.only(rng, self._tokens, only_these, limit), False, limit)
        passage, ended = compose(
            self._tokens, rng, task.hints.prompt, limit, min(task.min_tokens, limit), task.report,
            task.endless, task.length,
        )  # fmt: skip
        if task.bias:
            passage = bias.without(rng, self._tokens, passage, task.bias)
        answer = self._stopped(passage, ended, limit)
        return self._cited(rng, answer, limit) if task.cites else answer

    def _cited(self, rng: Random, answer: Answer, limit: int) -> Answer:
        """The same with its source behind it, where there is room for that."""
        if answer.finish_reason != "stop" or not answer.said.tokens:
            return answer
        title, url = citations.page(rng, self._task.hints.subject)
        before = answer.said.text
        link = f"([{url.split('/')[2]}]({url}))"
        passage = self._tokens.passage(f"{before} {link}")
        if passage.tokens > limit:
            return answer
        start = len(before) + 1
        citation = Citation(start, start + len(link), title, url)
        return Answer(passage, "stop", citations=[citation])

    def _refused(self, limit: int) -> Answer:
        whole = self._tokens.passage(REFUSAL)
        passage = whole.first(limit)
        finish_reason = "stop" if passage is whole else "length"
        if self._task.form is not None:
            return Answer(None, finish_reason, refusal=passage)
        return Answer(passage, finish_reason)

    def _structured(self, rng: Random, form: Form, limit: int) -> Answer:
        try:
            text = written(Schema.load(form.schema).instance(rng, self._task.hints, form.strict))
        except SchemaError as error:
            raise errors.invalid_schema(
                form.what, str(error), form.param, "invalid_json_schema"
            ) from None
        passage = self._tokens.passage(text)
        return self._stopped(passage.first(limit), passage.tokens <= limit, limit)

    def _stopped(self, passage: Passage, ended: bool, limit: int) -> Answer:
        task = self._task
        cut = stopped(self._tokens, passage, task.stops, limit, task.stops_after_tokens)
        finish_reason = "stop" if ended or cut.end else "length"
        return Answer(cut.passage, finish_reason, stopped_by=cut.end)

    def _called(self, rng: Random, limit: int) -> Answer:
        return self._cut_calls(
            ((tool, self.argument(rng, tool)) for tool in self._task.calls), limit
        )

    def _cut_calls(self, calls: Iterable[tuple[Tool, str]], limit: int) -> Answer:
        """Tools with what they are called with, as far as there is room."""
        made: list[ToolCall] = []
        for tool, text in calls:
            head = self._tokens.count(tool.name)
            if head >= limit:
                return Answer(None if made else EMPTY, "length", made)
            passage = self._tokens.passage(text)
            arguments = passage.first(limit - head)
            made.append(ToolCall(tool.name, arguments, head, tool.custom, tool))
            limit -= head + arguments.tokens
            if arguments is not passage:
                return Answer(None, "length", made)
        return Answer(None, self._task.finish_reason, made)

    def argument(self, rng: Random, tool: Tool) -> str:
        """What the tool is called with. Raises ApiError."""
        hints = self._task.hints
        if tool.custom and tool.grammar:
            return by_grammar(rng, tool)
        if tool.custom:
            return sentence(rng, hints.subject)
        try:
            return written(Schema.load(tool.parameters).instance(rng, hints, tool.strict))
        except SchemaError as error:
            raise errors.invalid_schema(
                f"function '{tool.name}'", str(error), "tools", "invalid_function_parameters"
            ) from None

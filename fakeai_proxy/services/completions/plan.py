"""How a prompt goes on: which words follow, how many tokens that is and why it ends. Pure; `speech.py`
turns a plan into bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.generate.answer import stopped
from fakeai_proxy.generate.logprobs import LogProbs
from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.generate.text import continuation, prose, usual_words
from fakeai_proxy.generate.tokens import EMPTY, Passage, Tokens
from fakeai_proxy.services.answer.task import OUTPUT_TOKENS_MAX
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.completions import rules
from fakeai_proxy.services.completions.prompts import Prompt, prompts_of
from fakeai_proxy.services.completions.wire import CompletionRequest
from fakeai_proxy.services.extras import guided_text, is_endless, least_tokens
from fakeai_proxy.services.operation import Call

#: platform.openai.com/docs/api-reference/completions/create
MAX_TOKENS_DEFAULT = 16

#: One a token, as `LogProbs` draws them; None for the first of a prompt, which follows nothing.
Entries = Sequence[dict[str, Any] | None]


@dataclass(slots=True)
class Choice:
    passage: Passage
    finish_reason: str
    logprobs: Entries = ()


@dataclass(slots=True)
class Answers:
    """What follows one prompt: the choices, and what all the candidates cost and ended by."""

    prompt: Prompt
    choices: list[Choice]
    ends: list[str]
    tokens: int
    #: The prompt as its tokens and how likely they were, where that is asked for.
    spelled: Passage = EMPTY
    prompt_entries: Entries = ()


@dataclass(slots=True)
class Plan:
    request: CompletionRequest
    card: ModelCard
    answers: list[Answers]

    @property
    def prompt_tokens(self) -> int:
        return sum([len(each.prompt.ids) for each in self.answers])

    @property
    def completion_tokens(self) -> int:
        return sum([each.tokens for each in self.answers])

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


def plan(call: Call) -> Plan:
    """Raises ApiError."""
    request: CompletionRequest = call.body
    deployment = call.params.get("deployment")
    if deployment is None and not request.model:
        raise errors.missing_model()  # older words than other operations have for it
    card = call.catalogue.asked_for(deployment, request.model, "completion")
    rules.check(request, card, call.strict)
    tokens = Tokens.load(card.vocabulary)
    limit = MAX_TOKENS_DEFAULT if request.max_tokens is None else request.max_tokens
    prompts = prompts_of(request, card, tokens)
    for prompt in prompts:
        rules.check_room(prompt, limit, card)
    writer = _Writer(call, request, tokens, limit)
    answers: list[Answers] = []
    spent = 0
    for prompt in prompts:
        answers.append(writer.answers(prompt, len(answers)))
        spent += answers[-1].tokens
        if spent > OUTPUT_TOKENS_MAX:
            raise errors.too_many_choice_tokens(OUTPUT_TOKENS_MAX)
    return Plan(request, card, answers)


class _Writer:
    def __init__(self, call: Call, request: CompletionRequest, tokens: Tokens, limit: int) -> None:
        self.call = call
        self.request = request
        self.tokens = tokens
        self.limit = limit
        self.guide = request.guide()
        self.least = min(least_tokens(request.min_tokens, request.nvext), limit)
        self.endless = is_endless(request.ignore_eos, request.nvext)
        self.stop = [request.stop] if isinstance(request.stop, str) else request.stop or []

    def answers(self, prompt: Prompt, place: int) -> Answers:
        request = self.request
        hints = Hints(prompt.text)
        made: list[tuple[Choice, Random]] = []
        for k in range(request.candidates):
            rng = self.call.dice.roll(self.call.dice_key, "answer", place, k)
            made.append((self._choice(rng, prompt, hints), rng))
            if sum([choice.passage.tokens for choice, _ in made]) > OUTPUT_TOKENS_MAX:
                break
        if request.logprobs is not None or request.candidates > request.answers:
            for choice, rng in made:
                choice.logprobs = self._entries(rng, choice.passage, request.logprobs or 0)
        candidates = [choice for choice, _ in made]
        found = Answers(
            prompt,
            _best(candidates, request.answers),
            [choice.finish_reason for choice in candidates],
            sum([choice.passage.tokens for choice in candidates]),
        )
        self._look_back(found, place)
        return found

    def _choice(self, rng: Random, prompt: Prompt, hints: Hints) -> Choice:
        limit = self.limit
        if limit == 0:
            return Choice(EMPTY, "length")
        canned = self.call.canned(self.call.body.model or "", prompt.text)
        if canned is not None:
            whole = self.tokens.passage(canned.content or canned.refusal)
            passage, ended = whole.first(limit), whole.tokens <= limit
        elif self.guide:
            whole = self.tokens.passage(guided_text(self.guide, rng, hints))
            passage, ended = whole.first(limit), whole.tokens <= limit
        else:
            passage, ended = prose(self.tokens).write(
                rng, hints.subject, limit, self.least,
                continuation(rng, prompt.text, hints.subject), self.endless,
            )  # fmt: skip
        cut = stopped(self.tokens, passage, self.stop, limit, self.request.min_tokens or 0)
        return Choice(cut.passage, "stop" if ended or cut.end else "length")

    def _entries(self, rng: Random, passage: Passage, top: int) -> Entries:
        given = self.request.temperature
        draws = LogProbs(
            rng, self.tokens, usual_words(self.tokens), 1.0 if given is None else given
        )
        return draws.of(passage, top)

    def _look_back(self, found: Answers, place: int) -> None:
        """What the prompt's own tokens are worth, where they are shown."""
        request = self.request
        echoed = request.echo and request.logprobs is not None
        if not echoed and request.prompt_logprobs is None:
            return
        top = max(request.logprobs or 0 if echoed else 0, request.prompt_logprobs or 0)
        rng = self.call.dice.roll(self.call.dice_key, "prompt", place)
        found.spelled = Passage.of((self.tokens.span_of(found.prompt.ids),))
        found.prompt_entries = [None, *self._entries(rng, found.spelled, top)[1:]]


def _best(candidates: list[Choice], count: int) -> list[Choice]:
    """Those whose tokens are the likeliest on average, best first."""
    if len(candidates) <= count:
        return candidates
    return sorted(candidates, key=_likelihood, reverse=True)[:count]


def _likelihood(choice: Choice) -> float:
    logprobs = [entry["logprob"] for entry in choice.logprobs if entry is not None]
    return sum(logprobs) / len(logprobs) if logprobs else 0.0

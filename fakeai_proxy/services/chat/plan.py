"""What is answered to a chat request: its task, and the answers to it. Pure; `speech.py` turns a plan
into bytes.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.exchange import Usage, Workload
from fakeai_proxy.generate.answer import report as result_told
from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.generate.prediction import Match
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.services.answer.planner import Planner
from fakeai_proxy.services.answer.prompt import Prompt
from fakeai_proxy.services.answer.reasoning import effort_for, thinks_aloud
from fakeai_proxy.services.answer.senses import searches
from fakeai_proxy.services.answer.task import OUTPUT_TOKENS_MAX, Answer, Form, Task
from fakeai_proxy.services.answer.voice import Sound, spoken, within
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.chat import rules, wire
from fakeai_proxy.services.chat.media import Media, media_of
from fakeai_proxy.services.chat.prompt import prompt_of
from fakeai_proxy.services.chat.tool_choice import choose
from fakeai_proxy.services.extras import guided_text, is_endless, least_tokens
from fakeai_proxy.services.operation import Call

#: By verbosity: a factor to an answer's usual length.
LENGTHS = {"low": 0.5, "medium": 1.0, "high": 2.0}


@dataclass(slots=True)
class Plan:
    request: wire.ChatRequest
    card: ModelCard
    prompt: Prompt
    choices: list[Answer]
    #: Generated ones, as an engine makes them.
    completion_tokens: int
    media: Media
    #: What each choice sounds like; empty where nothing is said aloud.
    sounds: Sequence[Sound | None] = ()
    #: What an equal request need not make again; the speech puts it there.
    workload: Workload | None = None
    usage: Sequence[Usage] = ()
    rendered: bytes | None = None
    counted: bytes | None = None

    @property
    def model(self) -> str:
        return self.card.id

    @property
    def match(self) -> Match | None:
        """How a prediction fared."""
        return self.choices[0].match if self.choices else None

    @property
    def strides(self) -> Sequence[int]:
        """Tokens by step, where a prediction lets several through."""
        match = self.match
        return () if match is None or not match.accepted or self.reasoning_tokens else match.strides

    @property
    def audio_tokens(self) -> int:
        return sum([sound.tokens for sound in self.sounds if sound is not None])

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
        if len(self.choices) != 1 or self.reasoning_tokens or self.request.audio is not None:
            return ()
        return self.choices[0].ids(Tokens.load(self.card.vocabulary))


def plan(call: Call) -> Plan:
    """Raises ApiError."""
    request: wire.ChatRequest = call.body
    deployment = call.params.get("deployment")
    if deployment is None and not request.model:
        raise errors.missing_model()  # older words than other operations have for it
    card = call.catalogue.asked_for(deployment, request.model, "chat")
    rules.check(request, card, call.strict)
    media = media_of(call, request, card)
    tokens = Tokens.load(card.vocabulary)
    rules.check_bias(request, tokens)
    prompt = prompt_of(tokens, request, media)
    prompt.audio_tokens = media.audio_tokens
    room = card.context_tokens - len(prompt.ids)
    if room <= 0:
        raise errors.context_length_exceeded(card.context_tokens, len(prompt.ids))
    asked = request.max_completion_tokens or request.max_tokens or card.output_tokens_max
    task = _task(request, card, media, min(asked, card.output_tokens_max, room))
    task.canned = call.canned(card.id, task.hints.prompt)
    planner = Planner(call.dice, _key(request, card, prompt), tokens, task)
    choices: list[Answer] = []
    spent = 0
    for k in range(request.n or 1):
        choices.append(planner.answer(k))
        spent += choices[-1].tokens
        if spent > OUTPUT_TOKENS_MAX:
            raise errors.too_many_choice_tokens(OUTPUT_TOKENS_MAX)
    made = Plan(request, card, prompt, choices, spent, media)
    if request.audio is not None:
        made.sounds = [_sound(choice, request.audio, task.limit) for choice in choices]
        made.completion_tokens = sum([choice.tokens for choice in choices]) + made.audio_tokens
    return made


def _key(request: wire.ChatRequest, card: ModelCard, prompt: Prompt) -> bytes:
    """What an answer depends on: it is the same however it is sent, kept or cut."""
    sampling = (card.id, request.seed, request.temperature, request.top_p)
    hashed = blake2b(repr(sampling).encode("utf-8", "replace"), digest_size=16)
    hashed.update(array("q", prompt.ids).tobytes())
    return hashed.digest()


def _sound(choice: Answer, audio: wire.AudioOutput, limit: int) -> Sound | None:
    """The choice as it is said aloud, which makes it shorter where both have no room."""
    if choice.calls or not choice.said.tokens:
        return None
    voice = audio.voice if isinstance(audio.voice, str) else audio.voice.id
    said = choice.said
    sound = spoken(said, voice, audio.format)
    while said.tokens > 1 and said.tokens + sound.tokens > limit:
        said = within(said, sound, limit)
        choice.content, choice.refusal, choice.finish_reason = said, None, "length"
        sound = spoken(said, voice, audio.format)
    return sound


def _task(request: wire.ChatRequest, card: ModelCard, media: Media, limit: int) -> Task:
    hints = Hints(_question(request.messages), _instructions(request.messages))
    calls = choose(request, hints)
    guide = _guide(request)
    stop = request.stop or ()
    aloud = thinks_aloud(card)
    effort = effort_for(card, request.reasoning_effort, _enables_thinking(request))
    prediction = request.prediction
    return Task(
        hints,
        limit,
        calls.tools,
        calls.finish_reason,
        _form(request),
        None if guide is None else partial(guided_text, guide, hints=hints),
        " ".join([_report(request.messages), *media.told]).strip(),
        effort,
        least_tokens(request.min_tokens, request.nvext),
        is_endless(request.ignore_eos, request.nvext),
        [stop] if isinstance(stop, str) else stop,
        request.min_tokens or 0,
        (request.top_logprobs or 0) if request.logprobs else None,
        1.0 if request.temperature is None else request.temperature,
        LENGTHS[request.verbosity or "medium"],
        None if prediction is None else wire.text_of(prediction.content),
        aloud,
        {int(token): value for token, value in (request.logit_bias or {}).items()},
        request.web_search_options is not None or searches(card),
    )


def _enables_thinking(request: wire.ChatRequest) -> bool | None:
    """What the template is told, as vLLM passes it on."""
    given = (request.model_extra or {}).get("chat_template_kwargs")
    asked = given.get("enable_thinking", given.get("thinking")) if isinstance(given, dict) else None
    return asked if isinstance(asked, bool) else None


def _guide(request: wire.ChatRequest) -> dict[str, Any] | None:
    """What guides the text, as vLLM names it."""
    guide = request.guide()
    if not guide and isinstance(request.response_format, wire.ObjectResponse):
        guide = {"json_object": True}
    return guide or None


def _form(request: wire.ChatRequest) -> Form | None:
    form = request.response_format
    if isinstance(form, wire.SchemaResponse):
        declared = form.json_schema
        schema = declared.schema_ if declared.schema_ is not None else {"type": "object"}
        what = f"response_format '{declared.name}'"
        return Form(schema, bool(declared.strict), what, "response_format")
    return None


def _question(messages: Sequence[wire.Message]) -> str:
    """The text of the last user message; of the last message where no user speaks."""
    for message in reversed(messages):
        if message.role == "user":
            return wire.text_of(message.content)
    return wire.text_of(messages[-1].content)


def _instructions(messages: Sequence[wire.Message]) -> str:
    said = [message for message in messages if message.role in ("system", "developer")]
    return "\n".join([wire.text_of(message.content) for message in said])


def _report(messages: Sequence[wire.Message]) -> str:
    """A sentence about the tool result that the answer follows."""
    last = messages[-1]
    return result_told(wire.text_of(last.content)) if last.role in ("tool", "function") else ""

"""Transcriptions and translations: what was heard, in the form that was asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import orjson

from fakeai_proxy import errors
from fakeai_proxy.exchange import Chunk, Reply, Workload
from fakeai_proxy.generate.language import ENGLISH
from fakeai_proxy.generate.logprobs import LogProbs
from fakeai_proxy.generate.text import usual_words
from fakeai_proxy.generate.tokens import Passage, Tokens
from fakeai_proxy.services.audio import transcript
from fakeai_proxy.services.audio.hearing import Heard, hear
from fakeai_proxy.services.audio.languages import code_of
from fakeai_proxy.services.audio.rules import (
    check_duration,
    check_known,
    check_transcription,
    hearing_of,
)
from fakeai_proxy.services.audio.speakers import check_references, diarized
from fakeai_proxy.services.audio.wire import TranscriptionRequest, TranslationRequest
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.metering import transcription
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.wire import json_reply, sse_reply

#: platform.openai.com/docs/guides/realtime-costs: a token is 100 ms of the sound that a model hears.
_TOKENS_PER_S = 10
#: Above the ids of every vocabulary; twice of it leaves room below 32 bits.
_FIRST_TOKEN = 1 << 30


def create_transcription(call: Call) -> Reply:
    asked: TranscriptionRequest = call.body
    card = call.catalogue.asked_for(call.params.get("deployment"), asked.model, "transcription")
    check_known(asked, call.strict)
    check_transcription(asked, card)
    spoken = code_of(asked.language) if asked.language else ENGLISH
    check_references(asked.known_speaker_references or ())
    heard = hear(call, asked.file, asked.prompt or "", asked=spoken)
    check_duration(asked, card, heard.duration_s)
    made = _Transcription(call, card, heard, asked.prompt or "", bool(asked.include))
    wanted = asked.response_format or "json"
    if asked.stream and hearing_of(card).streams:
        speakers = (asked.known_speaker_names or ()) if wanted == "diarized_json" else None
        return sse_reply(list(made.events(speakers)), made.workload, made.billed)
    if wanted == "diarized_json":
        return made.diarized(asked.known_speaker_names or ())
    granularities = asked.timestamp_granularities or ["segment"]
    return made.whole(wanted, "transcribe", granularities, asked.temperature or 0.0)


def create_translation(call: Call) -> Reply:
    asked: TranslationRequest = call.body
    card = call.catalogue.asked_for(call.params.get("deployment"), asked.model, "transcription")
    check_known(asked, call.strict)
    if not hearing_of(card).translates:
        raise errors.bad_parameter(
            "model", "unsupported_model", f"The model '{card.id}' does not translate audio."
        )
    heard = hear(call, asked.file, asked.prompt or "", english=True)
    made = _Transcription(call, card, heard, asked.prompt or "", False)
    wanted = asked.response_format or "json"
    if wanted == "json":
        return json_reply({"text": heard.text}, made.workload, usage=made.billed)
    return made.whole(wanted, "translate", ["segment"], asked.temperature or 0.0)


class _Transcription:
    """What was heard, what hearing it cost, and its forms."""

    def __init__(
        self, call: Call, card: ModelCard, heard: Heard, prompt: str, logprobs: bool
    ) -> None:
        self._call = call
        self._heard = heard
        self._tokens = Tokens.load(card.vocabulary)
        self._passage = self._tokens.passage(heard.text)
        audio = max(math.ceil(heard.duration_s * _TOKENS_PER_S), 1)
        read = self._tokens.encode(prompt) if prompt else []
        # The same sound has the same tokens, and no other sound or text has them.
        first = _FIRST_TOKEN + int.from_bytes(heard.key[:4], "big") % _FIRST_TOKEN
        tokens = len(self._passage.ids)
        self.workload = Workload(card.id, [*read, *range(first, first + audio)], tokens)
        self.billed = (transcription(card, heard.duration_s, audio, len(read), tokens),)
        if hearing_of(card).by_duration:
            self._usage = transcript.seconds_used(heard)
        else:
            self._usage = transcript.tokens_used(audio, len(read), tokens)
        self._logprobs = self._sure(self._passage) if logprobs else None

    def whole(self, wanted: str, task: str, granularities: list[Any], temperature: float) -> Reply:
        heard = self._heard
        if wanted == "json":
            body: dict[str, Any] = {"text": heard.text}
            if self._logprobs is not None:
                body["logprobs"] = self._logprobs
            return json_reply(body | {"usage": self._usage}, self.workload, usage=self.billed)
        if wanted == "verbose_json":
            body = transcript.verbose(
                heard, task, granularities, temperature, self._call.dice, self._tokens
            )
            return json_reply(body | {"usage": self._usage}, self.workload, usage=self.billed)
        return self._text(wanted)

    def diarized(self, names: Any) -> Reply:
        body = {
            "task": "transcribe",
            "duration": self._heard.duration_s,
            "text": self._heard.text,
            "segments": diarized(self._heard, names, self._call.dice),
            "usage": self._usage,
        }
        return json_reply(body, self.workload, usage=self.billed)

    def events(self, names: Any) -> Iterator[Chunk]:
        """Token by token; `names` are None, or those of the speakers to be told apart."""
        if names is None:
            for number in range(len(self._passage.pieces)):
                yield self._delta(number, {})
        else:
            yield from self._spoken_by(names)
        done: dict[str, Any] = {
            "type": "transcript.text.done",
            "text": self._heard.text,
            "usage": self._usage,
        }
        if self._logprobs is not None:
            done["logprobs"] = self._logprobs
        yield _event(done)

    def _spoken_by(self, names: Any) -> Iterator[Chunk]:
        """A segment is told when the token with its last sign is."""
        segments = diarized(self._heard, names, self._call.dice)
        ends = [stretch.end for stretch in transcript.segments_of(self._heard)]
        at = told = 0
        for number, piece in enumerate(self._passage.pieces):
            current = segments[min(told, len(segments) - 1)]["id"] if segments else None
            yield self._delta(number, {"segment_id": current} if current else {})
            at += len(piece)
            while told < len(segments) and ends[told] <= at:
                yield _event(segments[told])
                told += 1

    def _delta(self, number: int, more: dict[str, str]) -> Chunk:
        piece = self._passage.pieces[number]
        event: dict[str, Any] = {"type": "transcript.text.delta", "delta": piece, **more}
        if self._logprobs is not None:
            event["logprobs"] = self._logprobs[number : number + 1]
        return _event(event, 1)

    def _text(self, wanted: str) -> Reply:
        segments = transcript.segments_of(self._heard)
        forms = {"srt": transcript.srt, "vtt": transcript.vtt}
        text = forms[wanted](segments) if wanted in forms else self._heard.text
        data = f"{text}\n".encode()
        headers = (
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(data)),
        )
        chunk = Chunk(data, self.workload.output_tokens)
        return Reply(200, headers, [chunk], workload=self.workload, usage=self.billed)

    def _sure(self, passage: Passage) -> list[dict[str, Any]]:
        rng = self._call.dice.roll(self._heard.key, "logprobs")
        sure = LogProbs(rng, self._tokens, usual_words(self._tokens), 0.0)
        return [
            {name: entry[name] for name in ("token", "logprob", "bytes")}
            for entry in sure.of(passage, 0)
        ]


def _event(event: dict[str, Any], tokens: int = 0) -> Chunk:
    return Chunk(b"data: " + orjson.dumps(event) + b"\n\n", tokens)

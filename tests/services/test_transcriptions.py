"""Speech to text through the vendor's own SDK."""

from __future__ import annotations

import base64
import math
import re
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.generate.language import language_of
from fakeai_proxy.generate.speech import FORMATS, encode
from fakeai_proxy.generate.tokens import Tokens
from tests.conftest import Ended, Serve
from tests.generate.speech.sounds import silence, tone
from tests.services.audio_asking import (
    DIARIZE,
    NOBODY,
    STRANGER,
    TEXT,
    TRANSCRIBE,
    WHISPER,
    said,
)
from tests.services.refusing import refused
from tests.services.threaded import threaded_app

_CUE = re.compile(r"(\d\d):(\d\d):(\d\d)[,.](\d{3}) --> (\d\d):(\d\d):(\d\d)[,.](\d{3})\n(.+)\n")


def count(text: str) -> int:
    return Tokens.load("o200k_base").count(text)


async def heard(client: AsyncOpenAI, sound: bytes, model: str = WHISPER, **more: Any) -> Any:
    return await client.audio.transcriptions.create(model=model, file=("sound.mp3", sound), **more)


@pytest.mark.parametrize("written_as", FORMATS)
@pytest.mark.parametrize("model", [WHISPER, TRANSCRIBE, DIARIZE])
async def test_our_own_speech_is_understood(
    client: AsyncOpenAI, written_as: str, model: str
) -> None:
    sound = await said(client, written_as)
    assert (await heard(client, sound, model, chunking_strategy="auto")).text == TEXT


async def test_our_own_speech_is_as_long_in_every_format(client: AsyncOpenAI) -> None:
    for text in ("The quick brown fox jumps over the lazy dog.", "Come in!", TEXT):
        duration_s = len(await said(client, "pcm", text)) / 48_000
        for written_as in FORMATS:
            told = await heard(
                client, await said(client, written_as, text), response_format="verbose_json"
            )
            assert told.duration == pytest.approx(duration_s, abs=0.1), written_as


async def test_usage_is_seconds_of_whisper_and_tokens_of_its_successors(
    client: AsyncOpenAI,
) -> None:
    sound = await said(client, "pcm")
    duration_s = len(sound) / 48_000
    whisper = await heard(client, sound)
    assert (whisper.usage.type, whisper.usage.seconds) == ("duration", math.ceil(duration_s))
    told = (await heard(client, sound, TRANSCRIBE, prompt="Tickets, please")).usage
    assert told.type == "tokens"
    assert told.output_tokens == count(TEXT)
    assert told.input_token_details.text_tokens == count("Tickets, please")
    assert told.input_token_details.audio_tokens == math.ceil(duration_s * 10)
    assert told.total_tokens == told.input_tokens + told.output_tokens


@pytest.mark.parametrize("written_as", ["srt", "vtt"])
async def test_subtitles_parse_and_tell_the_whole_text(
    client: AsyncOpenAI, written_as: str
) -> None:
    sound = await said(client)
    text = await heard(client, sound, response_format=written_as)
    cues = _CUE.findall(text)
    assert " ".join(cue[-1] for cue in cues) == TEXT
    assert len(cues) == 4
    instants = []
    for cue in cues:
        for hours, minutes, seconds, ms in (cue[:4], cue[4:8]):
            instants.append(int(hours) * 3600 + int(minutes) * 60 + int(seconds) + int(ms) / 1000)
    assert instants == sorted(instants)
    assert text.startswith("WEBVTT\n\n" if written_as == "vtt" else "1\n00:00:0")


async def test_text_is_the_text_alone(client: AsyncOpenAI) -> None:
    assert await heard(client, await said(client), response_format="text") == TEXT + "\n"


@pytest.mark.parametrize(
    ("granularities", "has_words", "has_segments"),
    [
        ([], False, True), (["word"], True, False), (["segment"], False, True),
        (["word", "segment"], True, True),
    ],
)  # fmt: skip
async def test_times_are_those_that_were_asked_for(
    client: AsyncOpenAI, granularities: Any, has_words: bool, has_segments: bool
) -> None:
    sound = await said(client, "pcm")
    told = await heard(
        client, sound, response_format="verbose_json", timestamp_granularities=granularities,
        temperature=0.2,
    )  # fmt: skip
    assert (told.text, told.language) == (TEXT, "english")
    assert told.duration == pytest.approx(len(sound) / 48_000)
    assert (told.words is not None, told.segments is not None) == (has_words, has_segments)
    if told.words:
        assert [word.word for word in told.words] == re.findall(r"\w+", TEXT)
    if told.segments:
        assert "".join(segment.text for segment in told.segments) == " " + TEXT
        assert [segment.id for segment in told.segments] == list(range(4))
        assert {segment.temperature for segment in told.segments} == {0.2}
    for stretches in (told.words or [], told.segments or []):
        times = [time for one in stretches for time in (one.start, one.end)]
        assert times == sorted(times)
        assert not times or times[-1] <= told.duration


async def test_a_language_is_recognized(client: AsyncOpenAI) -> None:
    text = "Der Leuchtturm ist nicht weit von hier, und die Aussicht ist schön."
    sound = await said(client, text=text)
    told = await heard(client, sound, response_format="verbose_json", language="de")
    assert (told.text, told.language) == (text, "german")
    translated = await client.audio.translations.create(
        model=WHISPER, file=("a.mp3", sound), response_format="verbose_json"
    )
    assert translated.language == "english"
    assert translated.text
    assert translated.text != text


async def _streamed(client: AsyncOpenAI, sound: bytes, model: str, **more: Any) -> list[Any]:
    stream: Any = await heard(client, sound, model, stream=True, **more)
    return [event async for event in stream]


@pytest.mark.parametrize("sound", ["ours", "stranger", "nobody"])
async def test_deltas_join_to_the_whole(client: AsyncOpenAI, sound: str) -> None:
    data = {"stranger": STRANGER, "nobody": NOBODY}.get(sound) or await said(client)
    *deltas, done = await _streamed(client, data, TRANSCRIBE, include=["logprobs"])
    whole = await heard(client, data, TRANSCRIBE, include=["logprobs"])
    assert {event.type for event in deltas} <= {"transcript.text.delta"}
    assert done.type == "transcript.text.done"
    assert "".join(event.delta for event in deltas) == done.text == whole.text
    assert done.usage.output_tokens == count(done.text) == len(deltas)
    assert done.usage.to_dict() == whole.usage.to_dict()
    told = [entry for event in deltas for entry in event.logprobs]
    assert [one.to_dict() for one in told] == [one.to_dict() for one in done.logprobs]
    assert "".join(one.token for one in whole.logprobs) == whole.text
    assert all(one.logprob <= 0 for one in whole.logprobs)


async def test_whisper_does_not_stream(client: AsyncOpenAI) -> None:
    raw = await client.audio.transcriptions.with_raw_response.create(
        model=WHISPER, file=("a.mp3", STRANGER), stream=True
    )
    assert raw.headers["content-type"] == "application/json"


async def test_a_stranger_says_something_for_as_long_as_it_takes(client: AsyncOpenAI) -> None:
    texts = set()
    for form in ("json", "verbose_json", "text"):
        told = await heard(client, STRANGER, response_format=form)
        texts.add((told if isinstance(told, str) else told.text).strip())
    assert len(texts) == 1
    text = texts.pop()
    # 12 seconds at 150 words a minute.
    assert len(text.split()) == pytest.approx(30, abs=3)
    longer = await heard(client, encode(tone(30), "flac"))
    assert len(longer.text.split()) == pytest.approx(75, abs=3)
    verbose = await heard(client, STRANGER, response_format="verbose_json")
    assert verbose.duration == pytest.approx(15, abs=0.1)
    assert verbose.segments[0].start == pytest.approx(1, abs=0.2)
    about = await heard(client, STRANGER, prompt="The Kilkenny Regatta")
    assert "Kilkenny" in about.text


async def test_a_strangers_words_are_in_the_language_that_is_named(client: AsyncOpenAI) -> None:
    german = await heard(client, STRANGER, language="de", response_format="verbose_json")
    assert german.language == "german"
    assert language_of(german.text) == "de"
    unknown = await heard(client, STRANGER, language="fo")
    assert language_of(unknown.text) == "en"


async def test_silence_says_nothing(client: AsyncOpenAI) -> None:
    told = await heard(client, NOBODY, response_format="verbose_json")
    assert (told.text, told.segments) == ("", [])
    assert told.duration == pytest.approx(4, abs=0.1)
    assert await heard(client, NOBODY, response_format="srt") == "\n"


def _reference(seconds: float) -> str:
    data = base64.b64encode(encode(tone(seconds, 300), "mp3")).decode()
    return f"data:audio/mpeg;base64,{data}"


async def test_speakers_are_told_apart(client: AsyncOpenAI) -> None:
    strangers = await heard(
        client, STRANGER, DIARIZE, response_format="diarized_json", chunking_strategy="auto"
    )
    assert {one.speaker for one in strangers.segments} <= {"A", "B"}
    assert " ".join(one.text for one in strangers.segments) == strangers.text
    known = await heard(
        client, STRANGER, DIARIZE, response_format="diarized_json",
        chunking_strategy={"type": "server_vad", "threshold": 0.4, "silence_duration_ms": 300},
        known_speaker_names=["agent", "customer"], known_speaker_references=[_reference(3), _reference(5)],
    )  # fmt: skip
    assert {one.speaker for one in known.segments} <= {"agent", "customer"}
    ours = await heard(client, await said(client), DIARIZE, response_format="diarized_json")
    assert {one.speaker for one in ours.segments} == {"A"}


async def test_segments_with_speakers_come_when_they_are_said(client: AsyncOpenAI) -> None:
    sound = await said(client)
    events = await _streamed(client, sound, DIARIZE, response_format="diarized_json")
    whole = await heard(client, sound, DIARIZE, response_format="diarized_json")
    segments = [event for event in events if event.type == "transcript.text.segment"]
    assert [one.to_dict() for one in segments] == [one.to_dict() for one in whole.segments]
    said_so_far, told = "", 0
    for event in events[:-1]:
        if event.type == "transcript.text.segment":
            told += 1
            assert said_so_far.endswith(event.text)
        else:
            assert event.segment_id == segments[min(told, len(segments) - 1)].id
            said_so_far += event.delta
    assert said_so_far == events[-1].text == whole.text


@pytest.mark.parametrize(
    ("asked", "param", "code"),
    [
        ({"file": ("a.mp3", b"no sound")}, "file", "invalid_value"),
        ({"file": ("a.mp3", b"")}, "file", "invalid_value"),
        ({"file": ("a.wav", encode(tone(0.05), "wav"))}, "file", "audio_too_short"),
        ({"language": "klingon"}, "language", "invalid_language_format"),
        ({"temperature": 1.5}, "temperature", "decimal_above_max_value"),
        ({"response_format": "xml"}, "response_format", "invalid_value"),
        ({"response_format": "diarized_json"}, "response_format", "unsupported_value"),
        ({"response_format": "srt", "model": TRANSCRIBE}, "response_format", "unsupported_value"),
        ({"response_format": "vtt", "model": DIARIZE}, "response_format", "unsupported_value"),
        ({"include": ["logprobs"]}, "include", "unsupported_parameter"),
        ({"include": ["words"], "model": TRANSCRIBE}, "include[0]", "invalid_value"),
        ({"include": ["logprobs"], "model": TRANSCRIBE, "response_format": "text"}, "include", None),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities", None),
        ({"timestamp_granularities": ["hour"]}, "timestamp_granularities[0]", "invalid_value"),
        ({"prompt": "x", "model": DIARIZE}, "prompt", "unsupported_parameter"),
        ({"model": DIARIZE, "file": ("a.flac", encode(silence(40), "flac"))}, "chunking_strategy", None),
        ({"model": DIARIZE, "known_speaker_names": ["a"]}, "known_speaker_references", "invalid_value"),
        ({"model": DIARIZE, "known_speaker_names": ["a"], "known_speaker_references": ["http://x"]},
         "known_speaker_references[0]", "invalid_value"),
        ({"model": DIARIZE, "known_speaker_names": ["a"], "known_speaker_references": [_reference(1)]},
         "known_speaker_references[0]", "invalid_value"),
        ({"model": DIARIZE, "known_speaker_names": list("abcde"),
          "known_speaker_references": ["x"] * 5}, "known_speaker_names", "array_above_max_length"),
        ({"chunking_strategy": {"type": "server_vad", "threshold": 3}}, "chunking_strategy.threshold", None),
        ({"model": TRANSCRIBE, "file": ("a.flac", encode(silence(1401), "flac"))}, "file", None),
        ({"extra_body": {"loudness": "3"}}, None, None),
    ],
    ids=str,
)  # fmt: skip
async def test_what_cannot_be_heard_is_told_so(
    client: AsyncOpenAI, asked: dict[str, Any], param: str | None, code: str | None
) -> None:
    body: dict[str, Any] = {"model": WHISPER, "file": ("a.mp3", STRANGER), **asked}
    status, told, told_code, message = await refused(client.audio.transcriptions.create(**body))
    assert (status, told) == (400, param), message
    if code:
        assert told_code == code


async def test_other_models_and_missing_fields(client: AsyncOpenAI, ask_form: Any) -> None:
    for model in ("gpt-4o", "tts-1", "no-such-model"):
        with pytest.raises(openai.NotFoundError):
            await heard(client, STRANGER, model)
    status, param, _, _ = await refused(
        client.audio.translations.create(model=TRANSCRIBE, file=("a.mp3", STRANGER))
    )
    assert (status, param) == (400, "model")
    assert ask_form({"model": WHISPER}, {})["param"] == "file"
    assert ask_form({}, {"file": STRANGER})["param"] == "model"


@pytest.fixture
def ask_form() -> Any:
    with threaded_app() as url, httpx.Client(timeout=30) as http:

        def ask(fields: dict[str, str], files: dict[str, bytes]) -> Any:
            told = http.post(
                url + "/v1/audio/transcriptions", data=fields, headers={"authorization": "Bearer k"},
                files={name: (name, data) for name, data in files.items()} or {"other": b""},
            )  # fmt: skip
            assert told.status_code == 400
            return told.json()["error"]

        yield ask


async def test_more_than_25_megabytes_are_413(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        await heard(client, b"\0" * (25 << 20))
    assert caught.value.status_code == 413


@pytest.mark.parametrize("written_as", ["json", "text", "srt", "vtt", "verbose_json"])
async def test_translations_have_their_forms(client: AsyncOpenAI, written_as: Any) -> None:
    told: Any = await client.audio.translations.create(
        model=WHISPER, file=("a.mp3", await said(client)), response_format=written_as
    )
    text = told if isinstance(told, str) else told.text
    assert "The lighthouse is open until nine!" in text


def test_the_plain_client_is_answered_alike() -> None:
    with (
        threaded_app() as url,
        OpenAI(
            base_url=url + "/v1", api_key="k", max_retries=0, _strict_response_validation=True
        ) as plain,
    ):
        sound = plain.audio.speech.create(model="tts-1", voice="echo", input=TEXT).read()
        told = plain.audio.transcriptions.create(model=WHISPER, file=("a.mp3", sound))
        assert told.text == TEXT
        stream = plain.audio.transcriptions.create(
            model=TRANSCRIBE, file=("a.mp3", sound), stream=True
        )
        events: list[Any] = list(stream)
        assert "".join(event.delta for event in events[:-1]) == events[-1].text == TEXT


@pytest.mark.parametrize("profile", ["quick", "openai"])
@pytest.mark.parametrize("model", [WHISPER, TRANSCRIBE])
async def test_behind_a_profile_hearing_takes_longer_for_longer_sound(
    serve: Serve, profile: str, model: str
) -> None:
    clock, ended = VirtualClock(), Ended()
    app = await serve(clock, ended, mode="synth", profile=profile)
    took = []
    async with AsyncOpenAI(
        base_url=app.url + "/v1", api_key="k", max_retries=0, timeout=None
    ) as client:
        for seconds in (1, 1200):
            sound = encode(tone(seconds), "flac")
            await heard(client, sound, model)
            took.append(ended.exchanges[-1].finished_at - ended.exchanges[-1].arrived_at)
    assert 0 < took[0] < took[1]

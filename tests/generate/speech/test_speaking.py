"""Speech as sound: six formats that others decode, voices that differ, speeds that are exact."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakeai_proxy.generate import speech
from fakeai_proxy.generate.shelf import Shelf
from fakeai_proxy.generate.speech import (
    FORMATS,
    SAMPLE_RATE,
    VOICES,
    MissingAudioExtra,
    listen,
    samples_of,
    speak,
)
from tests.doubles.plain_install import forget
from tests.generate.speech.sounds import (
    SECOND_OPINION,
    centroid_hz,
    decoded,
    decoded_again,
    pitch_hz,
)

TEXT = "The lighthouse keeper counted eleven ships before the fog came in."
#: Encoders fill their last frame: 1,024 samples of aac and as many of its delay.
_PADDING_S = 0.13


@pytest.mark.parametrize("container", FORMATS)
def test_every_format_decodes_and_lasts_as_long_as_it_says(container: str) -> None:
    spoken = speak(TEXT, "alloy", container)
    duration_s, rate, channels = decoded(spoken.data, container)
    assert channels == 1
    assert rate == (48_000 if container == "opus" else SAMPLE_RATE)
    assert duration_s == pytest.approx(spoken.duration_s, abs=_PADDING_S)
    if container in SECOND_OPINION:
        assert decoded_again(spoken.data) == pytest.approx(spoken.duration_s, abs=_PADDING_S)


@pytest.mark.parametrize("container", FORMATS)
def test_the_same_words_are_the_same_bytes(container: str, monkeypatch: pytest.MonkeyPatch) -> None:
    forget(monkeypatch)
    first = speak(TEXT, "coral", container, 1.3, "cheerfully").data
    forget(monkeypatch)
    assert speak(TEXT, "coral", container, 1.3, "cheerfully").data == first


def _assert_told_apart() -> None:
    heard = {}
    for name in VOICES:
        samples = samples_of(TEXT, name)
        heard[name] = (pitch_hz(samples), centroid_hz(samples), len(samples) / SAMPLE_RATE)
    for one, other in combinations(heard, 2):
        ratios = [max(a, b) / min(a, b) for a, b in zip(heard[one], heard[other], strict=True)]
        assert max(ratios) > 1.03, (one, heard[one], other, heard[other])
    assert heard["onyx"][0] < heard["alloy"][0] < heard["shimmer"][0]


def test_no_two_voices_sound_alike() -> None:
    _assert_told_apart()


@pytest.mark.usefixtures("bare")
def test_nor_do_they_without_the_extra() -> None:
    _assert_told_apart()


@pytest.mark.parametrize("speed", [0.25, 0.4, 0.5, 1.7, 2.0, 4.0])
def test_a_speed_divides_the_duration_and_leaves_the_pitch(speed: float) -> None:
    usual = samples_of(TEXT, "nova")
    samples = samples_of(TEXT, "nova", speed)
    assert len(samples) == pytest.approx(len(usual) / speed, abs=2)
    if speed <= 2:
        assert pitch_hz(samples) == pytest.approx(pitch_hz(usual), rel=0.1)


@pytest.mark.parametrize("speed", [0.25, 1.7, 4.0])
@pytest.mark.usefixtures("bare")
def test_a_speed_divides_the_duration_without_the_extra(speed: float) -> None:
    usual = samples_of(TEXT, "nova")
    assert len(samples_of(TEXT, "nova", speed)) == pytest.approx(len(usual) / speed, abs=2)


def test_instructions_change_pace_and_pitch() -> None:
    usual = samples_of(TEXT, "alloy")
    slow = samples_of(TEXT, "alloy", 1.0, "Speak slowly and calmly.")
    deep = samples_of(TEXT, "alloy", 1.0, "Use a deep voice.")
    assert len(slow) > 1.15 * len(usual)
    assert pitch_hz(deep) < 0.9 * pitch_hz(usual)


@pytest.mark.parametrize("way", ["espeak", "simple"])
def test_the_duration_follows_the_text(way: str, request: pytest.FixtureRequest) -> None:
    if way == "simple":
        request.getfixturevalue("bare")
    once, thrice = (len(samples_of(TEXT * count, "sage")) / SAMPLE_RATE for count in (1, 3))
    assert thrice == pytest.approx(3 * once, rel=0.15)
    # OpenAI's voices say about 15 characters a second.
    assert 10 < len(TEXT) / once < 22


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("container", ["mp3", "opus", "aac", "flac"])
def test_without_the_extra_other_formats_are_refused(container: str) -> None:
    with pytest.raises(MissingAudioExtra):
        speak(TEXT, "alloy", container)


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("container", ["wav", "pcm"])
def test_without_the_extra_wav_and_pcm_are_spoken_and_understood(container: str) -> None:
    spoken = speak(TEXT, "alloy", container)
    assert decoded(spoken.data, container)[0] == pytest.approx(spoken.duration_s, abs=0.001)
    assert listen(spoken.data).text == TEXT


_TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")), min_size=1, max_size=60
)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=_TEXTS)
@pytest.mark.parametrize("container", FORMATS)
def test_what_was_spoken_is_understood(container: str, text: str) -> None:
    sound = listen(speak(text, "echo", container).data)
    assert sound.text == text


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=_TEXTS.map(str.strip).filter(bool))
@pytest.mark.parametrize("container", [each for each in FORMATS if each != "pcm"])
def test_a_file_is_understood_by_those_who_did_not_speak_it(container: str, text: str) -> None:
    data = speak(text, "echo", container).data
    with pytest.MonkeyPatch.context() as patched:
        forget(patched)
        assert listen(data).text == text


def test_text_that_is_nothing_to_say_is_sound_all_the_same() -> None:
    for text in (" ", "\0", "🙂", "a\0b", "<break/>", "\ud800"):
        assert len(samples_of(text, "alloy")) > 0


def test_any_script_has_a_voice() -> None:
    for text in (
        "Привет, как дела?",
        "你好，世界",
        "こんにちは",
        "안녕하세요",
        "Γειά σου",
        "مرحبا",
        "नमस्ते",
        "¿Qué tal están los niños?",
    ):
        assert len(samples_of(text, "alloy")) / SAMPLE_RATE > 0.2


def test_a_shelf_keeps_what_was_used_last() -> None:
    shelf: Shelf[bytes, str] = Shelf(10)
    shelf.keep(b"a", "a", 4)
    shelf.keep(b"b", "b", 4)
    assert shelf.find(b"a") == "a"
    shelf.keep(b"c", "c", 4)
    assert [shelf.find(key) for key in (b"a", b"b", b"c")] == ["a", None, "c"]
    shelf.keep(b"huge", "huge", 11)
    assert shelf.find(b"huge") is None


def test_samples_are_recalled_between_silences() -> None:
    import numpy as np

    spoken = speak(TEXT, "verse", "pcm")
    samples = np.frombuffer(spoken.data, "<i2")
    quiet = np.zeros(5000, np.int16)
    assert speech.recall(np.concatenate([quiet, samples, quiet])) == TEXT
    assert speech.recall(samples[::2]) is None

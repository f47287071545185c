"""Files of sound: what they hold, whoever made them, and what is none."""

from __future__ import annotations

import io
import struct
import wave
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.generate.speech import Timeline, Undecodable, encode, listen
from fakeai_proxy.generate.speech.encoding import wav
from fakeai_proxy.generate.speech.reading import read_wav
from fakeai_proxy.generate.speech.timeline import pieces_of
from tests.generate.speech.sounds import file_of, silence, tone, written


def _written(samples: bytes, width: int, channels: int, rate: int) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        file.writeframes(samples)
    return out.getvalue()


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("rate", [8000, 44_100])
def test_wav_of_any_width_is_read_like_ffmpeg_reads_it(
    width: int, channels: int, rate: int
) -> None:
    at = np.arange(rate // 2)
    values = np.int64(2 ** (8 * width - 2)) * np.sin(2 * np.pi * 300 * at / rate)
    values = values.astype(np.int64) + (128 if width == 1 else 0)
    one = values.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :width]
    data = _written(np.repeat(one, channels, axis=0).tobytes(), width, channels, rate)
    read = read_wav(data)
    assert read is not None
    assert (len(read.samples), read.sample_rate) == (rate // 2, rate)
    expected = 2**14 * np.sin(2 * np.pi * 300 * at / rate)
    assert np.abs(read.samples - expected).max() <= (260 if width == 1 else 2)


def test_a_streamed_wav_whose_lengths_are_unknown_is_read() -> None:
    data = bytearray(file_of(tone(0.5)))
    data[4:8] = data[40:44] = b"\xff" * 4
    assert listen(bytes(data)).duration_s == pytest.approx(0.5)


def test_floats_that_are_no_numbers_are_silence() -> None:
    values = np.array([np.nan, np.inf, -np.inf, 0.5] * 2000, "<f4").tobytes()
    form = struct.pack("<HHIIHH", 3, 1, 16_000, 64_000, 4, 32)
    body = (
        b"fmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(values)) + values
    )
    read = read_wav(b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body)
    assert read is not None
    assert read.samples[:4].tolist() == [0, 32767, -32767, 16384]


@pytest.mark.parametrize("container", ["mp3", "opus", "aac", "flac", "wav"])
def test_sound_of_others_has_its_duration_and_no_text(container: str) -> None:
    sound = listen(encode(np.concatenate([tone(1.5), silence(1.0)]), container))
    assert sound.duration_s == pytest.approx(2.5, abs=0.15)
    assert sound.text is None
    assert Timeline(sound).speech_s == pytest.approx(1.5, abs=0.15)


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [
        ("ipod", "aac", 44_100),
        ("mp4", "aac", 48_000),
        ("webm", "libopus", 48_000),
        ("ogg", "libopus", 48_000),
    ],
)
def test_containers_that_phones_and_browsers_write_are_read(
    container: str, codec: str, rate: int
) -> None:
    sound = listen(written(tone(2.0), container, codec, rate))
    assert sound.sample_rate == rate
    assert sound.duration_s == pytest.approx(2.0, abs=0.1)
    assert Timeline(sound).speech_s == pytest.approx(2.0, abs=0.1)


def test_the_comments_of_others_are_not_what_they_say() -> None:
    sound = listen(wav(tone(1.0).tobytes(), "Recorded in a shed"))
    assert sound.text is None


@pytest.mark.parametrize(
    "data",
    [b"", b"RIFF", b"no sound at all", b"\0" * 5000, b"ID3" + b"\xff" * 400, b"OggS" + b"\0" * 90,
     b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nother.mp3\n#EXT-X-ENDLIST\n",
     b"ffconcat version 1.0\nfile other.mp3\n",
     b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + b"\0" * 16 + b"data\0\0\0\0"],
)  # fmt: skip
def test_what_is_no_sound_is_told_so(data: bytes) -> None:
    with pytest.raises(Undecodable):
        listen(data)


@given(
    data=st.binary(max_size=300),
    head=st.sampled_from([b"", b"RIFF\x90\0\0\0WAVE", b"fLaC", b"ID3"]),
)
def test_no_bytes_break_it(data: bytes, head: bytes) -> None:
    try:
        sound = listen(head + data)
    except Undecodable:
        return
    assert sound.duration_s > 0


@pytest.mark.parametrize("kind", ["concat", "hls"])
def test_a_list_of_files_opens_none_of_them(kind: str, tmp_path: Path) -> None:
    place = tmp_path / "other.mp3"
    place.write_bytes(encode(tone(2.0), "mp3"))
    lists = {
        "concat": f"ffconcat version 1.0\nfile 'file:{place}'\n",
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:{place}\n#EXT-X-ENDLIST\n",
    }
    with pytest.raises(Undecodable):
        listen(lists[kind].encode())


def test_a_cut_file_holds_what_is_left_of_it() -> None:
    whole = encode(tone(3.0), "mp3")
    assert 0.5 < listen(whole[: len(whole) // 2]).duration_s < 2.0


def test_silence_has_no_speech() -> None:
    assert Timeline(listen(file_of(silence(3.0)))).speech_s == 0


@given(text=st.text(max_size=600))
def test_pieces_join_to_the_text(text: str) -> None:
    pieces = list(pieces_of(text))
    assert "".join(pieces) == text
    assert max(map(len, pieces), default=0) <= 200


@given(
    text=st.text(st.sampled_from("ab .!\n你"), min_size=1, max_size=200),
    parts=st.lists(st.tuples(st.booleans(), st.floats(0.05, 1.0)), min_size=1, max_size=6),
)
def test_words_follow_each_other_and_stay_within_the_sound(
    text: str, parts: list[tuple[bool, float]]
) -> None:
    data = file_of(*(tone(s) if loud else silence(s) for loud, s in parts))
    sound = listen(data)
    line = Timeline(sound)
    for stretches in (line.words(text), line.segments(text)):
        times = [time for one in stretches for time in (one.start_s, one.end_s)]
        assert all(later - earlier > -1e-9 for earlier, later in pairwise(times))
        assert not times or (times[0] >= 0 and times[-1] <= sound.duration_s + 1e-3)


def test_what_is_said_after_a_pause_is_there() -> None:
    sound = listen(file_of(tone(1.0), silence(2.0), tone(1.0)))
    first, second = Timeline(sound).segments("One is here. Two is here.")
    assert first.end_s == pytest.approx(1.0, abs=0.1)
    assert second.start_s == pytest.approx(3.0, abs=0.15)

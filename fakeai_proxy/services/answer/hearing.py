"""Sound that came with a prompt: how long it plays, read from its frames without decoding them."""

from __future__ import annotations

import struct
from base64 import b64decode
from binascii import Error as Base64Error

from fakeai_proxy import errors

#: Audio input: a token for each 100 ms; output: one for each 50 ms (OpenAI's guide to managing costs
#: of audio).
INPUT_TOKENS_PER_S, OUTPUT_TOKENS_PER_S = 10, 20

#: kbit/s of layer III by its index: MPEG 1, and MPEG 2 and 2.5.
_KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_SEARCHED_BYTES = 1 << 16


def seconds_of(data: str, form: str, path: str) -> float:
    """`data` is base64 of a `form` (wav, mp3). Raises 400 in the vendor's words."""
    try:
        raw = b64decode(data.removeprefix(f"data:audio/{form};base64,"), validate=True)
    except (Base64Error, ValueError):
        raise errors.bad_base64(path) from None
    seconds = wav_seconds(raw) if form == "wav" else mp3_seconds(raw)
    if seconds is None:
        raise errors.bad_parameter(
            path,
            "invalid_value",
            f"The data provided for 'input_audio' is not of valid {form} format.",
        )
    return seconds


def wav_seconds(data: bytes) -> float | None:
    if data[:4] not in (b"RIFF", b"RF64") or data[8:12] != b"WAVE":
        return None
    place, bytes_per_s = 12, 0
    while place + 8 <= len(data):
        name, size = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
        if name == b"fmt " and place + 20 <= len(data):
            bytes_per_s = struct.unpack("<I", data[place + 16 : place + 20])[0]
        elif name == b"data":
            # A stream's header does not know how long it will be.
            size = min(size, len(data) - place - 8)
            return size / bytes_per_s if bytes_per_s else None
        place += 8 + size + (size & 1)
    return None


def mp3_seconds(data: bytes) -> float | None:
    place, seconds = 0, 0.0
    if data[:3] == b"ID3" and len(data) > 10:
        place = 10 + sum((byte & 0x7F) << 7 * (3 - k) for k, byte in enumerate(data[6:10]))
    searched = place + _SEARCHED_BYTES
    while place + 4 <= len(data):
        frame = _frame(data[place : place + 4])
        if frame is None:
            if seconds or place > searched:
                break  # a tag at the end, or no MP3 at all
            place += 1
            continue
        size, length_s = frame
        seconds += length_s
        place += size
    return seconds or None


def _frame(head: bytes) -> tuple[int, float] | None:
    """Bytes and seconds of a frame of layer III."""
    bits = int.from_bytes(head)
    version, layer = bits >> 19 & 3, bits >> 17 & 3
    bitrate, rate = bits >> 12 & 15, bits >> 10 & 3
    if bits >> 21 != 0x7FF or version == 1 or layer != 1 or bitrate in (0, 15) or rate == 3:
        return None
    kbits = (_KBITS_1 if version == 3 else _KBITS_2)[bitrate]
    rate_hz = _RATES_HZ[version][rate]
    samples = 1152 if version == 3 else 576
    return samples // 8 * kbits * 1000 // rate_hz + (bits >> 9 & 1), samples / rate_hz

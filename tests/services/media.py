"""Pictures, sounds and documents to put into requests."""

from __future__ import annotations

import io
import math
import struct
import wave
import zlib
from base64 import b64encode

from PIL import Image


def picture(width: int, height: int, colour: str, form: str = "png") -> str:
    """A data URL."""
    data = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(data, form.upper())
    return f"data:image/{form};base64,{b64encode(data.getvalue()).decode()}"


def wav(seconds: float, rate: int = 16_000) -> str:
    """Base64 of a tone."""
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        samples = [int(9000 * math.sin(k / 12)) for k in range(int(seconds * rate))]
        file.writeframes(struct.pack(f"<{len(samples)}h", *samples))
    return b64encode(data.getvalue()).decode()


def mp3(frames: int) -> str:
    """Base64 of so many silent frames of 128 kbit/s at 44.1 kHz, 1152 samples each, after a tag."""
    frame = b"\xff\xfb\x90\x00" + bytes(417 - 4)
    return b64encode(b"ID3\x04\x00\x00\x00\x00\x00\x05hello" + frame * frames).decode()


def document(text: str, pages: int = 1) -> str:
    """A data URL of a PDF with that text on each page."""
    content = zlib.compress(f"BT /F1 12 Tf ({text}) Tj ET".encode())
    body = b"%PDF-1.4\n1 0 obj<</Type /Pages>>endobj\n"
    for _ in range(pages):
        body += b"2 0 obj<</Type /Page /Parent 1 0 R>>endobj\n"
        body += b"3 0 obj<</Filter /FlateDecode>>stream\n" + content + b"\nendstream endobj\n"
    return f"data:application/pdf;base64,{b64encode(body + b'%%EOF').decode()}"

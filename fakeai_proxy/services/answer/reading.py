"""A document that came with a prompt: how many pages a PDF has and the text on them, as far as it is
written in the open."""

from __future__ import annotations

import re
import zlib
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass

from fakeai_proxy import errors

#: Pixels of the picture that a model is shown of each page besides its text: of A4's shape.
PAGE_SIZE = (1024, 1448)
_DATA = re.compile(r"data:([^;,]*)[^,]*;base64,")
_PAGE = re.compile(rb"/Type\s*/Page(?![a-zA-Z])")
_STREAM = re.compile(rb"stream\r?\n(.*?)endstream", re.DOTALL)
_TEXT = re.compile(rb"\(((?:[^()\\]|\\.)*)\)\s*(?:Tj|'|\")|\[((?:[^\]\\]|\\.)*)\]\s*TJ")
_PART = re.compile(rb"\(((?:[^()\\]|\\.)*)\)")
_ESCAPE = re.compile(rb"\\(.)")
_STREAM_BYTES_MAX, _TEXT_CHARS_MAX = 1 << 20, 400_000


@dataclass(frozen=True, slots=True)
class Document:
    pages: int
    text: str = ""

    @property
    def told(self) -> str:
        pages = "1 page" if self.pages == 1 else f"{self.pages} pages"
        return f"The document has {pages}."


def read(data: str, path: str) -> Document:
    """`data` is a data URL. Raises 400 in the vendor's words."""
    head = _DATA.match(data[:1024])
    if head is None:
        raise errors.not_a_pdf(path, "a value without the 'data:' prefix")
    if head[1].lower() != "application/pdf":
        raise errors.not_a_pdf(path, f"unsupported MIME type '{head[1][:100]}'")
    try:
        raw = b64decode(data[head.end() :], validate=True)
    except (Base64Error, ValueError):
        raise errors.bad_base64(path) from None
    return read_pdf(raw, path)


def read_pdf(raw: bytes, path: str) -> Document:
    """Raises 400 in the vendor's words."""
    if b"%PDF-" not in raw[:1024]:
        raise errors.not_a_pdf(path, "data that is no PDF")
    streams = list(_streams(raw))
    pages = sum(len(_PAGE.findall(part)) for part in (raw, *streams))
    return Document(max(pages, 1), " ".join(filter(None, map(_shown, streams)))[:_TEXT_CHARS_MAX])


def _streams(raw: bytes) -> list[bytes]:
    found, left = [], _STREAM_BYTES_MAX * 16
    for match in _STREAM.finditer(raw):
        try:
            data = zlib.decompressobj().decompress(match[1], min(_STREAM_BYTES_MAX, left))
        except zlib.error:
            data = match[1][:_STREAM_BYTES_MAX]
        left -= len(data)
        found.append(data)
        if left <= 0:
            break
    return found


def _shown(stream: bytes) -> str:
    """The text that a page's content shows."""
    pieces = []
    for single, several in _TEXT.findall(stream):
        pieces.append(single or b"".join(_PART.findall(several)))
    return " ".join([_ESCAPE.sub(rb"\1", piece).decode("latin-1") for piece in pieces])

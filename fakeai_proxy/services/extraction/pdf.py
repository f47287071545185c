"""The pages of a PDF. Where its structure is beyond repair, the text that stands in it in the open."""

from __future__ import annotations

import io
import logging
import re
import zlib
from dataclasses import dataclass

from fakeai_proxy.services.extraction.unreadable import Unreadable

_PAGES_MAX = 5000
_TEXT_CHARS_MAX = 32 << 20
_PAGE = re.compile(rb"/Type\s*/Page(?![a-zA-Z])")
_STREAM = re.compile(rb"stream\r?\n(.*?)endstream", re.DOTALL)
_TEXT = re.compile(rb"\(((?:[^()\\]|\\.)*)\)\s*(?:Tj|'|\")|\[((?:[^\]\\]|\\.)*)\]\s*TJ")
_PART = re.compile(rb"\(((?:[^()\\]|\\.)*)\)")
_ESCAPE = re.compile(rb"\\(.)")
_STREAM_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Pdf:
    """`texts` are those of its pages, as far as they are known by page."""

    pages: int
    texts: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n\n".join(filter(None, self.texts))


def text_of(data: bytes) -> str:
    """Raises Unreadable."""
    return read(data).text


def read(data: bytes) -> Pdf:
    """Raises Unreadable."""
    if b"%PDF-" not in data[:1024]:
        raise Unreadable("invalid_file", "The file is not a PDF.")
    found = _structured(data)
    if found is not None and found.text:
        return found
    scanned = _scanned(data)
    if found is None:
        return scanned
    return Pdf(max(found.pages, scanned.pages), scanned.texts)


def _structured(data: bytes) -> Pdf | None:
    """None where the file has no order that could be made out."""
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    #: What a damaged file makes its reader stumble over.
    broken = (
        PyPdfError, ArithmeticError, AssertionError, AttributeError, LookupError, OSError, EOFError,
        RuntimeError, TypeError, ValueError, zlib.error, MemoryError,
    )  # fmt: skip
    texts: list[str] = []
    left = _TEXT_CHARS_MAX
    try:
        reader = PdfReader(io.BytesIO(data), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("invalid_file", "The file is encrypted.")
        pages = len(reader.pages)
        for place in range(min(pages, _PAGES_MAX)):
            try:
                text = reader.pages[place].extract_text()[:left]
            except broken:
                text = ""
            texts.append(_tidy(text))
            left -= len(text)
            if left <= 0:
                break
    except broken:
        return None
    return Pdf(max(pages, 1), tuple(texts))


def _tidy(text: str) -> str:
    """Glyphs without a letter are NUL; a word that is divided at the end of a line is one word."""
    text = text.replace("\0", "")
    return re.sub(r"(?<=[a-z])-\n(?=[a-z])", "", text).strip()


def _scanned(data: bytes) -> Pdf:
    streams = _streams(data)
    pages = sum(len(_PAGE.findall(part)) for part in (data, *streams))
    return Pdf(max(pages, 1), (" ".join(filter(None, map(_shown, streams))),))


def _streams(data: bytes) -> list[bytes]:
    found, left = [], _STREAM_BYTES_MAX * 16
    for match in _STREAM.finditer(data):
        try:
            stream = zlib.decompressobj().decompress(match[1], min(_STREAM_BYTES_MAX, left))
        except zlib.error:
            stream = match[1][:_STREAM_BYTES_MAX]
        left -= len(stream)
        found.append(stream)
        if left <= 0:
            break
    return found


def _shown(stream: bytes) -> str:
    """The text that a page's content shows."""
    pieces = []
    for single, several in _TEXT.findall(stream):
        pieces.append(single or b"".join(_PART.findall(several)))
    return " ".join([_ESCAPE.sub(rb"\1", piece).decode("latin-1") for piece in pieces])

"""Word and PowerPoint documents: zip files of XML, of which only the text matters."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import TypeVar
from xml.etree import ElementTree

from fakeai_proxy.services.extraction.unreadable import Unreadable

T = TypeVar("T")
#: Of one part of the file, unpacked; a document of a thousand pages has 20 MB.
_PART_BYTES_MAX = 64 << 20
_SLIDES_MAX = 2000
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_SLIDE = re.compile(r"ppt/slides/slide(\d+)\.xml")
_HEADING = re.compile(r"heading ?([1-6])|title", re.IGNORECASE)
_BROKEN = (
    zipfile.BadZipFile, zipfile.LargeZipFile, ElementTree.ParseError, zlib.error, EOFError, OSError,
    RuntimeError, ValueError, LookupError, OverflowError,
)  # fmt: skip


def docx_text(data: bytes) -> str:
    """Raises Unreadable."""
    return _opened(data, _docx)


def pptx_text(data: bytes) -> str:
    """Raises Unreadable."""
    return _opened(data, _pptx)


def text_of(data: bytes) -> str:
    """Of whichever of them it is. Raises Unreadable."""
    return _opened(data, _either)


def _opened(data: bytes, read: Callable[[zipfile.ZipFile], str]) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            return read(file)
    except _BROKEN as error:
        raise Unreadable("invalid_file", "The file is damaged and cannot be read.") from error


def _either(file: zipfile.ZipFile) -> str:
    names = file.namelist()
    if "word/document.xml" in names:
        return _docx(file)
    if any(_SLIDE.fullmatch(name) for name in names):
        return _pptx(file)
    raise Unreadable("unsupported_file", "Archives are not supported.")


def _part(file: zipfile.ZipFile, name: str) -> ElementTree.Element:
    with file.open(name) as part:
        data = part.read(_PART_BYTES_MAX + 1)
    if len(data) > _PART_BYTES_MAX:
        raise Unreadable("invalid_file", "The file is too large when it is unpacked.")
    # These formats have none; entities are how small files become large ones.
    if b"<!DOCTYPE" in data:
        raise Unreadable("invalid_file", "The file declares a document type.")
    return ElementTree.fromstring(data)  # noqa: S314 - entities are refused above


# --- Word ------------------------------------------------------------------------------------------


def _docx(file: zipfile.ZipFile) -> str:
    names = file.namelist()
    body = _part(file, "word/document.xml").find(f"{_W}body")
    blocks = [] if body is None else list(_blocks(body))
    for name in ("word/footnotes.xml", "word/endnotes.xml"):
        if name in names:
            blocks += [_paragraph(one) for one in _part(file, name).iter(f"{_W}p")]
    return "\n\n".join(filter(None, blocks))


def _blocks(parent: ElementTree.Element) -> Iterator[str]:
    """Paragraphs and tables in their order, also those in content controls and the like. A stack, since
    a file may nest them as deep as it likes."""
    stack = [iter(parent)]
    while stack:
        element = next(stack[-1], None)
        if element is None:
            stack.pop()
        elif element.tag == f"{_W}p":
            yield _paragraph(element)
        elif element.tag == f"{_W}tbl":
            yield "\n".join([_line(row) for row in element.iter(f"{_W}tr")])
        else:
            stack.append(iter(element))


def _paragraph(paragraph: ElementTree.Element) -> str:
    text = _said(paragraph)
    style = paragraph.find(f"{_W}pPr/{_W}pStyle")
    heading = None if style is None else _HEADING.fullmatch(style.get(f"{_W}val", ""))
    if heading is not None and text:
        return "#" * int(heading[1] or 1) + " " + text
    if text and paragraph.find(f"{_W}pPr/{_W}numPr") is not None:
        return f"- {text}"
    return text


def _line(row: ElementTree.Element) -> str:
    cells = [" ".join(_said(p) for p in cell.iter(f"{_W}p")) for cell in row.iter(f"{_W}tc")]
    return " | ".join(cells)


def _said(paragraph: ElementTree.Element) -> str:
    pieces: list[str] = []
    for run in paragraph.iter():
        if run.tag == f"{_W}t":
            pieces.append(run.text or "")
        elif run.tag == f"{_W}tab":
            pieces.append("\t")
        elif run.tag in (f"{_W}br", f"{_W}cr"):
            pieces.append("\n")
    return "".join(pieces).strip()


# --- PowerPoint ------------------------------------------------------------------------------------


def _pptx(file: zipfile.ZipFile) -> str:
    names = file.namelist()
    found = [(int(match[1]), match[0]) for name in names if (match := _SLIDE.fullmatch(name))]
    if not found:
        raise Unreadable("invalid_file", "The presentation has no slides.")
    slides = []
    for number, name in sorted(found)[:_SLIDES_MAX]:
        lines = _paragraphs(_part(file, name))
        notes = f"ppt/notesSlides/notesSlide{number}.xml"
        if notes in names:
            lines += _paragraphs(_part(file, notes))
        slides.append("\n".join(lines))
    return "\n\n".join(filter(None, slides))


def _paragraphs(slide: ElementTree.Element) -> list[str]:
    texts = [
        "".join([run.text or "" for run in paragraph.iter(f"{_A}t")])
        for paragraph in slide.iter(f"{_A}p")
    ]
    return [text.strip() for text in texts if text.strip()]

"""A document that came with a prompt: how many pages it has and the text on them."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass

from fakeai_proxy import errors

#: Pixels of the picture that a model is shown of each page besides its text: of A4's shape.
PAGE_SIZE = (1024, 1448)
_DATA = re.compile(r"data:([^;,]*)[^,]*;base64,")
_TEXT_CHARS_MAX = 400_000


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
    from fakeai_proxy.services.extraction import Unreadable, pdf  # few prompts have a document

    try:
        found = pdf.read(raw)
    except Unreadable:
        raise errors.not_a_pdf(path, "data that is no PDF") from None
    return Document(found.pages, found.text[:_TEXT_CHARS_MAX])

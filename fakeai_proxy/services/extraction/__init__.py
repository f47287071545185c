"""The text of a document, whatever its format, in the order in which a person reads it.

What comes in is anybody's: sizes are bounded, and whatever is wrong with it is `Unreadable`.
"""

from __future__ import annotations

from collections.abc import Callable

from fakeai_proxy.services.extraction import markup, office, pdf, plain
from fakeai_proxy.services.extraction.unreadable import Unreadable as Unreadable

#: platform.openai.com/docs/assistants/tools/file-search#supported-files, and the texts beside them.
_PLAIN = (
    "c", "cpp", "cs", "css", "csv", "go", "h", "hpp", "ini", "java", "jl", "js", "jsonl", "jsx", "kt",
    "log", "lua", "md", "mdx", "ndjson", "php", "pl", "py", "r", "rb", "rs", "rst", "scala", "sh",
    "sql", "srt", "swift", "tex", "toml", "ts", "tsv", "tsx", "txt", "vtt", "xml", "yaml", "yml",
)  # fmt: skip
_READERS: dict[str, Callable[[bytes], str]] = {
    **dict.fromkeys(_PLAIN, plain.text_of),
    "docx": office.docx_text,
    "htm": markup.html_text,
    "html": markup.html_text,
    "json": plain.json_text,
    "pdf": pdf.text_of,
    "pptx": office.pptx_text,
    "xhtml": markup.html_text,
}
#: Signs that no text has.
_CONTROLS = dict.fromkeys([*range(9), 11, *range(14, 32), 127, 0xFFFE, 0xFFFF])


#: Of what is not a container of pictures and more; five million tokens, the vendor's limit, are 20 MB.
_TEXT_BYTES_MAX = 128 << 20
_CONTAINERS = (pdf.text_of, office.docx_text, office.pptx_text, office.text_of)


def text_of(filename: str, data: bytes) -> str:
    """Paragraphs with blank lines between them. Raises Unreadable."""
    reader = _reader(filename, data)
    if len(data) > _TEXT_BYTES_MAX and reader not in _CONTAINERS:
        raise Unreadable("invalid_file", "The file is too large to be searched.")
    text = reader(data).translate(_CONTROLS).strip()
    text = text.encode("utf-8", "replace").decode("utf-8")
    if not text:
        raise Unreadable("invalid_file", "The file contains no text.")
    return text


def _reader(filename: str, data: bytes) -> Callable[[bytes], str]:
    _, dot, extension = filename.rpartition(".")
    extension = extension.lower() if dot else ""
    if extension in _READERS:
        return _READERS[extension]
    if extension:
        raise Unreadable("unsupported_file", f"Files of type .{extension[:20]} are not supported.")
    return _told_by_its_bytes(data)


def _told_by_its_bytes(data: bytes) -> Callable[[bytes], str]:
    if b"%PDF-" in data[:1024]:
        return pdf.text_of
    if data.startswith(b"PK\x03\x04"):
        return office.text_of
    head = data[:512].lstrip().lower()
    return markup.html_text if head.startswith((b"<!doctype html", b"<html")) else plain.text_of

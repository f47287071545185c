"""Text that is text, in whichever encoding, and JSON."""

from __future__ import annotations

import codecs
import re

import orjson

from fakeai_proxy.services.extraction.unreadable import Unreadable

#: Longest first, since one begins as the other.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
#: How much of a text its encoding is guessed from.
_SAMPLE_BYTES = 1 << 15
#: Share of signs that no text has, above which it is none.
_BINARY_SHARE = 0.02
#: What Windows wrote for decades in the West; latin-1 is part of it.
_USUAL = "cp1252"
_BINARY = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffd]")
_DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]{1,40})""")
_DECLARED_WITHIN_BYTES = 1024


def text_of(data: bytes) -> str:
    """Raises Unreadable."""
    return decoded(data, _encoding(data))


def declared_text(data: bytes) -> str:
    """Of markup, which may say in which encoding it is. Raises Unreadable."""
    found = _DECLARED.search(data[:_DECLARED_WITHIN_BYTES])
    if found is not None and not data.startswith(tuple([mark for mark, _ in _MARKS])):
        name = found[1].decode("ascii")
        try:
            if codecs.lookup(name)._is_text_encoding:
                return decoded(data, name)
        except (LookupError, UnicodeError):
            pass
    return text_of(data)


def json_text(data: bytes) -> str:
    """Indented, so that what belongs together is near each other; as it is where it is no JSON."""
    text = text_of(data)
    try:
        return orjson.dumps(orjson.loads(text), option=orjson.OPT_INDENT_2).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return text


def decoded(data: bytes, encoding: str) -> str:
    """Raises Unreadable and LookupError."""
    text = data.decode(encoding, "replace")
    sample = text[:_SAMPLE_BYTES]
    if len(_BINARY.findall(sample)) > _BINARY_SHARE * len(sample):
        raise Unreadable("invalid_file", "The file is not a text file.")
    return text


def _encoding(data: bytes) -> str:
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return _wide(data) or _guessed(data)
    return _wide(data) or "utf-8"


def _wide(data: bytes) -> str:
    """UTF-16 without a mark: every other byte of most texts is zero."""
    sample = data[:_SAMPLE_BYTES]
    if len(sample) < 4 or len(data) % 2:
        return ""
    half = len(sample) // 2
    if sample[1::2].count(0) > 0.6 * half and sample[::2].count(0) < 0.1 * half:
        return "utf-16-le"
    if sample[::2].count(0) > 0.6 * half and sample[1::2].count(0) < 0.1 * half:
        return "utf-16-be"
    return ""


def _guessed(data: bytes) -> str:
    from charset_normalizer import from_bytes

    found = from_bytes(data[:_SAMPLE_BYTES])
    best = found.best()
    if best is None:
        return _USUAL
    # Western letters make fair Polish, too; of what is equally good, the usual is the likely.
    usual = [one for one in found if one.encoding == _USUAL and one.chaos <= best.chaos]
    return _USUAL if usual else best.encoding

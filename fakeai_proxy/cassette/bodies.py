"""A body's text form inside a record: readable where that is exact, base64 where it is not.

Every readable form is checked when it is made: a body is shown as JSON only if writing that JSON
again gives its bytes, as frames only if joining them does. Knows nothing of HTTP.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from fakeai_proxy.errors import CassetteError

#: Deeper JSON is kept as text, so that no reader runs out of stack.
DEPTH_MAX = 100
_INDENT_MAX = 8


#: By (spaced, ASCII only): `json.dumps` would make one for every call.
_ENCODERS = {
    (spaced, is_ascii): json.JSONEncoder(
        separators=(", ", ": ") if spaced else (",", ":"), ensure_ascii=is_ascii
    )
    for spaced in (False, True)
    for is_ascii in (False, True)
}


@dataclass(frozen=True, slots=True)
class Blob:
    """A body that lies in a file of its own: blake2b-256 of its bytes in hex, and their number."""

    hash: str
    size: int


Content = bytes | Blob


def size_of(body: Content) -> int:
    return body.size if isinstance(body, Blob) else len(body)


def to_form(body: Content, sse: bool = False) -> dict[str, Any]:
    """One of `{"json"}`, `{"frames"}`, `{"text"}`, `{"base64"}`, `{"blob"}`."""
    if isinstance(body, Blob):
        return {"blob": body.hash, "bytes": body.size}
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode("ascii")}
    if sse:
        return _frames_form(text)
    return _json_form(text) or {"text": text}


def from_form(form: dict[str, Any]) -> Content:
    """The exact body. Raises CassetteError on a form this version does not know."""
    if "json" in form:
        text = _dump(form["json"], str(form.get("style", "compact")), bool(form.get("ascii")))
        return (text + str(form.get("tail", ""))).encode("utf-8")
    if "frames" in form:
        return str(form.get("separator", "\n\n")).join(form["frames"]).encode("utf-8")
    if "text" in form:
        return str(form["text"]).encode("utf-8")
    if "base64" in form:
        return base64.b64decode(form["base64"])
    if "blob" in form:
        return Blob(str(form["blob"]), int(form["bytes"]))
    raise CassetteError(f"a body in an unknown form ({', '.join(form) or 'empty'})")


def _frames_form(text: str) -> dict[str, Any]:
    if "\r\n\r\n" in text and "\n\n" not in text:
        return {"frames": text.split("\r\n\r\n"), "separator": "\r\n\r\n"}
    return {"frames": text.split("\n\n")}


def _json_form(text: str) -> dict[str, Any] | None:
    core = text.rstrip(" \t\r\n")
    if core[:1] not in ("{", "["):
        return None
    try:
        value = json.loads(core, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    if _deep(core, value):
        return None
    style = _style(core)
    is_ascii = "\\u" in core and core.isascii()
    if style is None or _dump(value, style, is_ascii) != core:
        return None
    form: dict[str, Any] = {"json": value}
    if style != "compact":
        form["style"] = style
    if is_ascii:
        form["ascii"] = True
    if len(core) != len(text):
        form["tail"] = text[len(core) :]
    return form


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _style(core: str) -> str | None:
    """How the JSON is laid out, from its beginning: `compact`, `spaced` or `indent-N`."""
    if core[1:2] == "\n":
        indent = len(core) - 2 - len(core[2:].lstrip(" "))
        return f"indent-{indent}" if 0 < indent <= _INDENT_MAX else None
    colon, comma = core.find('":'), core.find(",")
    after = core[colon + 2 : colon + 3] if colon >= 0 else core[comma + 1 : comma + 2]
    return "spaced" if after == " " else "compact"


def _dump(value: Any, style: str, is_ascii: bool) -> str:
    if style.startswith("indent-"):
        return json.dumps(value, indent=int(style[7:]), ensure_ascii=is_ascii)
    return _ENCODERS[style == "spaced", is_ascii].encode(value)


def spaced(compact: bytes) -> bytes | None:
    """Compact JSON with a space after every comma and colon outside of strings; None where a
    string has a quotation mark in it."""
    if b'\\"' in compact or b"\\\\" in compact:
        return None
    pieces = compact.split(b'"')
    outside = b'"'.join(pieces[::2]).replace(b",", b", ").replace(b":", b": ")
    pieces[::2] = outside.split(b'"')
    return b'"'.join(pieces)


def _deep(core: str, value: Any) -> bool:
    if core.count("{") + core.count("[") <= DEPTH_MAX:
        return False
    level = [value]
    for _ in range(DEPTH_MAX):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True

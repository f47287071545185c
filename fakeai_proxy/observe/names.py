"""What clients call things, as it may be counted and shown: bounded, printable, without their keys."""

from __future__ import annotations

import re
from functools import lru_cache

from fakeai_proxy.body import Body
from fakeai_proxy.cassette.shapes import blotted
from fakeai_proxy.exchange import Exchange, Request
from fakeai_proxy.providers import credential
from fakeai_proxy.shaping.limits.owner import key_name

_NAME_CHARS_MAX = 128
_SEGMENTS_MAX = 8
#: Bytes of a body that are looked at for the name of a model.
_LOOKED_AT_BYTES = 64 << 10
_MODEL_FIELD = re.compile(rb'[{,]\s*"model"\s*:\s*"([^"\\]{1,128})"')
#: Google's models, Azure's deployments.
_PATH_MODEL = re.compile(r"/(?:models|deployments)/([^/:?]+)[/:]")
#: A segment of a path that names one thing of many: `thread_abc123`, `file-Xyz`, `resp_0a1b`.
_ID = re.compile(r"[A-Za-z]+[_-](?=[A-Za-z0-9_-]*\d)[A-Za-z0-9_-]{6,}|[0-9a-f-]{16,}|\d+")
_AFTER_A_NAME = ("models", "deployments")


class Names:
    """At most so many; further ones are `OTHER`."""

    OTHER = "other"

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[str, str] = {}

    def known(self, name: str) -> str:
        found = self._known.get(name)
        return self._more(name) if found is None else found

    def _more(self, name: str) -> str:
        if len(self._known) >= self._most or len(name) > _NAME_CHARS_MAX:
            return self.OTHER
        shown = self._known[name] = blotted(name)
        return shown


@lru_cache(maxsize=4096)
def endpoint_name(path: str) -> str:
    """The path without the ids in it."""
    segments = path.rstrip("/").split("/")[: _SEGMENTS_MAX + 1]
    return (
        "/".join(
            "{id}"
            if place and segments[place - 1] not in _AFTER_A_NAME and _ID.fullmatch(segment)
            else segment
            for place, segment in enumerate(segments)
        )
        or "/"
    )


def model_of(exchange: Exchange) -> str:
    """The model that answered, or else the one that was asked for; "" where nobody names any."""
    reply = exchange.reply
    if reply is not None:
        if reply.workload is not None:
            return reply.workload.model
        if reply.usage:
            return reply.usage[0].model
    return asked_model(exchange.request)


def asked_model(request: Request) -> str:
    """The model that a request names, where nobody has read it; "" where none is found at once."""
    path = request.path
    if "/models/" in path or "/deployments/" in path:
        in_path = _PATH_MODEL.search(path)
        if in_path is not None:
            return in_path[1]
    body = request.body.in_memory
    if not body:
        return ""
    at = body.find(b'"model"', 0, _LOOKED_AT_BYTES)
    if at < 0:
        return ""
    found = _MODEL_FIELD.search(body, max(0, at - 8), _LOOKED_AT_BYTES)
    return "" if found is None else found[1].decode("utf-8", "replace")


def asker(request: Request) -> str:
    """The name of the key; "" where there is none."""
    usual = request.header(b"authorization")
    if usual is not None and (found := _name_in(usual)):
        return found
    key = credential(request)
    return _name(key) if key else ""


@lru_cache(maxsize=1024)
def _name_in(authorization: bytes) -> str:
    """Of what most requests have; "" where it has no key."""
    asked = Request("GET", "/", ((b"authorization", authorization),), Body(b""))
    key = credential(asked)
    return _name(key) if key else ""


#: Keys are in memory as long as their names are asked for.
_name = lru_cache(maxsize=1024)(key_name)

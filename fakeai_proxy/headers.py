"""Headers as they go over the wire."""

from __future__ import annotations

from functools import cached_property

from fakeai_proxy.exchange import HOP_BY_HOP, Headers


class Written(tuple[tuple[bytes, bytes], ...]):
    """Headers that are sent again and again: what they look like is made once."""

    @cached_property
    def lines(self) -> bytes:
        return lines_of(self)

    @cached_property
    def have_length(self) -> bool:
        return _have_length(self)


def written(headers: Headers) -> tuple[bytes, bool]:
    """The lines of those that are not for one connection, and whether a length is among them."""
    if isinstance(headers, Written):
        return headers.lines, headers.have_length
    return lines_of(headers), _have_length(headers)


def lines_of(headers: Headers) -> bytes:
    return b"".join([b"%b: %b\r\n" % pair for pair in headers if pair[0].lower() not in HOP_BY_HOP])


def _have_length(headers: Headers) -> bool:
    return any(len(name) == 14 and name.lower() == b"content-length" for name, _ in headers)

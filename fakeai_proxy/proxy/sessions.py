"""Which session a request belongs to: tests that run side by side each have a recorded order of their own.

A header where the program can send one, a prefix of the base URL where it can only be configured, the
user of the proxy's URL where there is nothing but HTTPS_PROXY, or a cookie.
"""

from __future__ import annotations

import re

from fakeai_proxy.exchange import Request
from fakeai_proxy.proxy.policy import basic_credentials

HEADER = b"x-fakeai-session"
#: `http://127.0.0.1:8000/s/ID/v1` is a base URL.
_PREFIX = re.compile(r"/s/(?P<session>[A-Za-z0-9._~%-]{1,128})(?P<target>/.*)", re.S)
_COOKIE = re.compile(r"(?:^|;)\s*fakeai_session=([^;\s]{1,128})")


def settle(request: Request, user: str) -> None:
    """Sets `request.session`, and takes the prefix off its target. `user` is the proxy's."""
    prefixed = _PREFIX.fullmatch(request.target) if request.origin is None else None
    if prefixed is not None:
        request.target = prefixed["target"]
    named = request.text_header(HEADER) or (prefixed["session"] if prefixed else "")
    if not named:
        found = _COOKIE.search(request.text_header(b"cookie"))
        named = found[1] if found else user or user_of(request.header(b"proxy-authorization"))
    request.session = named


def user_of(proxy_authorization: bytes | None) -> str:
    """ "" for none, and for what is no user."""
    given = basic_credentials(proxy_authorization) or b""
    return given.partition(b":")[0].decode("latin-1")

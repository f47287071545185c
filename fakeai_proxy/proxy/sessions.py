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
    prefixed = None
    if request.origin is None and request.target.startswith("/s/"):
        prefixed = _PREFIX.fullmatch(request.target)
    if prefixed is not None:
        request.target = prefixed["target"]
    named = request.text_header(HEADER) or (prefixed["session"] if prefixed else "")
    if not named:
        cookie, login = request.header(b"cookie"), request.header(b"proxy-authorization")
        found = None if cookie is None else _COOKIE.search(cookie.decode("latin-1"))
        named = found[1] if found else user or ("" if login is None else user_of(login))
    request.session = named


def user_of(proxy_authorization: bytes | None) -> str:
    """ "" for none, and for what is no user."""
    given = basic_credentials(proxy_authorization) or b""
    return given.partition(b":")[0].decode("latin-1")

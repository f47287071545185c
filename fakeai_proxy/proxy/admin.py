"""Who may use the control API: who is on this machine, or who has the token.

A web page that the user happens to visit is on this machine too. It cannot send a token or choose
its `Host`, and says where it comes from: that is how it is told apart.
"""

from __future__ import annotations

import hmac

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from fakeai_proxy import errors
from fakeai_proxy.exchange import Request
from fakeai_proxy.proxy.listening import is_loopback
from fakeai_proxy.proxy.policy import canonical_host

#: Methods that change nothing (RFC 9110, 9.2.1).
SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))


class AdminSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    admin_token: SecretStr | None = Field(
        None,
        min_length=1,
        description="What the control API under /_fakeai/v1/ asks for, as `Authorization: Bearer "
        "TOKEN` or `x-fakeai-token: TOKEN`. Without one it is open on loopback, and closed while "
        "we listen elsewhere.",
    )


class Admin:
    """`exposed`: we listen on an address that other machines may reach."""

    def __init__(self, settings: AdminSettings, exposed: bool) -> None:
        self._token = settings.admin_token
        self._exposed = exposed

    def admit(self, request: Request) -> None:
        """Raises 401 or 403 for a request that may not use the control API."""
        if self._token is not None:
            given = _token(request)
            if not hmac.compare_digest(given, self._token.get_secret_value().encode()):
                raise errors.admin_token_wrong(bool(given))
            return  # no page of somebody else's knows it
        if self._exposed or not is_loopback(request.client):
            raise errors.control_refused(
                "Other machines may reach this server, so it asks for a token, and it has none: "
                "start it with --admin-token TOKEN, or listen on loopback only."
            )
        if request.origin is not None:
            raise errors.control_refused(
                "It is at this server's own address, not behind the hosts that are intercepted."
            )
        self._refuse_web_pages(request)

    def _refuse_web_pages(self, request: Request) -> None:
        host = request.text_header(b"host")
        if host and not _is_here(host):
            raise errors.control_refused(
                f"Without a token it is asked at 127.0.0.1 or localhost, not at {host[:100]}: a "
                "name could lead here from a web page."
            )
        if request.method in SAFE_METHODS:
            return
        origin = request.text_header(b"origin")
        site = request.text_header(b"sec-fetch-site")
        foreign = origin and origin.partition("//")[2] != host
        if foreign or site not in ("", "same-origin", "none"):
            raise errors.control_refused("It was sent by a web page from elsewhere.")


def _token(request: Request) -> bytes:
    own = request.header(b"x-fakeai-token")
    if own is not None:
        return own.strip()
    scheme, _, value = (request.header(b"authorization") or b"").partition(b" ")
    return value.strip() if scheme.lower() == b"bearer" else b""


def _is_here(host_header: str) -> bool:
    """Whether the host of a `Host` header is this machine by a name that nobody else can give."""
    bare = host_header
    if not bare.endswith("]"):
        name, colon, port = bare.rpartition(":")
        bare = name if colon and port.isdigit() else bare
    host = canonical_host(bare)
    return host is not None and (is_loopback(host) or host.endswith(".localhost"))

"""Where a request goes: to the host it names, or to the configured upstream."""

from __future__ import annotations

from dataclasses import dataclass

from yarl import URL

from fakeai_proxy import errors
from fakeai_proxy.exchange import Request


@dataclass(frozen=True, slots=True)
class Destination:
    """`authority` as in a Host header, `url` with the raw target."""

    authority: str
    url: URL
    #: The client named the host itself, so that its spelling is kept.
    named: bool

    @classmethod
    def of(cls, request: Request, base: URL | None) -> Destination:
        """Raises 400 and 502."""
        target = request.target
        origin = request.origin
        if origin is not None:
            scheme, authority = origin.scheme, origin.authority
        elif base is not None:
            scheme, authority = base.scheme, base.host_port_subcomponent or ""
            target = below(base.raw_path, target)
        else:
            raise errors.no_upstream(request.method, request.target)
        if not target.startswith("/"):
            raise errors.bad_request(f"Bad request: '{target}' cannot be forwarded.")
        # The query stays inside the path: a URL's parts would lose a lone `?`, or all after a `#`.
        url = URL.build(scheme=scheme, authority=authority, path=target, encoded=True)
        return cls(authority, url, origin is not None)

    def host_header(self, given: bytes) -> bytes:
        """The Host to send where the client sent `given`."""
        authority = self.authority.encode()
        name, _, port = given.lower().rpartition(b":")
        same = given.lower() == authority or (name == authority and port in (b"80", b"443"))
        return given if self.named and same else authority


def below(prefix: str, target: str) -> str:
    """`target` under the upstream's path. A target that starts with that path, as whole segments,
    is meant from the root: `/v1` serves both `/models` and `/v1/models` as `/v1/models`."""
    prefix = prefix.rstrip("/")
    if not prefix or (target.startswith(prefix) and target[len(prefix) :][:1] in ("", "/", "?")):
        return target
    return prefix + target

"""What a failed upstream request tells the client: a table of aiohttp's exceptions.

Their own texts are never passed on; they can hold headers, and the parent proxy's credentials.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable

import aiohttp
from yarl import URL

from fakeai_proxy import errors
from fakeai_proxy.errors import ApiError
from fakeai_proxy.sources.destination import Destination


def _name_lookup(error: BaseException) -> str:
    return "the name could not be resolved"


def _tls(error: BaseException) -> str:
    cause = error.__cause__
    detail = cause.reason if isinstance(cause, ssl.SSLError) else None
    return f"TLS failed ({detail.lower().replace('_', ' ')})" if detail else "TLS failed"


def _refused_by_proxy(error: BaseException) -> str:
    assert isinstance(error, aiohttp.ClientHttpProxyError)
    if error.status == 407:
        return "the upstream proxy refused its credentials (407)"
    return f"the upstream proxy refused to connect ({error.status})"


def _not_http(error: BaseException) -> str:
    return "its answer is not HTTP, or its headers are too large"


def _disconnected(error: BaseException) -> str:
    return "it closed the connection without an answer"


def _os_error(error: BaseException) -> str:
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number).lower() if number and number > 0 else "the connection failed"


#: The first row that fits tells why.
_REASONS: tuple[tuple[type[BaseException], Callable[[BaseException], str]], ...] = (
    (aiohttp.ClientConnectorDNSError, _name_lookup),
    (aiohttp.ClientSSLError, _tls),
    (aiohttp.ClientHttpProxyError, _refused_by_proxy),
    (aiohttp.ClientResponseError, _not_http),
    (aiohttp.ServerDisconnectedError, _disconnected),
    (BaseException, _os_error),
)


def api_error(error: BaseException, destination: Destination, proxy: URL | None) -> ApiError:
    """`error` as an answer: 502, or 504 for what took too long."""
    at_proxy = (
        proxy is not None
        and isinstance(error, aiohttp.ClientConnectorError)
        and (error.host, error.port) == (proxy.raw_host, proxy.port)
    )
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return errors.upstream_timeout(
            destination.authority, "connecting took longer than --upstream-connect-timeout"
        )
    if isinstance(error, TimeoutError):
        return errors.upstream_timeout(
            destination.authority, "it was silent for longer than --upstream-read-timeout"
        )
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        who = proxy.host_port_subcomponent if at_proxy and proxy else destination.authority
        return errors.upstream_certificate(who or "", _certificate(error.certificate_error))
    reason = next(tell(error) for kind, tell in _REASONS if isinstance(error, kind))
    if at_proxy:
        reason = f"no way through the upstream proxy, {reason}"
    return errors.upstream_unreachable(destination.authority, reason)


def _certificate(cause: BaseException) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_message.rstrip(".")
    return "it could not be verified"

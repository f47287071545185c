"""The proxy's own errors: cassettes, upstreams, destinations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fakeai_proxy.errors.catalogue import of_kind
from fakeai_proxy.errors.kinds import ApiError, own_error


def cassette_miss(message: str, nearest: Sequence[Mapping[str, object]]) -> ApiError:
    """404, which no SDK retries (408, 409, 429 and 5xx they do)."""
    return own_error(
        404,
        message,
        type="cassette_error",
        code="cassette_miss",
        headers={"x-should-retry": "false"},
        detail={"nearest": list(nearest)},
    )


def cassette_unreadable(message: str) -> ApiError:
    return own_error(
        502,
        message,
        type="cassette_error",
        code="cassette_unreadable",
        headers={"x-should-retry": "false"},
    )


def budget_spent(limit: str, spent: str, calls: int) -> ApiError:
    """402, which no SDK retries."""
    return own_error(
        402,
        f"No live call: ${spent} of the ${limit} of --max-live-usd are spent, on {calls} calls. Record this "
        "request, raise the limit, or restart.",
        type="proxy_error",
        code="live_budget_spent",
        headers={"x-should-retry": "false"},
    )


def no_upstream(method: str, target: str) -> ApiError:
    return own_error(
        502,
        f"There is no upstream for {method} {target}: start with --upstream URL, or send the "
        "request through the proxy (HTTPS_PROXY) instead of to it.",
        type="upstream_error",
        code="no_upstream",
        headers={"x-should-retry": "false"},
    )


def calls_unserved() -> ApiError:
    return own_error(
        404,
        "Realtime calls over WebRTC and SIP are not served here. Realtime sessions over a WebSocket "
        "are: connect to /v1/realtime?model=MODEL with an API key or a client secret.",
        code="webrtc_unserved",
        headers={"x-should-retry": "false"},
    )


def upstream_unreachable(host: str, reason: str) -> ApiError:
    return own_error(
        502,
        f"The upstream {host} could not be reached: {reason}.",
        type="upstream_error",
        code="upstream_unreachable",
    )


def upstream_certificate(host: str, reason: str) -> ApiError:
    return own_error(
        502,
        f"The certificate of the upstream {host} was refused: {reason}. A private authority can "
        "be trusted with --upstream-ca FILE.",
        type="upstream_error",
        code="upstream_certificate",
        headers={"x-should-retry": "false"},
    )


def upstream_timeout(host: str, what: str) -> ApiError:
    return own_error(
        504,
        f"The upstream {host} did not answer in time ({what}).",
        type="upstream_error",
        code="upstream_timeout",
    )


def upstream_loop(host: str) -> ApiError:
    return own_error(
        508,
        f"The upstream {host} leads back to this proxy: this request has been here before. Set "
        "--upstream to the API itself.",
        type="upstream_error",
        code="upstream_loop",
        headers={"x-should-retry": "false"},
    )


def authority_too_narrow(host: str) -> ApiError:
    return own_error(
        502,
        f"The certificate authority of this proxy is older than its support of {host} and may not "
        "sign for it. Make a new one with `fakeai-proxy ca create`, and trust that.",
        type="proxy_error",
        code="authority_too_narrow",
        headers={"x-should-retry": "false"},
    )


def authority_unusable(reason: str) -> ApiError:
    return own_error(
        502,
        reason,
        type="proxy_error",
        code="authority_unusable",
        headers={"x-should-retry": "false"},
    )


def misdirected(host: str, tunnel: str) -> ApiError:
    return own_error(
        421,
        f"This connection was opened to {tunnel}, but the request asks for {host}.",
        code="misdirected_request",
    )


def destination_refused(host: str, hint: str) -> ApiError:
    return own_error(
        403,
        f"{host} is neither intercepted nor allowed. {hint}",
        type="permission_error",
        code="destination_refused",
        headers={"x-should-retry": "false"},
    )


def destination_internal(host: str, authority: str) -> ApiError:
    return own_error(
        403,
        f"{host} is at a loopback, private or otherwise internal address, which a general rule does "
        f"not open. Start with --allow-host {authority} to tunnel to it.",
        type="permission_error",
        code="destination_refused",
        headers={"x-should-retry": "false"},
    )


def proxy_loop(authority: str) -> ApiError:
    return own_error(
        403,
        f"{authority} is this proxy itself: use it as a base URL instead of going through it.",
        type="permission_error",
        code="proxy_loop",
        headers={"x-should-retry": "false"},
    )


def proxy_credentials_required() -> ApiError:
    return own_error(
        407,
        "This proxy asks for credentials: put them into the proxy's URL, http://USER:PASS@HOST.",
        type="authentication_error",
        code="proxy_authentication_required",
        headers={"proxy-authenticate": 'Basic realm="fakeai-proxy"'},
    )


def server_error() -> ApiError:
    return of_kind("server_error")

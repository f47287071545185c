"""Errors as faults need them: by status, and as events in the middle of a stream, in each vendor's words."""

from __future__ import annotations

import orjson

from fakeai_proxy.errors import ApiError, server_error
from fakeai_proxy.exchange import Chunk, Exchange, Reply
from fakeai_proxy.providers import Provider, error_body, provider_of

#: What the access log calls the source of an answer that a fault has made.
MADE = "FAULT"

_SERVER, _OVERLOADED = "server_error", "service_unavailable_error"
#: Status -> message, type, code, as the vendors word them (OpenAI's error guide; 529 is Anthropic's).
_ERRORS: dict[int, tuple[str, str, str | None]] = {
    401: ("Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    403: ("You do not have access to this resource.", "permission_error", None),
    404: ("The requested resource was not found.", "invalid_request_error", None),
    408: ("Request timed out.", "timeout_error", None),
    409: ("The resource was changed by another request. Please try again.", "conflict_error", None),
    429: ("Rate limit reached for requests. Please try again later.", "requests", "rate_limit_exceeded"),
    500: (server_error().message, _SERVER, None),
    502: ("Bad gateway.", _SERVER, None),
    503: ("The server is currently overloaded with other requests. Sorry about that! You can retry your "
          "request.", _OVERLOADED, "server_is_overloaded"),
    504: ("The server did not answer in time.", _SERVER, None),
    529: ("Overloaded", "overloaded_error", None),
}  # fmt: skip


def error_of_status(
    status: int, message: str | None = None, retry_after_s: float | None = None
) -> ApiError:
    known = status if status in _ERRORS else (400 if status < 500 else 500)
    said, kind, code = _ERRORS.get(known, (f"Status {status}.", "invalid_request_error", None))
    headers = {} if retry_after_s is None else {"retry-after": f"{retry_after_s:g}"}
    return ApiError(status, message or said, type=kind, code=code, headers=headers)


def overloaded(provider: Provider) -> ApiError:
    return error_of_status(529 if provider.name == "anthropic" else 503)


def reply_to(error: ApiError, exchange: Exchange) -> Reply:
    """The error as a reply, for faults of what is sent and of the line it is sent on."""
    provider = provider_of(exchange.request)
    body = error_body(provider, error, exchange.id)
    return Reply(
        error.status,
        (
            (b"content-type", b"application/json"),
            *((name.encode(), value.encode("latin-1", "replace"))
              for name, value in error.headers.items()),
            (provider.request_id_header, exchange.id.encode()),
            (b"content-length", b"%d" % len(body)),
        ),
        [Chunk(body)],
        provenance=MADE,
    )  # fmt: skip


def event_of_error(provider: Provider, error: ApiError, request_id: str, path: str) -> bytes:
    """The event that tells of an error within a stream that has begun."""
    if path.rstrip("/").endswith("/responses"):
        event = {"type": "error", "code": error.code or error.type, "message": error.message,
                 "param": error.param}  # fmt: skip
        return b"event: error\ndata: %b\n\n" % orjson.dumps(event)
    body = orjson.dumps(provider.envelope(error, request_id))
    name = b"event: error\n" if provider.name == "anthropic" else b""
    return b"%bdata: %b\n\n" % (name, body)

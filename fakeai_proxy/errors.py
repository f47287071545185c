"""Every error we can answer with.

    FakeAIError
    ├── ApiError       a client caused it or must see it; becomes a response in the vendor's envelope
    ├── ConfigError    a user caused it at start: one line that names the key and what would be valid
    ├── CassetteError  a file on disk is broken: path and what was expected
    └── StreamCut      this exchange ends without its end: the client sees a closed connection

The functions below are the catalogue. Statuses, codes and wording follow the vendors' documents and
observed replies; `providers.py` wraps them in each vendor's envelope, `proxy/gateway.py` sends them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class FakeAIError(Exception):
    """The root of everything raised on purpose."""


class ApiError(FakeAIError):
    """An answer other than the one asked for.

    `detail` is merged into the error object of the envelope, for our own errors that carry more
    than the vendor's four fields.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",  # noqa: A002 - the vendor's word
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        detail: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type
        self.param = param
        self.code = code
        self.headers = dict(headers or {})
        self.detail = dict(detail or {})


class ConfigError(FakeAIError):
    """A setting that cannot be used."""


class CassetteError(FakeAIError):
    """A recording that cannot be read or written."""


class StreamCut(FakeAIError):  # noqa: N818 - an event, not a fault
    """The reply stops here, without the end that its protocol asks for. `end` says how, in the
    words of a recording: `reset`, `timeout` or `upstream_error`."""

    def __init__(self, message: str, end: str = "reset") -> None:
        super().__init__(message)
        self.end = end


# --- 400: the body ---------------------------------------------------------------------------


def unparsable_json() -> ApiError:
    return ApiError(
        400,
        "We could not parse the JSON body of your request. (HINT: This likely means you aren't "
        "using your HTTP library correctly. The OpenAI API expects a JSON payload, but what was "
        "sent was not valid JSON. If you have trouble figuring out how to fix this, please "
        "contact us through our help center at help.openai.com.)",
    )


def too_deep(levels: int) -> ApiError:
    return ApiError(
        400,
        "We could not parse the JSON body of your request: objects and arrays may be nested at "
        f"most {levels} levels deep.",
    )


def undecodable_body(coding: str) -> ApiError:
    return ApiError(400, f"The request body could not be decoded as '{coding}'.")


def unsupported_content_type(content_type: str, supported: str = "application/json") -> ApiError:
    return ApiError(
        400,
        f"Unsupported content type: '{content_type}'. This API method only accepts '{supported}' "
        "requests, but you specified the header 'Content-Type: "
        f"{content_type}'. Please try again with a supported content type.",
        code="unsupported_content_type",
    )


def body_too_large(limit_bytes: int, read_bytes: int) -> ApiError:
    return ApiError(
        413,
        f"413: Maximum content size limit ({limit_bytes}) exceeded ({read_bytes} bytes read)",
    )


def body_stalled(idle_s: float) -> ApiError:
    return ApiError(408, f"Nothing of the request body arrived for {idle_s:g} seconds.",
                    headers={"x-should-retry": "false"})  # fmt: skip


def bad_request(message: str) -> ApiError:
    return ApiError(400, message)


# --- 401, 403, 404, 405 ------------------------------------------------------------------------


def missing_key() -> ApiError:
    return ApiError(
        401,
        "You didn't provide an API key. You need to provide your API key in an Authorization "
        "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY). Any non-empty key is "
        "accepted here.",
    )


def wrong_key(key: str) -> ApiError:
    shown = key if len(key) <= 8 else f"{key[:4]}{'*' * min(len(key) - 8, 20)}{key[-4:]}"
    return ApiError(
        401,
        f"Incorrect API key provided: {shown}. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        code="invalid_api_key",
    )


def model_not_found(name: str, near: Sequence[str] = ()) -> ApiError:
    hint = f" Near: {', '.join(near)}." if near else ""
    return ApiError(
        404,
        f"The model `{name}` does not exist or you do not have access to it.{hint} "
        f"To serve it here, start with --model {name} or --any-model.",
        code="model_not_found",
    )


def model_unknown(name: str) -> ApiError:
    return ApiError(
        404, f"The model '{name}' does not exist", param="model", code="model_not_found"
    )


def deployment_not_found() -> ApiError:
    """Azure's word for an unknown model."""
    return ApiError(
        404,
        "The API deployment for this resource does not exist. If you created the deployment within "
        "the last 5 minutes, please wait a moment and try again.",
        code="DeploymentNotFound",
    )


def model_not_deletable(name: str) -> ApiError:
    return ApiError(
        403,
        f"You have insufficient permissions for this operation. '{name}' is not a fine-tuned model "
        "of yours, and only those can be deleted.",
        param="model",
    )


def wrong_kind_of_model(name: str, kind: str) -> ApiError:
    route = {"chat": "v1/chat/completions", "embedding": "v1/embeddings"}[kind]
    return ApiError(
        404,
        f"This is {'an' if kind[0] in 'aeiou' else 'a'} {kind} model and not supported in this "
        f"endpoint. Did you mean to use {route}?",
        param="model",
    )


def unknown_url(method: str, path: str) -> ApiError:
    return ApiError(404, f"Invalid URL ({method} {path})", code="unknown_url")


def method_not_allowed(method: str, path: str, allowed: str) -> ApiError:
    return ApiError(
        405,
        f"Not allowed to {method} on {path}. (HINT: Perhaps you meant to use a different HTTP "
        f"method? Allowed: {allowed}.)",
        code="method_not_supported",
        headers={"allow": allowed},
    )


# --- the proxy's own -----------------------------------------------------------------------------


def cassette_miss(message: str, nearest: Sequence[Mapping[str, object]]) -> ApiError:
    """404, which no SDK retries (408, 409, 429 and 5xx they do)."""
    return ApiError(
        404,
        message,
        type="cassette_error",
        code="cassette_miss",
        headers={"x-should-retry": "false"},
        detail={"nearest": list(nearest)},
    )


def cassette_unreadable(message: str) -> ApiError:
    return ApiError(
        502,
        message,
        type="cassette_error",
        code="cassette_unreadable",
        headers={"x-should-retry": "false"},
    )


def no_upstream(method: str, target: str) -> ApiError:
    return ApiError(
        502,
        f"There is no upstream for {method} {target}: start with --upstream URL, or send the "
        "request through the proxy (HTTPS_PROXY) instead of to it.",
        type="upstream_error",
        code="no_upstream",
        headers={"x-should-retry": "false"},
    )


def websocket_unserved(mode: str) -> ApiError:
    return ApiError(
        404,
        f"WebSockets are not served in mode {mode}: only the modes that ask an upstream (record, "
        "pass, auto) carry them.",
        code="websocket_unserved",
        headers={"x-should-retry": "false"},
    )


def upstream_unreachable(host: str, reason: str) -> ApiError:
    return ApiError(
        502,
        f"The upstream {host} could not be reached: {reason}.",
        type="upstream_error",
        code="upstream_unreachable",
    )


def upstream_certificate(host: str, reason: str) -> ApiError:
    return ApiError(
        502,
        f"The certificate of the upstream {host} was refused: {reason}. A private authority can "
        "be trusted with --upstream-ca FILE.",
        type="upstream_error",
        code="upstream_certificate",
        headers={"x-should-retry": "false"},
    )


def upstream_timeout(host: str, what: str) -> ApiError:
    return ApiError(
        504,
        f"The upstream {host} did not answer in time ({what}).",
        type="upstream_error",
        code="upstream_timeout",
    )


def upstream_loop(host: str) -> ApiError:
    return ApiError(
        508,
        f"The upstream {host} leads back to this proxy: this request has been here before. Set "
        "--upstream to the API itself.",
        type="upstream_error",
        code="upstream_loop",
        headers={"x-should-retry": "false"},
    )


def misdirected(host: str, tunnel: str) -> ApiError:
    return ApiError(
        421,
        f"This connection was opened to {tunnel}, but the request asks for {host}.",
        code="misdirected_request",
    )


def destination_refused(host: str, hint: str) -> ApiError:
    return ApiError(
        403,
        f"{host} is neither intercepted nor allowed. {hint}",
        type="permission_error",
        code="destination_refused",
        headers={"x-should-retry": "false"},
    )


def destination_internal(host: str, authority: str) -> ApiError:
    return ApiError(
        403,
        f"{host} is at a loopback, private or otherwise internal address, which a general rule does "
        f"not open. Start with --allow-host {authority} to tunnel to it.",
        type="permission_error",
        code="destination_refused",
        headers={"x-should-retry": "false"},
    )


def proxy_loop(authority: str) -> ApiError:
    return ApiError(
        403,
        f"{authority} is this proxy itself: use it as a base URL instead of going through it.",
        type="permission_error",
        code="proxy_loop",
        headers={"x-should-retry": "false"},
    )


def proxy_credentials_required() -> ApiError:
    return ApiError(
        407,
        "This proxy asks for credentials: put them into the proxy's URL, http://USER:PASS@HOST.",
        type="authentication_error",
        code="proxy_authentication_required",
        headers={"proxy-authenticate": 'Basic realm="fakeai-proxy"'},
    )


def server_error() -> ApiError:
    return ApiError(
        500,
        "The server had an error while processing your request. Sorry about that!",
        type="server_error",
    )

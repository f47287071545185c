"""The kinds of errors.

FakeAIError
├── ApiError       a client caused it or must see it; becomes a response in the vendor's envelope
├── ConfigError    a user caused it at start: one line that names the key and what would be valid
├── CassetteError  a file on disk is broken: path and what was expected
└── StreamCut      this exchange ends without its end: the client sees a closed connection
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial


class FakeAIError(Exception):
    """The root of everything raised on purpose."""


class ApiError(FakeAIError):
    """An answer other than the one asked for, in OpenAI's words.

    `kind` is a row of the catalogue: other vendors have a status, a type and a code of their own for
    it, and where `facts` are given, which fill in the sentence, a sentence of their own. `hint` is
    ours and follows whatever the vendor says. A `fixed` status is the same for every vendor.
    `detail` is merged into the error object of the envelope, for errors that carry more than the
    vendor's four fields.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str | None = "invalid_request_error",  # noqa: A002 - the vendor's word
        param: str | None = None,
        code: str | int | None = None,
        headers: Mapping[str, str] | None = None,
        detail: Mapping[str, object] | None = None,
        kind: str = "",
        facts: Mapping[str, object] | None = None,
        hint: str = "",
        fixed: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = hinted(message, hint)
        self.type = type
        self.param = param
        self.code = code
        self.headers = dict(headers or {})
        self.detail = dict(detail or {})
        self.kind = kind
        self.facts = None if facts is None else dict(facts)
        self.hint = hint
        self.fixed = fixed

    @property
    def name(self) -> str:
        """What programs call it, and the parameter that it is about."""
        name = str(self.code or self.type or self.kind)
        return f"{name} {self.param}" if self.param else name


def hinted(message: str, hint: str) -> str:
    """The hint as the sentence after the message, which may lack its full stop."""
    if not hint:
        return message
    return f"{message}{'' if message.endswith(('.', ')', '!')) else '.'} {hint}"


#: The kind of our own errors, about cassettes, upstreams, destinations and our own pages: no vendor
#: has words for it.
OWN = "own"
own_error = partial(ApiError, kind=OWN)

#: Seconds until asking again is worth it: somebody has to make room, or another process is to finish.
RETRY_AFTER_S = 1


def unavailable(message: str, code: str) -> ApiError:
    """503, of a moment."""
    headers = {"retry-after": str(RETRY_AFTER_S)}
    return ApiError(503, message, type="server_error", code=code, headers=headers)


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

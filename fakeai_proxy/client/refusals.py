"""What a client of the control API raises."""

from __future__ import annotations

import json

from fakeai_proxy.errors import FakeAIError


class ControlError(FakeAIError):
    """The server's refusal: `status`, and `code` and `param` where it names them."""

    def __init__(self, status: int, message: str, code: str = "", param: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param


class InvalidRequestError(ControlError):
    """400: the request is not what this row takes."""


class NotAllowedError(ControlError):
    """401 and 403: the token is missing or wrong, or the API is closed to this machine."""


class NotFoundError(ControlError):
    """404: there is no such row, or nothing of that name."""


class ConflictError(ControlError):
    """409: this server was not started for that."""


class UnreachableError(ControlError):
    """Nobody answers there, or not in time; `status` is 0."""


KINDS: dict[int, type[ControlError]] = {
    400: InvalidRequestError, 401: NotAllowedError, 403: NotAllowedError, 404: NotFoundError,
    409: ConflictError,
}  # fmt: skip


def refusal(status: int, data: bytes) -> ControlError:
    kind = KINDS.get(status, ControlError)
    try:
        error = json.loads(data)["error"]
        said = str(error["message"])
    except (ValueError, KeyError, TypeError):  # somebody in between, or a body that is no error
        return kind(status, f"{status}: {data[:500].decode('utf-8', 'replace')}")
    return kind(status, said, str(error.get("code") or ""), str(error.get("param") or ""))

"""Why a document has no text for us, in the vendor's codes."""

from __future__ import annotations

from typing import Literal

from fakeai_proxy.errors import FakeAIError

Code = Literal["unsupported_file", "invalid_file"]


class Unreadable(FakeAIError):  # noqa: N818 - a state of affairs
    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code

"""pydantic's first complaint in the vendor's words."""

from __future__ import annotations

from pydantic import ValidationError

from fakeai_proxy.errors import ApiError


def request_error(error: ValidationError, body: object) -> ApiError:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return ApiError(400, f"{where}: {first['msg']}", param=where, code="invalid_type")

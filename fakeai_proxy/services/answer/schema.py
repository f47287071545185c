"""Schemas that requests bring, looked at before anything is planned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.generate.strict_schema import SchemaError, schema_check
from fakeai_proxy.generate.structured import Schema


def check_schema(schema: Mapping[str, Any], strict: bool, what: str, param: str, code: str) -> None:
    """Raises 400 that names it as `what`."""
    try:
        if strict:
            schema_check(schema)
        Schema.load(schema)
    except SchemaError as error:
        raise errors.invalid_schema(what, str(error), param, code) from None

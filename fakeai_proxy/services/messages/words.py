"""Complaints about a body as Anthropic words them: a path in dots, a colon, and what pydantic says."""

from __future__ import annotations

from pydantic import BaseModel, ValidationError

from fakeai_proxy import errors
from fakeai_proxy.errors import ApiError

#: Names of ours for the two forms of a field; the vendor's paths are without them.
_OURS = frozenset(("string", "array", "vendor"))
_LINES_MAX = 1000


def complain(error: ValidationError, body: object, shape: type[BaseModel]) -> ApiError:
    """The first complaint; missing fields come before wrong ones, whose cause they may be."""
    lines = error.errors(include_url=False, include_input=False)[:_LINES_MAX]
    line = min(lines, key=lambda each: each["type"] != "missing" or len(each["loc"]) > 1)
    path = ".".join([str(step) for step in line["loc"] if step not in _OURS])
    # The names of our shapes are nobody's business.
    is_object = line["type"] in ("model_type", "model_attributes_type", "dict_type")
    return invalid(path, "Input should be an object" if is_object else line["msg"])


def invalid(path: str, message: str) -> ApiError:
    return errors.bad_request(f"{path}: {message}" if path else message)

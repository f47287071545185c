"""One operation of the API: how a request finds it, and what its handler is given.

A room is a tuple of operations. Paths are written without their version prefix; `{name}` matches one
segment and `{name:path}` the rest. The dialects (`/v1/...`, Azure's `/openai/...`) are taken off
before matching.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from fakeai_proxy import errors
from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.catalogue import Catalogue
from fakeai_proxy.services.validation import request_error


class Plan(Protocol):
    """What will be said, before it is said."""

    @property
    def tokens(self) -> int:
        """Of prompt and answer: what the plan weighs."""


@dataclass(slots=True)
class Call:
    """What a handler is given. `dice_key` and `id_key` key the dice: equal requests share the
    first, never the second. `created` is the wall time in whole seconds."""

    operation: Operation
    params: Mapping[str, str]
    query: Mapping[str, str]
    body: Any
    catalogue: Catalogue
    dice: Dice
    dice_key: bytes
    id_key: bytes
    created: int
    strict: bool = False
    #: The vendor in whose words it is answered.
    vendor: str = "openai"
    #: The value of a header, whose name is given in lower case; "" when absent.
    header: Callable[[bytes], str] = lambda name: ""
    #: What the operation's `plan` made of this call, or of an equal one before.
    plan: Any = None


Handler = Callable[[Call], Reply]
Complain = Callable[[ValidationError, object, type[BaseModel]], ApiError]


@dataclass(frozen=True)
class Operation:
    """`body` is the pydantic shape of the request, None where there is none. A `threaded` handler
    computes for longer than the event loop can wait. `plan` is a pure function of the request and
    the dice, without `id_key` and `created`; what it made is kept for equal requests.
    `enter` looks at the headers before anybody looks at the body, and `complain` words what is wrong
    with the body's shape."""

    name: str
    method: str
    path: str
    handler: Handler
    body: type[BaseModel] | None = None
    threaded: bool = False
    plan: Callable[[Call], Plan] | None = None
    enter: Callable[[Call], None] | None = None
    complain: Complain = request_error
    pattern: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        source = re.sub(r"\\{(\w+):path\\}", r"(?P<\1>.+)", re.escape(self.path))
        source = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", source)
        object.__setattr__(self, "pattern", re.compile(source))


_DIALECTS = (
    re.compile(r"/openai/deployments/(?P<deployment>[^/]+)(?P<rest>/.*)"),
    re.compile(r"/openai/v1(?P<rest>/.*)"),
    re.compile(r"/openai(?P<rest>/.*)"),
    re.compile(r"/v1(?P<rest>/.*)"),
)


class Router:
    """Finds the operation of a method and a path."""

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        self._plain: dict[str, dict[str, Operation]] = {}
        self._patterned: list[Operation] = []
        for operation in operations:
            if "{" in operation.path:
                self._patterned.append(operation)
            else:
                self._plain.setdefault(operation.path, {})[operation.method] = operation

    def find(self, method: str, path: str) -> tuple[Operation, dict[str, str]]:
        """The operation and the parameters in its path. Raises 404 and 405."""
        params: dict[str, str] = {}
        rest = path
        for dialect in _DIALECTS:
            match = dialect.fullmatch(path)
            if match:
                params = match.groupdict()
                rest = params.pop("rest")
                break
        else:
            raise errors.unknown_url(method, path)
        rest = rest.rstrip("/")
        at_path = self._plain.get(rest)
        if at_path is not None and method in at_path:
            return at_path[method], params
        allowed = set(at_path or ())
        for operation in self._patterned:
            match = operation.pattern.fullmatch(rest)
            if match:
                if operation.method == method:
                    return operation, {**params, **match.groupdict()}
                allowed.add(operation.method)
        if allowed:
            raise errors.method_not_allowed(method, path, ", ".join(sorted(allowed)))
        raise errors.unknown_url(method, path)

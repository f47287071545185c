"""One request to the control API as a value, and the descriptor that makes it a method of both clients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload
from urllib.parse import quote

if TYPE_CHECKING:
    from fakeai_proxy.client import AsyncControl, Control

P = ParamSpec("P")
T = TypeVar("T")
D = TypeVar("D")

CONTROL = "/_fakeai/v1"


@dataclass(frozen=True)
class Asked(Generic[T]):
    """One request, and what reads its answer."""

    method: str
    path: str
    read: Callable[[bytes], T]
    query: Mapping[str, object] = field(default_factory=dict)
    body: Mapping[str, object] | None = None
    accept: str = "application/json"


class Described(Generic[P, D]):
    """A method of both clients, as what it asks: the function says that of its arguments."""

    def __init__(self, describe: Callable[Concatenate[Any, P], D]) -> None:
        self._describe = describe
        self.__doc__ = describe.__doc__

    def asked(self, *values: P.args, **named: P.kwargs) -> D:
        """What it would ask."""
        return self._describe(None, *values, **named)

    def _bound(self, client: Any, carry_out: Callable[[D], Any]) -> Callable[P, Any]:
        def perform(*values: P.args, **named: P.kwargs) -> Any:
            return carry_out(self._describe(client, *values, **named))

        perform.__doc__ = self.__doc__
        return perform


class Row(Described[P, Asked[T]]):
    """It answers the one, and is awaited from the other."""

    @overload
    def __get__(self, client: Control, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: AsyncControl, owner: type) -> Callable[P, Awaitable[T]]: ...
    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    def __get__(self, client: Any, owner: type) -> Any:
        return self if client is None else self._bound(client, client.perform)


def get(path: str, read: Callable[[bytes], T], /, **query: object) -> Asked[T]:
    return Asked("GET", path, read, query)


def do(method: str, path: str, read: Callable[[bytes], T], /, **body: object) -> Asked[T]:
    """What is None is not said."""
    given = {name: value for name, value in body.items() if value is not None}
    return Asked(method, f"{CONTROL}/{path}", read, body=given)


def text(data: bytes) -> str:
    return data.decode()


def page(path: str) -> Asked[str]:
    return Asked("GET", path, text, accept="text/plain")


def part(text: str) -> str:
    return quote(text, safe="")

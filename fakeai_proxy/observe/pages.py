"""Our own pages: a table of rows, each made by the component that has something to show or to steer.

Rows below /_fakeai/ are found on the base URL and on intercepted hosts, others on the base URL only.
What is below /_fakeai/v1/, and whatever changes something, is for those whom `admit` lets in.
Knows no sockets: a request comes in, a status, headers and bytes go out.
"""

from __future__ import annotations

import asyncio
import difflib
import inspect
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol
from urllib.parse import parse_qsl, unquote

import orjson
from pydantic import BaseModel, ValidationError

from fakeai_proxy import errors
from fakeai_proxy.body import Body
from fakeai_proxy.clock import Clock
from fakeai_proxy.exchange import Headers, Request, header
from fakeai_proxy.shared.commons import Commons
from fakeai_proxy.shared.operations import Issued, Outcome, Reach

OWN = "/_fakeai"
_OWN_SEGMENT = OWN[1:]
CONTROL = "/_fakeai/v1/"
BODY_BYTES_MAX = 1 << 20
QUERY_FIELDS_MAX = 100
JSON = "application/json"
#: Characters of a path that is compared with those there are.
_COMPARED_CHARS = 200

_BOOLEANS = {
    "true": True,
    "1": True,
    "yes": True,
    "": True,
    "false": False,
    "0": False,
    "no": False,
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One query parameter. `default` is what the handler sees when it is not given."""

    name: str
    summary: str
    kind: Literal["string", "integer", "number", "boolean"] = "string"
    default: str | float | bool | None = None
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    required: bool = False

    def read(self, text: str) -> str | float | bool:
        """Raises 400."""
        if self.kind == "boolean":
            if text.lower() not in _BOOLEANS:
                raise errors.invalid_value(self.name, text, ("true", "false"))
            return _BOOLEANS[text.lower()]
        if self.kind == "string":
            if self.choices and text not in self.choices:
                raise errors.invalid_value(self.name, text, self.choices)
            return text
        try:
            value = int(text) if self.kind == "integer" else float(text)
        except ValueError:
            article = "an integer" if self.kind == "integer" else "a number"
            raise errors.invalid_type(self.name, article, text) from None
        if self.least is not None and not value >= self.least:
            raise errors.out_of_range(self.name, self.kind, ">=", self.least, text)
        if self.most is not None and not value <= self.most:
            raise errors.out_of_range(self.name, self.kind, "<=", self.most, text)
        return value


@dataclass(frozen=True, slots=True)
class Call:
    """What a handler is given: `params` from the path, `query` with a value or default for every
    declared parameter (undeclared ones, where allowed, as text), `body` as the row's shape."""

    request: Request
    params: Mapping[str, str]
    query: Mapping[str, Any]
    body: Any = None
    #: When it was issued, by our clock, and what all processes that perform it call it; None and ""
    #: where one is alone with it.
    at: float | None = None
    mark: str = ""


class Socket(Protocol):
    """What a WebSocket of ours says; see `proxy/feed.py`."""

    @property
    def message_bytes_max(self) -> int: ...

    async def open(self, now: float) -> Sequence[bytes]: ...

    def receive(self, message: str | bytes, now: float) -> Sequence[bytes]: ...

    @property
    def due_at(self) -> float: ...

    async def update(self, now: float) -> Sequence[bytes]: ...


class Answer(NamedTuple):
    """`body` is bytes, text, or what JSON can say. A function in its place is called in a thread
    and gives one of these: the handler takes its snapshot, the function renders it. A generator in
    its place is a stream: what it yields is sent as it comes, until the reader goes away or we stop.
    `headers` are in addition to those of every page; a `cache-control` replaces ours."""

    body: object
    status: int = 200
    content_type: str = JSON
    headers: Headers = ()


Pieces = AsyncGenerator[bytes]
Handler = Callable[[Call], Answer | Awaitable[Answer]]


@dataclass(frozen=True)
class Route:
    """One page. `{name}` in `path` stands for one segment, `{name:path}` for the rest. `body` is
    the shape of the JSON that is sent along, None where there is none. A `threaded` handler runs in a
    thread: only for what nobody changes meanwhile. A GET row answers HEAD, too. `reach` is where
    what changes something has to be done, if there are several processes."""

    method: str
    path: str
    handler: Handler
    summary: str
    query: tuple[Parameter, ...] = ()
    body: type[BaseModel] | None = None
    threaded: bool = False
    reach: Reach = "all"
    pattern: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        source = re.sub(r"\\{(\w+):path\\}", r"(?P<\1>.+)", re.escape(self.path.rstrip("/")))
        source = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", source)
        object.__setattr__(self, "pattern", re.compile(source))

    @property
    def is_control(self) -> bool:
        return self.path.startswith(CONTROL)

    @property
    def is_guarded(self) -> bool:
        """Whether only those may have it who may steer us."""
        return self.is_control or self.method != "GET"


class Pages:
    """All rows, and the way from a request to the answer of one."""

    def __init__(
        self,
        routes: Sequence[Route],
        admit: Callable[[Request], None],
        clock: Clock,
        commons: Commons | None = None,
        sockets: Mapping[str, Callable[[], Socket]] | None = None,
    ) -> None:
        """`admit` raises ApiError for a request that may not steer us; `commons` has the other
        processes; `sockets` are the WebSockets that we answer ourselves, by path."""
        self.routes = tuple(routes)
        self._admit = admit
        self._clock = clock
        self._commons = commons or Commons()
        self._sockets = sockets or {}
        seen = {(route.method, route.pattern.pattern) for route in self.routes}
        assert len(seen) == len(self.routes), "two rows for one page"
        #: First segments of pages outside /_fakeai/: whatever begins otherwise is no page of ours.
        self._segments = {_first_segment(route.path) for route in self.routes} - {_OWN_SEGMENT}

    def owns(self, request: Request) -> bool:
        path = request.path
        segment = _first_segment(path)
        if segment == _OWN_SEGMENT:
            return True
        if request.origin is not None or segment not in self._segments:
            return False
        return any(route.pattern.fullmatch(path.rstrip("/")) for route in self.routes)

    def socket(self, request: Request) -> Socket | None:
        """What a WebSocket handshake for a page of ours leads to."""
        if request.text_header(b"upgrade").lower() != "websocket":
            return None
        make = self._sockets.get(request.path.rstrip("/"))
        return None if make is None else make()

    async def answer(self, request: Request) -> tuple[int, Headers, bytes | Pieces]:
        """Status, headers and body, whole or as a stream. Raises ApiError."""
        if request.path.startswith(CONTROL):
            self._admit(request)  # before anything is said about what there is
        route, params = self._find(request.method, request.path)
        if route.is_guarded and not route.is_control:
            self._admit(request)
        call = Call(request, params, _query(request, route), await _body(request, route))
        channelled = route.is_control and route.method != "GET" and self._commons.has(route.reach)
        if channelled:
            body = request.body.in_memory or b""
            status, content_type, data = await self._commons.everywhere(
                route.reach, request.method, request.path, request.query, body
            )
            return status, _headers(content_type), data
        answer = await self._answered(route, call)
        headers = _headers(answer.content_type, answer.headers)
        if isinstance(answer.body, AsyncGenerator):
            return answer.status, headers, answer.body
        return answer.status, headers, await self._body_of(answer)

    async def perform(self, issued: Issued) -> Outcome:
        """What some process was asked to do, done here. Raises ApiError."""
        operation = issued.operation
        target = f"{operation.path}?{operation.query}" if operation.query else operation.path
        request = Request(operation.method, target, (), Body(operation.body))
        route, params = self._find(request.method, request.path)
        call = Call(
            request,
            params,
            _query(request, route),
            await _body(request, route),
            issued.at,
            issued.mark,
        )
        answer = await self._answered(route, call)
        return Outcome(answer.status, answer.content_type, await self._body_of(answer))

    async def _answered(self, route: Route, call: Call) -> Answer:
        if route.threaded:
            with self._clock.hold():
                made = await asyncio.to_thread(route.handler, call)
        else:
            made = route.handler(call)
        answer = await made if inspect.isawaitable(made) else made
        assert isinstance(answer, Answer)
        return answer

    async def _body_of(self, answer: Answer) -> bytes:
        body = answer.body
        if not callable(body):
            return _encoded(body)
        with self._clock.hold():
            return await asyncio.to_thread(_rendered, body)

    def _find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        allowed = set()
        wanted = "GET" if method == "HEAD" else method
        for route in self.routes:
            match = route.pattern.fullmatch(path.rstrip("/"))
            if match is None:
                continue
            if route.method == wanted:
                return route, {name: unquote(value) for name, value in match.groupdict().items()}
            allowed.add(route.method)
        if allowed:
            raise errors.method_not_allowed(method, path, ", ".join(sorted(allowed)))
        known = list(dict.fromkeys(route.path for route in self.routes))
        near = difflib.get_close_matches(path[:_COMPARED_CHARS], known, 1)
        raise errors.unknown_page(method, path, near)


def _first_segment(path: str) -> str:
    return path[1:].partition("/")[0]


def _query(request: Request, route: Route) -> dict[str, Any]:
    """Raises 400. Below /_fakeai/v1/ there are no parameters but those declared: a misspelt filter
    must not look as if it had found everything."""
    try:
        given = parse_qsl(request.query, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX)
    except ValueError:
        raise errors.bad_request(
            f"Bad request: more than {QUERY_FIELDS_MAX} query parameters."
        ) from None
    declared = {parameter.name: parameter for parameter in route.query}
    values: dict[str, Any] = {name: parameter.default for name, parameter in declared.items()}
    for name, text in given:
        if name in declared:
            values[name] = declared[name].read(text)
        elif route.is_control:
            raise errors.unknown_query(errors.shown(name), tuple(declared))
        else:
            values[name] = text
    for parameter in route.query:
        if parameter.required and values[parameter.name] is None:
            raise errors.missing_parameter(parameter.name)
    return values


async def _body(request: Request, route: Route) -> BaseModel | None:
    """Raises 400 and 413. No body at all is an empty object."""
    if route.body is None:
        return None
    data = await request.body.read(BODY_BYTES_MAX)
    try:
        return route.body.model_validate(orjson.loads(data) if data.strip() else {})
    except orjson.JSONDecodeError as error:
        raise errors.not_json(str(error)) from None
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        # A name that nobody knows is why another one is missing.
        first = min(found, key=lambda one: one["type"] != "extra_forbidden")
        where = "".join(
            f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]
        )
        path = where.removeprefix(".")
        if first["type"] == "missing":
            raise errors.missing_parameter(path) from None
        if first["type"] == "extra_forbidden":
            known = tuple(route.body.model_fields) if len(first["loc"]) == 1 else None
            raise errors.unknown_field(path, known) from None
        said = f"Invalid '{path}': {first['msg']}." if path else f"Invalid body: {first['msg']}."
        raise errors.bad_parameter(path, first["type"], said) from None


def _rendered(render: Callable[[], object]) -> bytes:
    return _encoded(render())


def _encoded(body: object) -> bytes:
    if body is None:
        return b""
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else orjson.dumps(body, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(type(value).__name__)


def _headers(content_type: str, more: Headers = ()) -> Headers:
    kept = () if header(more, b"cache-control") else ((b"cache-control", b"no-store"),)
    return (
        (b"content-type", content_type.encode()),
        *kept,
        (b"x-content-type-options", b"nosniff"),
        *more,
    )

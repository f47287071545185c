"""Answers from the rooms in `services/`, with nothing behind them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fakeai_proxy import errors
from fakeai_proxy.body import INLINE_BYTES_MAX, JSON_BYTES_MAX, decoded
from fakeai_proxy.clock import Clock
from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import PROJECT, SYNTH, Exchange, Reply, Request
from fakeai_proxy.generate.embedders import embedder_kind
from fakeai_proxy.providers import Told, provider_of
from fakeai_proxy.services import Room
from fakeai_proxy.services.catalogue import Catalogue
from fakeai_proxy.services.dialect import PLAIN, Dialect, Dialects
from fakeai_proxy.services.form import read_form
from fakeai_proxy.services.job import Answered, Asked
from fakeai_proxy.services.operation import Call, Operation, Unhurried
from fakeai_proxy.services.records import Records
from fakeai_proxy.services.responder import Responder
from fakeai_proxy.services.router import Router
from fakeai_proxy.services.validation import request_error
from fakeai_proxy.services.webhooks import NOBODY, Webhooks
from fakeai_proxy.sources.doorkeeper import AuthSettings, Doorkeeper
from fakeai_proxy.sources.plans import Plans
from fakeai_proxy.store import Key, Store

#: Objects and arrays inside each other; what walks a body may recurse.
JSON_DEPTH_MAX = 200

#: Longer bodies are hashed in a thread: a millisecond for each.
_HASHED_BYTES_MAX = 1 << 20

#: Pages in a browser may call the vendor's API, so they may call this one.
CORS_HEADERS = (
    ("access-control-allow-origin", "*"),
    ("access-control-expose-headers", "*"),
)
CORS_PREFLIGHT_HEADERS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, POST, DELETE, OPTIONS"),
    # Spelled out, because `*` does not cover the first.
    (b"access-control-allow-headers", b"authorization, *"),
    (b"access-control-max-age", b"86400"),
)


class SynthSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    strict_parameters: bool = Field(
        False,
        description="Refuse the parameters that only vLLM and NIM know (top_k, ignore_eos, ...), "
        "as OpenAI does.",
    )
    responder: str = Field(
        "",
        description="Ask this first what to answer: FILE.toml (patterns and texts), FILE.py:function or "
        "package.module:function. Read again when it changes.",
    )
    python_graders: bool = Field(
        False,
        description="Run the code of python graders, in processes with limits; for servers whose "
        "clients are trusted. Otherwise such a grader fails as it does when its server is down.",
    )
    embedder: Literal["auto", "hashed", "semantic"] = Field(
        "auto",
        description="What makes the vectors of embeddings and rankings: semantic knows what words "
        "mean (extra `semantic`), hashed compares words and a table of synonyms; auto is the best "
        "that is installed. Each has vectors of its own.",
    )


class Synth:
    def __init__(
        self,
        settings: SynthSettings,
        rooms: Iterable[Room],
        catalogue: Catalogue,
        clock: Clock,
        dice: Dice,
        keeper: Callable[[], Store],
        dialects: Dialects,
        records: Records,
        dispatch: Callable[[Key], None],
        ask: Callable[[Asked], Awaitable[Answered]] | None,
        pace: float = 1.0,
        webhooks: Webhooks = NOBODY,
        life: bytes = b"",
        doorkeeper: Doorkeeper | None = None,
        settle: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        """`pace` is how many seconds of a back end's work pass in one; `life` is of this process alone,
        and empty where nothing is kept when it ends; `settle` waits until all that was answered is
        counted."""
        self._settings = settings
        self._dialects = dialects
        self._embedder = embedder_kind(settings.embedder)
        self._router = Router(rooms)
        self._catalogue = catalogue
        self._clock = clock
        self._dice = dice
        self._keeper = keeper
        self._plans = Plans()
        self._records = records
        self._dispatch = dispatch
        self._ask = ask
        self._life = life
        self._pace = pace
        self._webhooks = webhooks
        self.responder = Responder(settings.responder) if settings.responder else None
        self._doorkeeper = doorkeeper or Doorkeeper(AuthSettings(), lambda: None, clock)
        self._settle = settle

    async def reply(self, exchange: Exchange) -> Reply:
        request = exchange.request
        from_page = request.header(b"origin") is not None
        if from_page and request.method == "OPTIONS":
            return Reply(204, CORS_PREFLIGHT_HEADERS, [])
        try:
            reply = await self._answered(exchange)
        except ApiError as error:
            if from_page:
                error.headers.update(CORS_HEADERS)
            raise
        if request.method != "GET" and "/organization/" in request.path:
            self._doorkeeper.forget()
        reply.provenance = SYNTH
        spent_ms = int((self._clock.now() - exchange.arrived_at) * 1000)
        told = Told(exchange.id, spent_ms, int(self._clock.wall()))
        reply.headers += provider_of(request).answer_headers(told)
        if from_page:
            reply.headers += tuple((name.encode(), value.encode()) for name, value in CORS_HEADERS)
        return reply

    async def _answered(self, exchange: Exchange) -> Reply:
        request = exchange.request
        path = unquote(request.path)
        if not self._router.is_at_hand(path):
            with self._clock.hold():
                await asyncio.to_thread(self._router.open, path)
        if not self._router.is_keyless(path):
            self._doorkeeper.check(exchange)
        # A HEAD is a GET whose body stays here.
        method = "GET" if request.method == "HEAD" else request.method
        operation, params = self._router.find(method, path)
        self._doorkeeper.check_role(exchange, operation)
        if operation.form is not None and (operation.body is None or _is_form(request)):
            return await self._answered_form(exchange, operation, operation.form, params)
        body = await request.body.read(JSON_BYTES_MAX)
        if len(body) > _HASHED_BYTES_MAX:
            with self._clock.hold():
                await asyncio.to_thread(request.fingerprint, body)
        call = self._call(exchange, operation, params, request.fingerprint(body))
        if operation.socket and request.text_header(b"upgrade").lower() != "websocket":
            raise errors.websocket_required(path)
        dialect = self._dialects.of(call.vendor)
        dialect.enter(call, path)
        if operation.enter is not None:
            operation.enter(call)
        if operation.body is not None:
            _check_content_type(request)
        inline = request.header(b"content-encoding") is None and len(body) <= INLINE_BYTES_MAX
        # The user's own code may take its time, and answer otherwise tomorrow.
        if inline and dialect.silent and self.responder is None:
            if operation.plan is not None:
                call.plan = self._plans.find(call.dice_key)
            kept = call.plan
            # What has a plan was light when it was made.
            light = kept is not None or not operation.is_heavy(body)
            if light and self._at_hand(call, request, body):
                with contextlib.suppress(Unhurried):
                    answer = _answer(call, request, body)
                    reply = answer if isinstance(answer, Reply) else await answer
                    # A user's own model may be gone tomorrow, and is nobody else's.
                    if call.plan is not kept and call.tuned is None:
                        self._plans.keep(call.dice_key, call.plan)
                    return reply
        with self._clock.hold():
            reply = await _whole(await asyncio.to_thread(_answer, call, request, body, dialect))
            if dialect.silent:
                return reply
            return await asyncio.to_thread(dialect.finish, call, reply)

    async def _answered_form(
        self, exchange: Exchange, operation: Operation, shape: type[BaseModel],
        params: Mapping[str, str],
    ) -> Reply:  # fmt: skip
        request = exchange.request
        content_type = request.text_header(b"content-type")
        if not _is_form(request):
            raise errors.unsupported_content_type(content_type, "multipart/form-data")
        most_bytes = operation.form_bytes_max
        form = await read_form(content_type, _pieces(request), most_bytes, self._clock)
        try:
            key = form.fingerprint(f"{request.method} {request.target}")
            call = self._call(exchange, operation, params, key)
            dialect = self._dialects.of(call.vendor)
            dialect.enter(call, unquote(request.path))
            if operation.enter is not None:
                operation.enter(call)
            call.body = _held_against(shape, operation, form.values)
            with self._clock.hold():
                reply = await _whole(await asyncio.to_thread(_answer, call, request, b"", dialect))
                return dialect.finish(call, reply)
        finally:
            # Half a gigabyte is not forgotten in a moment.
            with self._clock.hold():
                await asyncio.to_thread(form.close)

    def _call(
        self, exchange: Exchange, operation: Operation, params: Mapping[str, str], key: bytes
    ) -> Call:
        request = exchange.request
        exchange.dice_key, exchange.route = key, operation.path
        pairs = parse_qsl(request.query, keep_blank_values=True) if request.query else []
        return Call(
            operation=operation,
            params=params,
            query=dict(pairs),
            pairs=pairs,
            body=None,
            catalogue=self._catalogue,
            dice=self._dice,
            dice_key=key,
            id_key=key + self._dice.occurrence(key).to_bytes(8, "big") + self._dice.process,
            created=int(self._clock.wall()),
            records=self._records,
            keeper=self._keeper,
            dispatch=self._dispatch,
            ask=self._ask,
            webhooks=self._webhooks,
            runs_python=self._settings.python_graders,
            life=self._life,
            project=exchange.project or PROJECT,
            key_id=exchange.key_id,
            user_id=exchange.user_id,
            settle=self._settle,
            tier=exchange.tier,
            wall=self._clock.wall,
            clock=self._clock,
            strict=self._settings.strict_parameters,
            embedder=self._embedder,
            vendor=provider_of(request).name,
            header=request.text_header,
            reached=partial(_origin, request),
            pace=self._pace,
            loop=asyncio.get_running_loop(),
            responder=self.responder,
        )

    def _at_hand(self, call: Call, request: Request, raw: bytes) -> bool:
        """Whether the answer takes no vocabulary that has to be read first: half a second's work."""
        if call.plan is not None or call.operation.body is None:
            return True
        call.body = _parse(call.operation, call.operation.body, request, raw)
        name = call.params.get("deployment") or getattr(call.body, "model", None)
        return self._catalogue.is_at_hand(name)

    async def close(self) -> None:
        pass


def _origin(request: Request) -> str:
    """Where the client reaches us, as it sees it."""
    if request.origin is not None:
        return request.origin.url
    scheme = request.text_header(b"x-forwarded-proto").strip().lower()
    return f"{scheme if scheme == 'https' else 'http'}://{request.text_header(b'host')}"


async def _whole(reply: Reply | Awaitable[Reply]) -> Reply:
    return reply if isinstance(reply, Reply) else await reply


def _answer(
    call: Call, request: Request, raw: bytes, dialect: Dialect = PLAIN
) -> Reply | Awaitable[Reply]:
    operation = call.operation
    if call.plan is None:
        if operation.body is not None and call.body is None:
            call.body = _parse(operation, operation.body, request, raw)
        if operation.body is not None:
            call.look_up(call.params.get("deployment") or getattr(call.body, "model", None))
        dialect.admit(call)
        if operation.plan is not None:
            call.plan = operation.plan(call)
    return operation.handler(call)


def _is_form(request: Request) -> bool:
    return request.text_header(b"content-type").lower().startswith("multipart/form-data")


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """The body as it arrives; whole where it has to be decoded first."""
    coding = request.text_header(b"content-encoding")
    if coding:
        raw = await request.body.read(JSON_BYTES_MAX)
        yield await asyncio.to_thread(decoded, coding, raw)
        return
    async for piece in request.body.chunks():
        yield piece


def _check_content_type(request: Request) -> None:
    content_type = request.text_header(b"content-type").partition(";")[0].strip().lower()
    if content_type not in ("", "application/json") and not content_type.endswith("+json"):
        raise errors.unsupported_content_type(content_type)


def _parse(operation: Operation, shape: type[BaseModel], request: Request, raw: bytes) -> BaseModel:
    value = request.body.parsed
    if value is None:
        data = decoded(request.text_header(b"content-encoding"), raw)
        ours = operation.complain is request_error
        if not data.strip() and ours and "model" in shape.model_fields:
            raise errors.missing_model()
        value = _strict_json(data)
    elif _depth_exceeds(value, JSON_DEPTH_MAX):
        raise errors.too_deep(JSON_DEPTH_MAX)
    return _held_against(shape, operation, value)


def _held_against(shape: type[BaseModel], operation: Operation, value: dict[str, Any]) -> BaseModel:
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        raise operation.complain(error, value, shape) from None


def _strict_json(data: bytes) -> dict[str, Any]:
    """The object in `data`. orjson refuses what JSON does not allow (NaN, two values, bad UTF-8,
    lone surrogates, numbers beyond a double); the rest is refused here. Raises 400."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise errors.unparsable_json() from None
    if not isinstance(value, dict):
        raise errors.unparsable_json()
    openings = data.count(b"[") + data.count(b"{")
    if openings > JSON_DEPTH_MAX and _depth_exceeds(value, JSON_DEPTH_MAX):
        raise errors.too_deep(JSON_DEPTH_MAX)
    return value


def _depth_exceeds(value: dict[str, Any], limit: int) -> bool:
    level: list[dict[str, Any] | list[Any]] = [value]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True

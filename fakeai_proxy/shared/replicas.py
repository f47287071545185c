"""Processes on any number of machines that share a Redis: a stream of operations that all perform in its
order, counts, and scripts. `redis` is imported here alone, when it is asked for.

Whatever is not answered in time is said so; the next one tries again, so that a server that comes back
is used again.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import secrets
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from fakeai_proxy.clock import Clock
from fakeai_proxy.errors import ConfigError, FakeAIError
from fakeai_proxy.shared.operations import REMEMBERED_MAX, Issued, Operation, Performer

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = logging.getLogger("fakeai_proxy")

_PREFIX = "fakeai-proxy:"
_SERVICE = _PREFIX + "service"
#: How long the server may take.
PATIENCE_REAL_S = 2.0
#: How long we wait for the next operation before we ask again.
_LISTEN_MS = 1_000
#: After the server could not be reached.
_RETRY_S = 0.25
#: A process that has not been heard of for so long is gone, and what it held is free.
ALIVE_S = 15
_HEARTBEAT_S = 5.0
#: A service without any process is over after so long: the next to come begin afresh.
SERVICE_KEPT_S = 60
_COUNTS_KEPT_S = 86_400
#: Operations hold as long as their service, which tells them to whoever joins.
_STREAM_KEPT_S = 90 * 86_400


class UnreachableError(FakeAIError):
    """Redis is not there, or does not answer. Says why, without the password."""


class Replicas:
    """Raises ConfigError where the extra is not installed."""

    def __init__(self, url: SecretStr, clock: Clock, performer: Performer) -> None:
        if importlib.util.find_spec("redis") is None:
            raise ConfigError(
                "redis: replicas share it through a package that is not installed. "
                "Install it with: pip install 'fakeai-proxy[scale]'"
            )
        #: What this process is called while it lives.
        self.me = secrets.token_hex(8)
        #: All names of this service begin like that.
        self.prefix = ""
        self._service = secrets.token_hex(6)
        self._url = url
        self._clock = clock
        self._performer = performer
        self._redis: Redis | None = None
        self._last = "0-0"
        self._tasks: set[asyncio.Future[Any]] = set()
        self._scripts: dict[str, str] = {}
        self._asked: list[tuple[str, bytes, asyncio.Future[list[bytes]]]] = []
        self._warned_at = -60.0

    @property
    def place(self) -> str:
        """Where it is, for people; no password."""
        parts = urlsplit(self._url.get_secret_value())
        return parts.path if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6379}"

    @property
    def _stream(self) -> str:
        return f"{self.prefix}operations"

    # --- its life

    async def open(self) -> None:
        """Raises ConfigError where it cannot be reached."""
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        self._redis = Redis.from_url(
            self._url.get_secret_value(),
            socket_timeout=PATIENCE_REAL_S,
            socket_connect_timeout=PATIENCE_REAL_S,
            retry=Retry(NoBackoff(), 1),  # a connection may have died since it was last used
        )
        try:
            service = self._service
            await self._call(lambda redis: redis.set(_SERVICE, service, nx=True, ex=SERVICE_KEPT_S))
            found = await self._call(lambda redis: redis.get(_SERVICE))
            self._service = found.decode()
            self.prefix = f"{_PREFIX}{self._service}:"
            await self._heard()
        except FakeAIError as error:
            await self._redis.aclose()
            raise ConfigError(f"redis: {error}") from None

    async def catch_up(self) -> None:
        """Perform what was issued before we came, and from here on what comes. Raises FakeAIError."""
        for entry in await self._call(lambda redis: redis.xrange(self._stream)):
            await self._perform(*entry)
        self._soon(self._listen())
        self._soon(self._beat())

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._redis is not None:
            try:
                await self._call(lambda redis: redis.delete(f"{self.prefix}alive:{self.me}"))
            except UnreachableError as error:
                log.debug("%s", error)
            await self._redis.aclose()

    async def _beat(self) -> None:
        while True:
            await self._clock.sleep_until(self._clock.now() + _HEARTBEAT_S)
            try:
                await self._heard()
            except UnreachableError as error:
                self._warn(error)

    async def _heard(self) -> None:
        """Others see that we live, and that operations are still wanted."""
        await self._call(lambda redis: redis.set(f"{self.prefix}alive:{self.me}", 1, ex=ALIVE_S))
        # A server that has lost everything is told.
        await self._call(
            lambda redis: redis.set(_SERVICE, self._service, nx=True, ex=SERVICE_KEPT_S)
        )
        await self._call(lambda redis: redis.expire(_SERVICE, SERVICE_KEPT_S))

    # --- operations

    async def publish(self, operation: Operation) -> None:
        fields: Any = operation._asdict()
        await self._call(
            lambda redis: redis.xadd(self._stream, fields, maxlen=REMEMBERED_MAX, approximate=True)
        )
        await self._call(lambda redis: redis.expire(self._stream, _STREAM_KEPT_S))

    async def _listen(self) -> None:
        while True:
            try:
                found = await self._call(
                    lambda redis: redis.xread({self._stream: self._last}, block=_LISTEN_MS)
                )
            except UnreachableError as error:
                self._warn(error)
                await self._clock.sleep_until(self._clock.now() + _RETRY_S)
                continue
            streams = found.values() if isinstance(found, dict) else [one for _, one in found or ()]
            for entries in streams:
                for entry in _flat(entries):
                    await self._perform(*entry)

    async def _perform(self, serial: bytes, fields: dict[bytes, bytes]) -> None:
        self._last = serial.decode()
        seconds, micros = await self._call(lambda redis: redis.time())
        issued_s = int(serial.partition(b"-")[0]) / 1000
        ago_s = max(0.0, seconds + micros / 1e6 - issued_s)
        token, method, path, query = (
            fields[name].decode() for name in (b"token", b"method", b"path", b"query")
        )
        operation = Operation(token, method, path, query, fields[b"body"])
        await self._performer.perform(Issued(self._last, self._clock.now() - ago_s, operation))

    # --- what is counted

    async def next(self, key: bytes) -> int:
        name = f"{self.prefix}count:{blake2b(key, digest_size=16).hexdigest()}"

        async def count(redis: Redis) -> list[int]:
            async with redis.pipeline(transaction=True) as pipe:
                pipe.incr(name)
                pipe.expire(name, _COUNTS_KEPT_S)
                counted: list[int] = await pipe.execute()
            return counted

        return int((await self._call(count))[0]) - 1

    async def members(self, name: str, most: int) -> list[bytes]:
        found: list[bytes] = await self._call(lambda redis: redis.srandmember(name, most))
        return found

    # --- scripts

    def run(self, script: str, argument: bytes) -> Awaitable[list[bytes]]:
        """Those of one turn of the event loop are sent together."""
        answer: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
        self._asked.append((script, argument, answer))
        if len(self._asked) == 1:
            asyncio.get_running_loop().call_soon(lambda: self._soon(self._run_all()))
        return answer

    def run_later(self, script: str, argument: bytes) -> None:
        self._soon(self._run_quietly(script, argument))

    async def _run_quietly(self, script: str, argument: bytes) -> None:
        try:
            await self.run(script, argument)
        except FakeAIError as error:
            self._warn(error)

    async def _run_all(self) -> None:
        asked, self._asked = self._asked, []
        try:
            answers = await self._call(lambda redis: self._run_together(redis, asked))
        except UnreachableError as error:
            answers = [error] * len(asked)
        for (_, _, waiting), answer in zip(asked, answers, strict=True):
            if waiting.done():
                continue
            if isinstance(answer, BaseException):
                waiting.set_exception(UnreachableError(_reason(answer)))
            else:
                waiting.set_result(answer)

    async def _run_together(
        self, redis: Redis, asked: list[tuple[str, bytes, asyncio.Future[list[bytes]]]]
    ) -> list[Any]:
        from redis.exceptions import NoScriptError

        for again in (False, True):
            for script in {one[0] for one in asked}:
                if again or script not in self._scripts:
                    self._scripts[script] = await redis.script_load(script)
            async with redis.pipeline(transaction=False) as pipe:
                for script, argument, _ in asked:
                    pipe.evalsha(self._scripts[script], 0, argument)
                answers = await pipe.execute(raise_on_error=False)
            # The server has forgotten it, and then all of them.
            if not any(isinstance(answer, NoScriptError) for answer in answers):
                break
        return answers

    # --- the line

    async def _call(self, work: Callable[[Redis], Any]) -> Any:
        """Raises UnreachableError."""
        from redis.exceptions import RedisError

        assert self._redis is not None, "it is opened at the start"
        try:
            return await work(self._redis)
        except (RedisError, OSError, TimeoutError) as error:
            raise UnreachableError(f"Redis at {self.place}: {_reason(error)}") from None

    def _warn(self, error: FakeAIError) -> None:
        now = self._clock.now()
        if now - self._warned_at >= 60:
            self._warned_at = now
            log.warning("%s; it is tried again", error)

    def _soon(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _reason(error: BaseException) -> str:
    said = str(error).strip().rstrip(".")
    return said or type(error).__name__


def _flat(entries: Any) -> list[Any]:
    """Entries of a stream, as protocols 2 and 3 nest them."""
    if entries and isinstance(entries[0], list):
        return [entry for part in entries for entry in part]
    return list(entries)

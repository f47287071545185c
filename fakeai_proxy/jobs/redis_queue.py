"""The queue of work that replicas share: taskiq on a Redis stream, acknowledged when the work ends.

A message only says that a row is due; the row and its lease are the truth, so a message that comes
twice or never does no harm: what is due is found by looking, too. A single process needs no queue, since
it would only call itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from redis.exceptions import RedisError
from taskiq.exceptions import SendTaskError
from taskiq.receiver import Receiver
from taskiq_redis import RedisStreamBroker

from fakeai_proxy.clock import Clock
from fakeai_proxy.store import Key

log = logging.getLogger("fakeai_proxy")

_STREAM = "fakeai-proxy:jobs"
#: Rows that one replica is handed at a time; it takes no more messages meanwhile.
AT_ONCE = 16
#: Older messages are about rows that somebody has found by looking.
_MESSAGES_MAX = 10_000
#: After so long a message that nobody has acknowledged goes to another replica.
_IDLE_MS = 60_000
#: One replica at a time looks for those; if it dies, others wait so long at most.
_LOCK_S = 5.0
_BLOCK_MS = 1000
#: What is said to Redis at the end may take so long.
_CLOSE_REAL_S = 2.0
#: Between attempts to reach a Redis that is away.
_RETRY_S = 1.0


class RedisQueue:
    def __init__(
        self,
        url: str,
        name: str,
        take: Callable[[str], Awaitable[None]],
        wake: Callable[[], None],
        clock: Clock,
    ) -> None:
        """`take` works on a row of a kind that is due, to its end; `wake` has us look ourselves, for
        when Redis is away. `name` is this replica's, and no other one's ever."""
        self._wake = wake
        self._clock = clock
        self._broker = RedisStreamBroker(
            url,
            queue_name=_STREAM,
            consumer_group_name=_STREAM,
            consumer_name=name,
            consumer_id="0",  # what was told before anybody listened
            xread_block=_BLOCK_MS,
            maxlen=_MESSAGES_MAX,
            idle_timeout=_IDLE_MS,
            unacknowledged_lock_timeout=_LOCK_S,
        )

        async def work(kind: str) -> None:
            await take(kind)

        self._work = self._broker.register_task(work, task_name="work")
        self._over = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self._telling: set[asyncio.Future[None]] = set()
        self._is_away = False

    def start(self) -> None:
        if self._listening is None:
            self._listening = asyncio.get_running_loop().create_task(self._listen())

    def tell(self, key: Key) -> None:
        """Whoever has room looks for work of its kind."""
        telling = asyncio.ensure_future(self._tell(key))
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    async def close(self) -> None:
        """After the work itself: what is not acknowledged is delivered again."""
        self._over.set()
        tasks: list[asyncio.Future[None]] = [*self._telling]
        tasks += [] if self._listening is None else [self._listening]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_CLOSE_REAL_S)
            for task in late:
                task.cancel()
        await self._broker.shutdown()

    async def _tell(self, key: Key) -> None:
        try:
            await self._work.kiq(key.kind)
        except SendTaskError as error:
            self._away(error.__cause__ or error)
            self._wake()
        else:
            self._is_away = False

    async def _listen(self) -> None:
        while not self._over.is_set():
            receiver = Receiver(
                self._broker,
                max_async_tasks=AT_ONCE,
                validate_params=False,
                wait_tasks_timeout=_CLOSE_REAL_S / 2,
            )
            try:
                await receiver.listen(self._over)
            except* (RedisError, OSError) as errors:
                self._away(errors.exceptions[0])
            else:
                return
            await self._clock.sleep_until(self._clock.now() + _RETRY_S)

    def _away(self, error: BaseException) -> None:
        if not self._is_away:
            log.warning("jobs are found by looking, as Redis cannot be used: %s", error)
        self._is_away = True

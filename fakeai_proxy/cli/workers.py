"""Several processes that serve as one: they are started, given connections in turn, and replaced when
they die. This process has the port and the hub, and answers no request itself.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from contextlib import closing, suppress
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

from fakeai_proxy.cassette.segments import is_single
from fakeai_proxy.cli.banner import Banner, announce
from fakeai_proxy.cli.scratch import Scratch
from fakeai_proxy.cli.serve import (
    CUT_SHORT,
    Interrupts,
    on_hangup,
    raise_open_file_limit,
    say,
    set_up_diagnostics,
    telling_of,
)
from fakeai_proxy.clock import SystemClock
from fakeai_proxy.config import Config
from fakeai_proxy.errors import ConfigError, FakeAIError
from fakeai_proxy.observe.log import chosen
from fakeai_proxy.proxy.listening import Address, addresses_of, bind, parse_listen
from fakeai_proxy.proxy.turns import Turns
from fakeai_proxy.shaping.limits.asked import served
from fakeai_proxy.shaping.limits.central import Central
from fakeai_proxy.shared.hub import Hub, Welcome
from fakeai_proxy.shared.peer import Peer, Service

if TYPE_CHECKING:
    from fakeai_proxy.cassette.verdict import Tally

#: Ends in a row of processes that have not served for `SETTLED_S`: more starts would not help.
FAILURES_MAX = 5
SETTLED_S = 10.0
#: Before the first start after such an end; twice as long before each further one.
PAUSE_S = 0.2
#: What processes get beyond the time for the drain before they are killed.
GRACE_REAL_S = 5.0


def serve_workers(config: Config, told: Callable[[Banner], Banner]) -> Coroutine[Any, Any, int]:
    """Gives the exit status; `told` as for `serve`. Raises ConfigError."""
    _check(config)
    return _serve(config, told)


def _check(config: Config) -> None:
    """Raises ConfigError."""
    if not hasattr(socket, "send_fds"):
        raise ConfigError("workers: this system cannot hand connections to other processes.")
    if config.records and config.miss is not None:
        raise ConfigError(
            f"workers: mode {config.mode} replays what it records, and what one process records "
            "another does not know of. Use --workers 1, or record first and replay then."
        )
    if config.records and is_single(config.cassette[0]):
        raise ConfigError(
            f"workers: several processes cannot record into the one file {config.cassette[0]}. Use a "
            "folder, NAME.fcz."
        )


async def _serve(config: Config, told: Callable[[Banner], Banner]) -> int:
    raise_open_file_limit()
    set_up_diagnostics(config.log_format)
    log_format = chosen(config.log_format, sys.stdout)
    interrupts = Interrupts((signal.SIGINT, signal.SIGTERM))
    with closing(Scratch()) as scratch:
        workers = Workers(config, scratch, SystemClock())
        on_hangup(workers.reload)
        opening = asyncio.ensure_future(workers.open())
        signalled = asyncio.ensure_future(interrupts.wait())
        await asyncio.wait((opening, signalled), return_when=asyncio.FIRST_COMPLETED)
        try:
            if opening.done():
                announce(told(opening.result()), log_format, sys.stdout)
                await asyncio.wait((signalled, workers.lost), return_when=asyncio.FIRST_COMPLETED)
                if workers.lost.done():
                    workers.lost.result()
            return await _drain(config, workers, interrupts)
        finally:
            opening.cancel()
            signalled.cancel()
            workers.kill()


async def _drain(config: Config, workers: Workers, interrupts: Interrupts) -> int:
    closing_all = asyncio.ensure_future(workers.close())
    say(
        f"Draining: no new connections, replies under way have {config.drain_timeout:g} s. "
        "Again to end at once."
    )
    again = asyncio.ensure_future(interrupts.wait())
    await asyncio.wait((closing_all, again), return_when=asyncio.FIRST_COMPLETED)
    again.cancel()
    if not closing_all.done():
        closing_all.cancel()
        return CUT_SHORT
    telling = telling_of(config)
    if telling is not None:
        await asyncio.to_thread(telling.of_processes, workers.tallies)
    say("Closed.")
    return telling.status if telling else 0


class Worker:
    """A process, and our ends of the two lines to it."""

    def __init__(
        self, number: int, process: asyncio.subprocess.Process, peer: Peer, door: socket.socket
    ) -> None:
        self.number = number
        self.process = process
        self.peer = peer
        self.door = door
        self.served_at: float | None = None
        #: What was wrong, if it has said so.
        self.failure: FakeAIError | None = None


class Workers:
    """`lost` is done with what went wrong once nothing can be saved."""

    def __init__(self, config: Config, scratch: Scratch, clock: SystemClock) -> None:
        self._config = config
        self._clock = clock
        self._state_dir = None
        if config.state_dir is None and config.store in (None, "memory"):
            self._state_dir = scratch.folder
        central = Central(clock)
        services: dict[str, Service] = {
            "join": self._join,
            "ready": self._ready,
            "failed": self._failed,
            "leaving": self._leaving,
            "ended": self._ended,
            **served(central),
        }
        self._hub = Hub(clock, services, central.left)
        self._workers: dict[Peer, Worker] = {}
        self._lives = count()
        self._failures = 0
        self._addresses: tuple[Address, ...] = ()
        self._turns = Turns(())
        self._banner: Banner | None = None
        self._changed = asyncio.Event()
        self._closing = False
        self._tasks: set[asyncio.Task[None]] = set()
        #: What came of the requests of those that have ended in order.
        self.tallies: list[Tally] = []
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def open(self) -> Banner:
        """The first process alone makes what is made once: the authority, the state, the recordings'
        folder. Raises ConfigError, and FakeAIError where they do not come up."""
        listeners: list[socket.socket] = []
        for address in parse_listen(self._config.listen):
            listeners += bind(address)
        self._addresses = addresses_of(listeners)
        self._turns = Turns(listeners)
        await self._start(0)
        await self._until(1)
        for number in range(1, self._config.workers):
            await self._start(number)
        await self._until(self._config.workers)
        self._turns.open()
        assert self._banner is not None
        return replace(self._banner, pid=os.getpid())

    async def close(self) -> None:
        """Accept no more; processes finish what is under way."""
        self._closing = True
        self._turns.close()
        for worker in self._workers.values():
            worker.peer.tell("drain")
        running = [asyncio.ensure_future(w.process.wait()) for w in self._workers.values()]
        if running:
            await asyncio.wait(running, timeout=self._config.drain_timeout + GRACE_REAL_S)
        self.kill()

    def reload(self) -> None:
        """Those that serve read their files again."""
        serving = self._hub.members
        for worker in self._workers.values():
            if worker.peer in serving:
                with suppress(ProcessLookupError):
                    worker.process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        self._closing = True
        for worker in self._workers.values():
            with suppress(ProcessLookupError):
                worker.process.kill()

    async def _until(self, serving: int) -> None:
        """So many serve. Raises what `lost` has."""
        while len(self._hub.members) < serving and not self.lost.done():
            self._changed.clear()
            await self._changed.wait()
        if self.lost.done():
            self.lost.result()

    async def _start(self, number: int) -> None:
        line, their_line = socket.socketpair()
        door, their_door = socket.socketpair()
        passed = (their_line.fileno(), their_door.fileno())
        peer = await Peer.over(line, self._hub.services, self._hub.gone)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "fakeai_proxy.cli.worker", *map(str, passed),
            pass_fds=passed, stdin=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        their_line.close()
        their_door.close()
        worker = self._workers[peer] = Worker(number, process, peer, door)
        self._changed.set()
        self._soon(self._follow(worker))

    async def _follow(self, worker: Worker) -> None:
        """To its end, and to another in its place."""
        status = await worker.process.wait()
        self._turns.remove(worker.door)
        worker.door.close()
        worker.peer.close()
        del self._workers[worker.peer]
        self._changed.set()
        if self._closing:
            return
        now = self._clock.now()
        settled = worker.served_at is not None and now - worker.served_at >= SETTLED_S
        self._failures = 0 if settled else self._failures + 1
        if worker.failure is not None or self._failures >= FAILURES_MAX:
            self._give_up(worker, status)
            return
        say(f"Worker {worker.number} {_how(status)}. Another one is started.")
        if self._failures > 1:
            await self._clock.sleep_until(now + PAUSE_S * 2 ** (self._failures - 2))
        if not self._closing:
            await self._start(worker.number)

    def _give_up(self, worker: Worker, status: int) -> None:
        if not self.lost.done():
            self.lost.set_exception(
                worker.failure
                or FakeAIError(
                    f"Worker {worker.number} {_how(status)}, as did {self._failures - 1} before it, "
                    "each shortly after its start."
                )
            )
        self._changed.set()

    def _soon(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- what processes say

    async def _join(self, peer: Peer, pid: int) -> Welcome:
        while peer not in self._workers:  # it may be quicker than we are told of its start
            self._changed.clear()
            await self._changed.wait()
        return Welcome(
            self._config,
            self._workers[peer].number,
            self._config.workers,
            next(self._lives),
            self._hub.instance,
            self._state_dir,
            self._clock.origin,
            self._addresses,
            self._hub.join(peer),
        )

    def _ready(self, peer: Peer, banner: Banner) -> None:
        worker = self._workers[peer]
        worker.served_at = self._clock.now()
        if worker.number == 0:
            self._banner = banner
        self._hub.serves(peer)
        self._turns.add(worker.door)
        self._changed.set()

    def _failed(self, peer: Peer, said: str, is_configuration: bool) -> None:
        self._workers[peer].failure = ConfigError(said) if is_configuration else FakeAIError(said)

    def _leaving(self, peer: Peer) -> None:
        """It takes no more connections, and is still asked what it has counted."""
        self._turns.remove(self._workers[peer].door)

    def _ended(self, peer: Peer, tally: Tally) -> None:
        self.tallies.append(tally)


def _how(status: int) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"

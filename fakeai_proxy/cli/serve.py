"""Serving: from a Config to a listening port, and from a signal to a drained end."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from fakeai_proxy.app import App
from fakeai_proxy.cli.banner import Banner, announce
from fakeai_proxy.clock import clock_of, turn
from fakeai_proxy.config import Config
from fakeai_proxy.observe import diagnostics
from fakeai_proxy.observe.log import AccessLog, LogFormat, chosen
from fakeai_proxy.shaping.scenario.telling import phase_line

if TYPE_CHECKING:
    from fakeai_proxy.cli.verdict import Telling

Result = TypeVar("Result")

#: New containers between two looks at the youngest, and how many of these come between two looks at
#: the next older ones, twice.
GC_THRESHOLDS = (1_000, 2_000, 100)

#: A thread that computes (recordings are packed in one) keeps the event loop waiting for so long at each
#: of its turns. Python's own 5 ms would be seen in every stream.
SWITCH_REAL_S = 0.0005

#: The status when a second signal ends the process before the drain has.
CUT_SHORT = 130


def serve(config: Config, told: Callable[[Banner], Banner] = lambda banner: banner) -> int:
    """Serve until a signal; the exit status. `told` may add to what is said first."""
    if config.workers > 1:
        from fakeai_proxy.cli.workers import serve_workers

        gc.enable()
        return run_loop(serve_workers(config, told))
    return run_loop(_serve(config, told))


async def _serve(config: Config, told: Callable[[Banner], Banner]) -> int:
    raise_open_file_limit()
    log_format = chosen(config.log_format, sys.stdout)
    interrupts = Interrupts((signal.SIGINT, signal.SIGTERM))
    app, close_log = await listen(config, sys.stdout)
    readying = asyncio.ensure_future(get_ready(app))
    on_hangup(lambda: asyncio.ensure_future(app.reloading.reload()))
    announce(told(Banner.of(app)), log_format, sys.stdout)
    await interrupts.wait()
    telling = telling_of(config)
    readying.cancel()
    closing = asyncio.ensure_future(app.close(config.drain_timeout, telling))
    await turn()  # it listens no more when it says so
    say(
        f"Draining: no new connections, replies under way have {config.drain_timeout:g} s. "
        "Again to end at once."
    )
    drained = await _first(closing, asyncio.ensure_future(interrupts.wait()))
    close_log()
    if not drained:
        leave(CUT_SHORT)
    say("Closed.")
    return telling.status if telling else 0


def telling_of(config: Config) -> Telling | None:
    """Who tells how a run went."""
    if not config.tells_verdict:
        return None
    from fakeai_proxy.cli.verdict import Telling

    return Telling(config)


async def start(config: Config, log_stream: TextIO) -> tuple[App, Callable[[], None]]:
    """A started app, and what closes its log."""
    app, close_log = await listen(config, log_stream)
    await get_ready(app)
    return app, close_log


async def listen(config: Config, log_stream: TextIO) -> tuple[App, Callable[[], None]]:
    """An app that answers, and what closes its log."""
    set_up_diagnostics(config.log_format)
    clock = clock_of(config.clock)
    log_format = chosen(config.log_format, log_stream)
    log = None if log_format == "none" else AccessLog(log_stream, log_format, clock)
    app = App(config, clock, (log,) if log else ())
    watch(app)
    await app.open()
    return app, log.close if log else lambda: None


async def get_ready(app: App) -> None:
    """What need not be done before it listens."""
    try:
        await app.warm_up()
    finally:
        settle_memory()


def watch(app: App) -> None:
    """Say which phase of a scenario begins."""
    app.scenario.began.append(lambda plan, place: say(phase_line(plan, place)))


def settle_memory() -> None:
    """What is loaded by now stays for good: the collector need not look at it again.

    What comes and goes with requests is freed without the collector, so its looks at older objects,
    each of which stops every stream at once (10 ms with a thousand of them), are made rare.
    """
    gc.enable()  # see `main`
    gc.collect()
    with suppress(AttributeError, OSError):  # the C library of most Linux systems
        ctypes.CDLL(None).malloc_trim(0)
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


class Interrupts:
    """Signals, one at a time. Made inside a running loop; holds the handlers until the end."""

    def __init__(self, signals: tuple[signal.Signals, ...]) -> None:
        self._seen: asyncio.Queue[signal.Signals] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        for number in signals:
            try:
                loop.add_signal_handler(number, self._seen.put_nowait, number)
            except NotImplementedError:  # Windows
                signal.signal(
                    number,
                    lambda got, _: loop.call_soon_threadsafe(
                        self._seen.put_nowait, signal.Signals(got)
                    ),
                )

    async def wait(self) -> signal.Signals:
        return await self._seen.get()


def on_hangup(reload: Callable[[], object]) -> None:
    """SIGHUP asks a service to read its files again. Where a person watches, it says that the terminal was
    closed, and that ends us."""
    if not hasattr(signal, "SIGHUP") or sys.stderr.isatty():
        return
    kept: list[object] = []  # a task that nobody holds may be gone before it is done

    def told() -> None:
        kept[:] = [reload()]

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, told)


async def _first(work: asyncio.Future[None], other: asyncio.Future[Any]) -> bool:
    """Whether `work` ended before `other`, which is cancelled then."""
    await asyncio.wait((work, other), return_when=asyncio.FIRST_COMPLETED)
    other.cancel()
    if work.done():
        work.result()
    return work.done()


def run_loop(work: Coroutine[Any, Any, Result]) -> Result:
    """On uvloop where it is installed."""
    sys.setswitchinterval(SWITCH_REAL_S)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(work)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def raise_open_file_limit() -> None:
    """To what the system allows: every stream is a socket, and common soft limits end at 1024."""
    try:
        import resource
    except ImportError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # some systems refuse their own hard limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def set_up_diagnostics(log_format: LogFormat) -> None:
    """What goes wrong inside goes to stderr, in the format of the access log; without one, for people."""
    is_json = chosen(log_format, sys.stderr) == "json"
    diagnostics.set_up(sys.stderr, "json" if is_json else "human")


def say(message: str) -> None:
    """To the person at the terminal; never into the output that programs read."""
    with suppress(OSError):
        print(f"fakeai-proxy: {message}", file=sys.stderr, flush=True)


def leave(status: int) -> None:
    """At once, whatever threads are doing."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)

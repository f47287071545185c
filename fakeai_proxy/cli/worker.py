"""One of several processes that serve: started by `workers`, which accepts for it and tells it what to be.

`python -m fakeai_proxy.cli.worker LINE DOOR`: the descriptors of two sockets to the parent.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import sys
from typing import TYPE_CHECKING, TextIO, cast

from fakeai_proxy.app import App
from fakeai_proxy.cli.banner import Banner
from fakeai_proxy.cli.serve import (
    leave,
    on_hangup,
    run_loop,
    set_up_diagnostics,
    settle_memory,
    watch,
)
from fakeai_proxy.clock import SystemClock
from fakeai_proxy.errors import ConfigError, FakeAIError
from fakeai_proxy.observe.log import AccessLog, chosen
from fakeai_proxy.proxy.handed import Handed
from fakeai_proxy.shared.member import Member

if TYPE_CHECKING:
    from fakeai_proxy.observe.outcomes import Outcomes

#: It has said what was wrong, and another start would not help.
MISCONFIGURED = 3


class Lines:
    """Standard output that others write to as well: whole lines, each in one piece."""

    def write(self, text: str) -> int:
        piece = b""
        for line in text.encode("utf-8", "replace").splitlines(keepends=True):
            if piece and len(piece) + len(line) > select.PIPE_BUF:
                _write_whole(piece)
                piece = b""
            piece += line
        _write_whole(piece)
        return len(text)

    def flush(self) -> None:
        """Nothing waits."""

    def isatty(self) -> bool:
        return sys.stdout.isatty()


def _write_whole(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


class Ends:
    """Why this process is to end: the parent says so or is gone, or somebody ends just this one."""

    def __init__(self) -> None:
        self.drain = asyncio.Event()

    def told(self) -> None:
        self.drain.set()

    def orphaned(self) -> None:
        """What is under way has nobody to be counted with."""
        leave(1)


async def _work(line: socket.socket, door: socket.socket) -> int:
    ends = Ends()
    loop = asyncio.get_running_loop()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's; the parent hears it, too
    loop.add_signal_handler(signal.SIGTERM, ends.told)
    member = await Member.join(line, ends.told, ends.orphaned)
    welcome = member.welcome
    config = welcome.config
    set_up_diagnostics(config.log_format)
    clock = SystemClock(origin=welcome.origin)
    stream = cast("TextIO", Lines())
    log_format = chosen(config.log_format, stream)
    log = None if log_format == "none" else AccessLog(stream, log_format, clock)
    try:
        app = App(config, clock, (log,) if log else (), member)
        if welcome.number == 0:
            watch(app)
        await app.start(Handed(door, welcome.addresses))
        on_hangup(lambda: asyncio.ensure_future(app.reloading.reload()))
    except (ConfigError, FakeAIError, OSError) as error:
        await member.peer.ask("failed", str(error), isinstance(error, ConfigError))
        return MISCONFIGURED
    settle_memory()
    await member.peer.ask("ready", Banner.of(app))
    await ends.drain.wait()
    await member.peer.ask("leaving")

    async def ended(outcomes: Outcomes) -> None:
        await member.peer.ask("ended", await outcomes.settled())

    await app.close(config.drain_timeout, ended)
    if log is not None:
        log.close()
    return 0


def main() -> None:
    line, door = (socket.socket(fileno=int(number)) for number in sys.argv[1:3])
    leave(run_loop(_work(line, door)))


if __name__ == "__main__":
    main()

"""One line per exchange, for people or for programs.

`finished` runs on the event loop and only takes a snapshot; a thread of its own formats and writes,
so a terminal that scrolls slowly or a pipe that nobody reads never holds up a reply. Query strings
are left out: some vendors' keys travel in them.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, NamedTuple, TextIO

import orjson
from pydantic import BaseModel, ConfigDict, Field

from fakeai_proxy.cassette.shapes import blotted
from fakeai_proxy.clock import Clock
from fakeai_proxy.exchange import Exchange

LogFormat = Literal["auto", "human", "json", "none"]

#: Lines waiting for a slow reader; beyond it lines are dropped, counted and the count is logged.
WAITING_MAX = 10_000
#: How long lines are gathered before they are written together.
GATHER_REAL_S = 0.05
#: How long `close` waits for a reader that does not read.
CLOSE_TIMEOUT_S = 2.0


class LogSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    log_format: LogFormat = Field(
        "auto",
        description="Access lines, and what goes wrong inside (on stderr): human, json (one object a "
        "line) or none, which leaves the latter for people; auto is human on a terminal and json elsewhere.",
    )


class Line(NamedTuple):
    """What is said about one exchange. `ttft_ms` is from arrival to the first byte, None when
    there was none."""

    at: float
    id: str
    method: str
    host: str
    path: str
    status: int
    source: str
    ttft_ms: float | None
    total_ms: float
    bytes: int
    end: str
    faults: tuple[str, ...] = ()
    phase: str = ""
    error: str = ""


def human(line: Line, colour: bool) -> str:
    status = str(line.status or "---")
    if colour:
        status = f"\x1b[{_STATUS_COLOURS.get(status[0], '0')}m{status}\x1b[0m"
    first = "-" if line.ttft_ms is None else f"{line.ttft_ms:.1f} ms"
    end = "" if line.end in ("ok", "error") else f"  {line.end}"
    if line.error:
        end += f"  {_shown(line.error)}"
    if line.faults:
        end += f"  fault {_printable(' '.join(line.faults))}"
    if line.phase:
        end += f"  phase {line.phase}"
    moment = datetime.fromtimestamp(line.at).astimezone()
    return (
        f"{moment:%H:%M:%S} {status} {line.source or '-':<5} {line.method} "
        f"{_shown(line.host + line.path)}  ttft {first}  total {line.total_ms:.1f} ms  "
        f"{line.bytes} B  {line.id}{end}\n"
    )


def as_json(line: Line, colour: bool = False) -> str:
    record: dict[str, object] = {
        "event": "exchange",
        "time": datetime.fromtimestamp(line.at, UTC).isoformat(timespec="microseconds"),
        "id": line.id,
        "method": line.method,
        "host": line.host or None,
        "path": _shown(line.path),
        "status": line.status or None,
        "source": line.source or None,
        "ttft_ms": None if line.ttft_ms is None else round(line.ttft_ms, 3),
        "total_ms": round(line.total_ms, 3),
        "bytes": line.bytes,
        "end": line.end,
    }
    if line.error:
        record["error"] = _shown(line.error)
    if line.faults:
        record["faults"] = line.faults
    if line.phase:
        record["phase"] = line.phase
    return orjson.dumps(record).decode() + "\n"


_FORMATS: dict[str, Callable[[Line, bool], str]] = {"human": human, "json": as_json}
_STATUS_COLOURS = {"2": "32", "3": "36", "4": "33", "5": "31"}


def chosen(log_format: LogFormat, stream: TextIO) -> Literal["human", "json", "none"]:
    """What `auto` means on this stream."""
    if log_format != "auto":
        return log_format
    return "human" if stream.isatty() else "json"


class AccessLog:
    """An observer that writes to `stream` in the format `human` or `json`."""

    def __init__(self, stream: TextIO, log_format: Literal["human", "json"], clock: Clock) -> None:
        self._stream = stream
        self._format = _FORMATS[log_format]
        self._colour = stream.isatty() and "NO_COLOR" not in os.environ
        self._json = log_format == "json"
        self._clock = clock
        self._epoch = clock.epoch_s
        self._waiting: deque[Line] = deque()
        self._dropped = 0
        self._some = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._write_all, name="access log", daemon=True)
        self._thread.start()

    def finished(self, exchange: Exchange) -> None:
        if len(self._waiting) >= WAITING_MAX:
            self._dropped += 1
            return
        self._waiting.append(self._snapshot(exchange))
        if not self._some.is_set():
            self._some.set()

    def close(self) -> None:
        self._closed.set()
        self._some.set()
        self._thread.join(CLOSE_TIMEOUT_S)

    def _snapshot(self, exchange: Exchange) -> Line:
        request, arrived, first = exchange.request, exchange.arrived_at, exchange.first_byte_at
        finished = self._clock.now() if exchange.finished_at is None else exchange.finished_at
        return Line(
            at=self._epoch + arrived,
            id=exchange.id,
            method=request.method,
            host=request.origin.authority if request.origin else "",
            path=request.path,
            status=exchange.status,
            source=exchange.source,
            ttft_ms=None if first is None else (first - arrived) * 1000,
            total_ms=(finished - arrived) * 1000,
            bytes=exchange.sent_bytes,
            end=exchange.end,
            faults=exchange.faults,
            phase=exchange.phase,
            error=exchange.error,
        )

    def _write_all(self) -> None:
        waiting = self._waiting
        last = False
        while not last:
            self._some.wait()
            # Lines are written together: a thread that wakes for each of them costs the server more
            # than what it writes.
            last = self._closed.wait(GATHER_REAL_S)
            self._some.clear()
            batch = [waiting.popleft() for _ in range(len(waiting))]
            text = "".join([self._format(line, self._colour) for line in batch])
            try:
                self._stream.write(text + self._losses())
                self._stream.flush()
            except (OSError, ValueError):
                return  # the reader has gone; serving goes on without a log

    def _losses(self) -> str:
        dropped, self._dropped = self._dropped, 0
        if not dropped:
            return ""
        if self._json:
            return orjson.dumps({"event": "lines_dropped", "lines": dropped}).decode() + "\n"
        return f"{dropped} access lines were dropped: the log's reader is too slow\n"


@lru_cache(maxsize=1024)
def _shown(text: str) -> str:
    """Without what looks like a key, too: some put theirs into the path."""
    return _printable(blotted(text))


def _printable(text: str) -> str:
    """Without control characters and surrogates, which could forge lines or break the encoding."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )

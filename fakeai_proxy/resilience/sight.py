"""All that was seen of one trial: the client's asks, and how its process ended and what it said."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from fakeai_proxy.resilience.trial import Trial
from fakeai_proxy.resilience.watch import Ask, Attempt, asks_of, left_open

#: An exception that reached the top, as Python, Node, Go, Rust, Ruby and the JVM show it.
_UNCAUGHT = re.compile(
    r"^Traceback \(most recent call last\)|^Uncaught |^\s+throw \w|^Node\.js v\d|^panic: |^goroutine \d"
    r"|^thread '.*' panicked|^Exception in thread|^\S+:\d+:in [`'].*\(\w*(?:Error|Exception)\)", re.M,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ran:
    """A program's one run. `status` is negative for a signal; `killed` is by us, when its time was up."""

    status: int
    started_at: float
    ended_at: float
    killed: bool = False
    out: str = ""
    err: str = ""

    @property
    def took_s(self) -> float:
        return self.ended_at - self.started_at

    @property
    def good(self) -> bool:
        return self.status == 0 and not self.killed


@dataclass(frozen=True)
class Sight:
    """`calm` is the trial in which nothing went wrong, None for itself; `budget_s` is what the program was
    given."""

    trial: Trial
    attempts: tuple[Attempt, ...]
    ran: Ran
    budget_s: float = 0.0
    calm: Sight | None = None

    @cached_property
    def asks(self) -> tuple[Ask, ...]:
        return asks_of(self.attempts)

    @cached_property
    def hit(self) -> tuple[Ask, ...]:
        """The asks to which the fault happened."""
        return tuple([ask for ask in self.asks if ask.faulted])

    @cached_property
    def unanswered(self) -> tuple[Ask, ...]:
        return left_open(self.asks)

    @property
    def retries(self) -> int:
        return sum([ask.retries for ask in self.hit])

    @cached_property
    def message(self) -> str:
        """The last line that it says here and not when nothing goes wrong, errors first; "" for none."""
        told = "" if self.calm is None else self.calm.ran.out + self.calm.ran.err
        streams = (self.ran.err, self.ran.out if self.ran.status else "")
        for stream in streams:
            for line in reversed(stream.splitlines()):
                if line.strip() and line.strip() not in told:
                    return line.strip()
        return ""

    @property
    def uncaught(self) -> bool:
        return self.ran.status != 0 and _UNCAUGHT.search(self.ran.err) is not None

    @property
    def waiting(self) -> tuple[Attempt, ...]:
        """What it was still waiting for when its time was up."""
        if not self.ran.killed:
            return ()
        return tuple(
            [one for one in self.attempts if one.finished_at >= self.ran.ended_at - _AT_ONCE_S]
        )


#: A killed process's connections are seen to close at about the same time.
_AT_ONCE_S = 0.1

"""What a client did, put together from the exchanges of one trial: which attempts belong to one ask, what
became of it, how long was waited between them.

An ask goes on with the next attempt at the same question only if the last one failed before that came: the
same question twice at once, or again after an answer, is another ask.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from fakeai_proxy.exchange import Exchange, is_event_stream
from fakeai_proxy.resilience.question import Question, question_of

#: Of requests this long, only the head and the length are compared.
BODY_BYTES_MAX = 4 << 20
#: Exchanges of one trial that are remembered: who hammers is known long before.
ATTEMPTS_MAX = 2_000
#: The header in which vendors' SDKs count their own attempts.
_RETRY_COUNT = b"x-stainless-retry-count"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One exchange. Instants are the clock's."""

    arrived_at: float
    finished_at: float
    path: str
    question: Question
    status: int = 200
    end: str = "ok"
    faults: tuple[str, ...] = ()
    streamed: bool = False
    model: str = ""
    anthropic: bool = False
    retry_count: int | None = None
    first_byte_at: float | None = None

    @property
    def failed(self) -> bool:
        """Whether the client was not given what it asked for."""
        return bool(self.faults) or self.end not in ("ok", "") or self.status >= 400

    @property
    def left(self) -> bool:
        """Whether the client hung up."""
        return self.end == "client_gone"


class Watch:
    """An observer of the exchanges of one trial at a time."""

    def __init__(self) -> None:
        self._attempts: list[Attempt] = []
        #: Exchanges beyond those that are remembered.
        self.dropped = 0

    def finished(self, exchange: Exchange) -> None:
        if len(self._attempts) >= ATTEMPTS_MAX:
            self.dropped += 1
            return
        self._attempts.append(attempt_of(exchange))

    def take(self) -> tuple[Attempt, ...]:
        """What there is, in the order of arrival; a fresh start."""
        attempts, self._attempts, self.dropped = self._attempts, [], 0
        return tuple(sorted(attempts, key=lambda attempt: attempt.arrived_at))


def attempt_of(exchange: Exchange) -> Attempt:
    request, reply = exchange.request, exchange.reply
    body = request.body.in_memory
    if body is None or len(body) > BODY_BYTES_MAX:
        body = (body or b"")[:4096] + b"%d" % request.body.size
    count = request.text_header(_RETRY_COUNT)
    host = request.origin.host if request.origin else ""
    return Attempt(
        exchange.arrived_at,
        exchange.arrived_at if exchange.finished_at is None else exchange.finished_at,
        request.path,
        question_of(request.method, request.target, body),
        exchange.status,
        exchange.end,
        exchange.faults,
        reply is not None and is_event_stream(reply.headers),
        reply.workload.model if reply is not None and reply.workload is not None else "",
        "anthropic" in host or request.path.endswith("/v1/messages"),
        int(count) if count.isdigit() else None,
        exchange.first_byte_at,
    )


@dataclass(frozen=True)
class Ask:
    """The attempts at one question, until it was answered or given up."""

    attempts: list[Attempt] = field(default_factory=list)

    @property
    def question(self) -> Question:
        return self.attempts[0].question

    @property
    def answered(self) -> bool:
        return not self.attempts[-1].failed

    @property
    def faulted(self) -> bool:
        return any(attempt.faults for attempt in self.attempts)

    @property
    def retries(self) -> int:
        return len(self.attempts) - 1

    @cached_property
    def pauses_s(self) -> tuple[float, ...]:
        """From the end of each attempt to the beginning of the next."""
        pairs = zip(self.attempts, self.attempts[1:], strict=False)
        return tuple([after.arrived_at - before.finished_at for before, after in pairs])


#: A client may hear of the end of an answer before we have put it down.
_OVERLAP_S = 0.02


def asks_of(attempts: Iterable[Attempt]) -> tuple[Ask, ...]:
    """In the order of their first attempts."""
    asks: list[Ask] = []
    for attempt in attempts:
        mine = next((ask for ask in asks if _goes_on(ask, attempt)), None)
        if mine is None:
            asks.append(mine := Ask())
        mine.attempts.append(attempt)
    return tuple(asks)


def _goes_on(ask: Ask, attempt: Attempt) -> bool:
    last = ask.attempts[-1]
    return (
        last.failed
        and last.finished_at <= attempt.arrived_at + _OVERLAP_S
        and ask.question.key == attempt.question.key
    )


def left_open(asks: Sequence[Ask]) -> tuple[Ask, ...]:
    """Those that were never answered, nor was the same question another time."""
    answered = {ask.question.key for ask in asks if ask.answered}
    return tuple([ask for ask in asks if ask.question.key not in answered])


def tool_runs(attempts: Iterable[Attempt]) -> int:
    """How often tools were run because an answer said so. A question that is answered once more, and whose
    calls' results are then sent once more, has had its tools run once more; so has a call of which two
    results differ. To send the same results again runs nothing."""
    answers: Counter[bytes] = Counter()
    runs: Counter[bytes] = Counter()
    given: dict[str, set[bytes]] = {}
    for attempt in attempts:
        question = attempt.question
        known = [given.setdefault(call, set()) for call in question.results]
        fresh = zip(known, question.results.values(), strict=True)
        differs = any(results and result not in results for results, result in fresh)
        asker = question.asked_by
        if asker and (differs or not runs[asker] or answers[asker] > runs[asker]):
            runs[asker] += 1
        for results, result in zip(known, question.results.values(), strict=True):
            results.add(result)
        if not attempt.failed:
            answers[question.key] += 1
    return runs.total()

"""What is found of the waits between attempts."""

from __future__ import annotations

from collections.abc import Iterator

from fakeai_proxy.resilience.finding import Finding, finding
from fakeai_proxy.resilience.sight import Sight
from fakeai_proxy.resilience.watch import Ask

#: How much less than it was told a client may wait: clocks and sockets, not intention.
EARLY_TOLERANCE_S = 0.05
#: Below this share of it, the wait has nothing to do with what was told.
IGNORED_SHARE = 0.5
#: Who waits less, twice, does not wait but connects; the SDKs' first wait is 0.375 to 0.5 s.
HAMMER_S = 0.2
#: Waits within this ratio are the same wait.
CONSTANT_RATIO = 1.15
#: So many asks that failed within one span and came back within another are in step.
IN_STEP_ASKS, FAILED_WITHIN_S, BACK_WITHIN_S = 3, 0.05, 0.02
#: More attempts at one question than any SDK makes.
ATTEMPTS_MAX = 10


def pauses(sight: Sight) -> Iterator[Finding]:
    if most := max((len(ask.attempts) for ask in sight.hit), default=0):
        if most > ATTEMPTS_MAX:
            yield finding("too_many_attempts", f"Asked one question {most} times.")
        if sight.trial.wait_s is not None:
            yield from _told(sight, sight.trial.wait_s)
        else:
            yield from _own(sight)


def _told(sight: Sight, wait_s: float) -> Iterator[Finding]:
    waits = [pause for ask in sight.hit for pause in _after_faults(ask)]
    if not waits:
        return
    shortest = min(waits)
    told = f"{_s(shortest)} after being told to wait {_s(wait_s)}"
    early = sum([wait < wait_s - EARLY_TOLERANCE_S for wait in waits])
    if shortest >= wait_s - EARLY_TOLERANCE_S:
        yield finding("honoured_retry_after", f"Came back {told}.")
    elif shortest < wait_s * IGNORED_SHARE:
        yield finding("ignored_retry_after", f"Came back {told} ({early} of {len(waits)} times).")
    else:
        yield finding("too_early", f"Came back {told} ({early} of {len(waits)} times).")


def _after_faults(ask: Ask) -> list[float]:
    return [
        pause for attempt, pause in zip(ask.attempts, ask.pauses_s, strict=False) if attempt.faults
    ]


def _own(sight: Sight) -> Iterator[Finding]:
    quick = [pause for ask in sight.hit for pause in ask.pauses_s if pause < HAMMER_S]
    # A single quick repetition is what pools do with a connection that was closed on them.
    if any(sum([pause < HAMMER_S for pause in ask.pauses_s]) > 1 for ask in sight.hit):
        times = f"{len(quick)} times, waiting {_s(min(quick))} to {_s(max(quick))}"
        yield finding("hammered", f"Came back at once {times}.")
        return
    longest = max((ask.pauses_s for ask in sight.hit), key=len)
    if len(longest) > 1:
        shown = ", ".join(map(_s, longest[:4]))
        if max(longest) <= min(longest) * CONSTANT_RATIO:
            yield finding("constant_backoff", f"Waited the same each time: {shown}.")
        elif longest[-1] > longest[0]:
            yield finding("backed_off", f"Waited {shown}.")
    if (together := _in_step(sight.hit)) > 0:
        yield finding("in_step", f"{together} requests that failed together came back within "
                      f"{BACK_WITHIN_S * 1000:.0f} ms of each other.")  # fmt: skip


def _in_step(asks: tuple[Ask, ...]) -> int:
    """How many asks failed together and came back together."""
    retried = [ask.attempts for ask in asks if ask.retries]
    best = 0
    for nth in range(min(2, max(map(len, retried), default=1) - 1)):
        pairs = sorted(
            (attempts[nth + 1].arrived_at, attempts[nth].finished_at)
            for attempts in retried if len(attempts) > nth + 1
        )  # fmt: skip
        for back_at, failed_at in pairs:
            group = [
                one for one in pairs
                if 0 <= one[0] - back_at <= BACK_WITHIN_S
                and abs(one[1] - failed_at) <= FAILED_WITHIN_S
            ]  # fmt: skip
            best = max(best, len(group))
    return best if best >= IN_STEP_ASKS else 0


def _s(seconds: float) -> str:
    return f"{max(0.0, seconds):.2f} s"

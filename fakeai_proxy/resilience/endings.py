"""What is found of how a client ended: answered, given up, still waiting, or none the wiser."""

from __future__ import annotations

from collections.abc import Iterator

from fakeai_proxy.resilience.finding import Finding, finding
from fakeai_proxy.resilience.sight import Sight
from fakeai_proxy.resilience.watch import tool_runs

#: Characters of the client's own words that are quoted.
QUOTED_CHARS = 100


def calm(sight: Sight) -> Iterator[Finding]:
    ran = sight.ran
    if not sight.attempts:
        yield finding("unreachable", f"No request reached the proxy; {ended(sight)}.")
    elif not ran.good or sight.unanswered:
        failed = next((ask.attempts[-1] for ask in sight.unanswered), None)
        about = (
            ""
            if failed is None
            else f" {failed.path} was answered {failed.status or 'not at all'}."
        )
        yield finding("fails_anyway", f"It {ended(sight)} where nothing goes wrong.{about}")
    else:
        yield finding("works", f"{_count(len(sight.attempts), 'request')}, {ran.took_s:.1f} s.")


def hung(sight: Sight) -> Iterator[Finding]:
    """Its time was up."""
    waiting = [one for one in sight.waiting if one.left]
    gave_up = any(one.left for one in sight.attempts if one not in waiting)
    if waiting and not gave_up and sight.trial.expected == "time_out":
        since = min(one.arrived_at for one in waiting)
        yield finding(
            "no_read_timeout",
            f"Still waited for its answer {sight.ran.ended_at - since:.1f} s after asking.",
        )
    else:
        asked = _count(len(sight.attempts), "request")
        yield finding("never_ends", f"Had not ended after {sight.budget_s:.0f} s and {asked}.")


def ending(sight: Sight) -> Iterator[Finding]:
    ran, left = sight.ran, sight.unanswered
    if ran.killed:
        yield from hung(sight)
    elif ran.status < 0:
        yield finding("killed_by_signal", f"It was ended by signal {-ran.status}.")
    elif left and ran.status == 0:
        yield from _swallowed(sight)
    elif left:
        yield from _gave_up(sight)
    elif ran.status:
        yield finding("failed_though_answered", f"It {ended(sight)}.")
    else:
        yield from _went_well(sight)


def _swallowed(sight: Sight) -> Iterator[Finding]:
    lost = _count(len(sight.unanswered), "question")
    if sight.message:
        yield finding(
            "failure_said_only",
            f"Said {_quoted(sight)}, and ended with status 0, {lost} unanswered.",
        )
    elif sight.trial.expected == "notice":
        yield finding("broken_taken_for_whole", f"Took a broken answer for whole: status 0, nothing said, "
                      f"{lost} not asked again.")  # fmt: skip
    else:
        yield finding("failure_swallowed", f"Ended with status 0 and no word, {lost} unanswered.")


def _gave_up(sight: Sight) -> Iterator[Finding]:
    expected, tried = sight.trial.expected, _count(len(sight.hit[0].attempts), "attempt")
    if expected in ("retry", "give_up") and not sight.retries:
        yield finding("not_tried_again", f"Gave up after the first attempt: it {ended(sight)}.")
    if sight.uncaught:
        yield finding("uncaught", f"Ended by an exception that nobody caught: {_quoted(sight)}.")
    elif not sight.message:
        yield finding("gave_up_silently", f"It {ended(sight)} and said nothing.")
    elif expected == "retry" and sight.trial.concerns != "tool_results" and sight.retries:
        yield finding("gave_up_well", f"Gave up after {tried}: {_quoted(sight)}.")
    elif expected not in ("retry", "give_up") or sight.retries:
        yield finding(
            "gave_up_well", f"Stopped after {tried}, {sight.ran.took_s:.1f} s: {_quoted(sight)}."
        )


def _went_well(sight: Sight) -> Iterator[Finding]:
    first = next((ask for ask in sight.hit if ask.retries), None)
    if first is not None:
        took = first.attempts[-1].finished_at - first.attempts[0].arrived_at
        own = max((one.retry_count or 0 for one in sight.attempts), default=0)
        counted = f", counted by its SDK up to {own}" if own else ""
        yield finding(
            "recovered", f"Answered at attempt {len(first.attempts)}, after {took:.1f} s{counted}."
        )
    elif sight.trial.expected != "endure":
        yield finding("recovered", "Answered when asked in another way.")


# --- by what was expected ----------------------------------------------------------------------------


def no_retry(sight: Sight) -> Iterator[Finding]:
    most = max(len(ask.attempts) for ask in sight.hit)
    if most > 1:
        status = sight.hit[0].attempts[0].status
        yield finding(
            "retried_permanent", f"Sent the same request {most} times, refused with {status}."
        )
    else:
        yield finding("not_retried", "Did not ask again.")


def timed_out(sight: Sight) -> Iterator[Finding]:
    left = [one for one in sight.attempts if one.left and one not in sight.waiting]
    if left:
        patience = left[0].finished_at - left[0].arrived_at
        yield finding("timed_out", f"Hung up after {patience:.1f} s of waiting.")


def patience(sight: Sight) -> Iterator[Finding]:
    left = [one for one in sight.attempts if one.left]
    if sight.ran.killed:
        yield from hung(sight)
    elif left:
        waited = left[0].finished_at - left[0].arrived_at
        yield finding("impatient", f"Hung up after {waited:.1f} s, though an answer was coming.")
    elif sight.ran.good:
        yield finding("endured", "Took it as it came.")
    else:
        yield finding("not_endured", f"Did not take a right answer: it {ended(sight)}.")


def length(sight: Sight) -> Iterator[Finding]:
    ran, calm = sight.ran, sight.calm
    more = calm is not None and len(sight.attempts) > len(calm.attempts)
    if ran.killed:
        yield from hung(sight)
    elif ran.status or more or sight.message:
        how = _quoted(sight) if sight.message else "asked for more" if more else ended(sight)
        yield finding("noticed", f"Noticed: {how}.")
    else:
        yield finding("length_unnoticed", "Took half an answer for whole: status 0, nothing said.")


def side_effects(sight: Sight) -> Iterator[Finding]:
    once = 0 if sight.calm is None else tool_runs(sight.calm.attempts)
    runs = tool_runs(sight.attempts)
    if sight.calm is not None and once and runs > once:
        yield finding(
            "repeated_side_effect",
            f"Ran its tools {runs} times instead of {once}, because a request failed.",
        )
    elif once and sight.trial.concerns == "tool_results":
        yield finding("tools_ran_once", "Did not run its tools again.")


def ended(sight: Sight) -> str:
    ran = sight.ran
    if ran.killed:
        return f"had not ended after {ran.took_s:.0f} s"
    if ran.status < 0:
        return f"was ended by signal {-ran.status}"
    return f"ended with status {ran.status}"


def _quoted(sight: Sight) -> str:
    said = sight.message
    return f"'{said[:QUOTED_CHARS]}{'...' if len(said) > QUOTED_CHARS else ''}'"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")

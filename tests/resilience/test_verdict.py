"""What is found, on made-up exchanges."""

from __future__ import annotations

import pytest

from fakeai_proxy.resilience.finding import CODES, worst
from fakeai_proxy.resilience.sight import Sight
from fakeai_proxy.resilience.verdict import judge, left_out
from tests.resilience.seen import attempt, body, calm, failed, sight, trial

TRACE = "Traceback (most recent call last):\n  File x\nValueError: no\n"


def codes(seen: Sight) -> set[str]:
    return {one.code for one in judge(seen).findings}


def test_a_retry_after_that_is_kept_is_good() -> None:
    seen = sight("retry", failed(0), attempt(1.12), wait_s=1)
    assert codes(seen) == {"honoured_retry_after", "recovered"}
    assert judge(seen).severity == "good"


@pytest.mark.parametrize(
    ("pause", "found"),
    [(0.96, "honoured_retry_after"), (0.8, "too_early"), (0.3, "ignored_retry_after"),
     (0.0, "ignored_retry_after")],
)  # fmt: skip
def test_who_comes_back_before_the_time_is_too_early_or_deaf(pause: float, found: str) -> None:
    assert found in codes(sight("retry", failed(0), attempt(0.1 + pause), wait_s=1))


@pytest.mark.parametrize(
    ("instants", "found"),
    [((0, 0.6, 1.7), "backed_off"), ((0, 0.6, 1.2), "constant_backoff"), ((0, 0.1, 0.21), "hammered")],
)  # fmt: skip
def test_waits_grow_or_are_constant_or_are_none(
    instants: tuple[float, float, float], found: str
) -> None:
    first, second, third = instants
    assert codes(sight("retry", failed(first), failed(second), attempt(third))) == {
        found,
        "recovered",
    }


def test_one_quick_repetition_is_a_pools() -> None:
    assert codes(sight("retry", failed(0), attempt(0.1))) == {"recovered"}


def test_who_failed_together_and_comes_back_together_is_in_step() -> None:
    texts = [body(f"question {k}") for k in range(4)]
    first = [failed(0, said=text) for text in texts]
    stepping = [attempt(0.6 + k / 1000, said=text) for k, text in enumerate(texts)]
    spread = [attempt(0.6 + k / 10, said=text) for k, text in enumerate(texts)]
    assert "in_step" in codes(sight("retry", *first, *stepping))
    assert "in_step" not in codes(sight("retry", *first, *spread))


def test_more_attempts_than_any_sdk_makes_are_too_many() -> None:
    many = [failed(k * (k + 1) / 2) for k in range(12)]
    assert codes(sight("give_up", *many, status=1, err="down")) == {
        "too_many_attempts", "backed_off", "gave_up_well",
    }  # fmt: skip


def test_a_transient_failure_should_be_tried_again() -> None:
    assert codes(sight("retry", failed(0), status=1, err="down")) == {"not_tried_again"}
    assert codes(sight("retry", failed(0), status=1, err=TRACE)) == {"not_tried_again", "uncaught"}


def test_what_cannot_succeed_is_not_tried_again() -> None:
    once = sight("no_retry", failed(0, status=400), status=1, err="refused")
    assert codes(once) == {"not_retried", "gave_up_well"}
    twice = sight("no_retry", failed(0, status=400), failed(1, status=400), status=1, err="refused")
    assert codes(twice) == {"retried_permanent", "gave_up_well"}
    assert judge(twice).severity == "bad"


def test_a_broken_answer_is_retried_or_stopped_at_or_taken_for_whole() -> None:
    cut = failed(0, status=200, end="cut")
    assert codes(sight("notice", cut, attempt(1))) == {"recovered"}
    assert codes(sight("notice", cut, status=1, err="cut")) == {"gave_up_well"}
    assert codes(sight("notice", cut, status=1)) == {"gave_up_silently"}
    assert codes(sight("notice", cut, status=1, err=TRACE)) == {"uncaught"}
    assert codes(sight("notice", cut)) == {"broken_taken_for_whole"}
    assert codes(sight("notice", cut, err="the answer is cut")) == {"failure_said_only"}
    assert codes(sight("retry", failed(0), failed(1))) >= {"failure_swallowed"}
    assert codes(sight("notice", cut, status=-11)) == {"killed_by_signal"}


def test_who_never_hangs_up_has_no_read_timeout() -> None:
    waiting = failed(1, 9.05, end="client_gone")
    assert codes(sight("time_out", waiting, killed=True, status=-15)) == {"no_read_timeout"}


def test_who_hangs_up_has_one() -> None:
    left = failed(0, 3, end="client_gone")
    assert codes(sight("time_out", left, attempt(3.5))) == {"timed_out", "recovered"}
    assert codes(sight("time_out", left, status=1, err="timed out")) == {
        "timed_out",
        "gave_up_well",
    }
    waiting = failed(4, 6.05, end="client_gone")
    assert codes(sight("time_out", left, waiting, killed=True, status=-15)) == {
        "timed_out", "never_ends",
    }  # fmt: skip


def test_who_asks_for_ever_never_ends() -> None:
    asked = [failed(k) for k in range(5)]
    assert "never_ends" in codes(sight("give_up", *asked, killed=True, status=-15))


def test_a_slow_answer_is_waited_for() -> None:
    assert codes(sight("endure", failed(0, 2.5, status=200, end="ok"))) == {"endured"}
    assert codes(sight("endure", failed(0, 1, end="client_gone"), attempt(2))) == {"impatient"}
    assert codes(sight("endure", failed(0, 2.5, status=200), status=1)) == {"not_endured"}


def test_a_program_that_needs_longer_than_its_time_has_no_bad_timeout() -> None:
    busy = failed(1, 9.05, end="client_gone")
    for expected in ("notice", "endure", "notice_length"):
        assert codes(sight(expected, busy, killed=True, status=-15)) == {"never_ends"}


def test_half_an_answer_is_noticed_or_not() -> None:
    half = failed(0, status=200)
    assert codes(sight("notice_length", half)) == {"length_unnoticed"}
    assert codes(sight("notice_length", half, err="cut short")) == {"noticed"}
    assert codes(sight("notice_length", half, attempt(1, said=body("go on")))) == {"noticed"}


def test_what_is_said_when_all_is_well_is_no_message() -> None:
    noisy = Sight(calm().trial, (attempt(0),), calm().ran.__class__(0, 0, 1, err="loading\n"))
    seen = sight("notice", failed(0, end="cut"), err="loading\n", before=noisy)
    assert codes(seen) == {"broken_taken_for_whole"}


def test_a_calm_trial_must_be_answered() -> None:
    assert codes(calm()) == {"works"}
    assert codes(Sight(trial("answer"), (), calm().ran)) == {"unreachable"}
    assert codes(sight("answer", attempt(0, status=404))) == {"fails_anyway"}
    assert codes(sight("answer", attempt(0), status=3)) == {"fails_anyway"}


def test_a_fault_that_met_nobody_is_not_judged() -> None:
    verdict = judge(sight("notice", attempt(0)))
    assert verdict.severity is None
    assert verdict.unjudged
    assert left_out(trial("notice", concerns="streams"), calm()) is not None
    assert left_out(trial("notice", concerns="streams"), calm(attempt(0, streamed=True))) is None


def test_what_is_not_good_has_its_advice() -> None:
    assert {
        code for code, (severity, advice) in CODES.items() if bool(advice) is (severity == "good")
    } == set()
    assert worst(judge(sight("notice", failed(0, end="cut"))).findings) == "bad"

"""Made-up exchanges of made-up trials."""

from __future__ import annotations

import json
from typing import Any

from fakeai_proxy.resilience.question import question_of
from fakeai_proxy.resilience.sight import Ran, Sight
from fakeai_proxy.resilience.trial import Trial
from fakeai_proxy.resilience.watch import Attempt

FAULT = ("status:code=500",)


def body(text: str = "hello", **more: Any) -> bytes:
    return json.dumps(
        {"model": "m", "messages": [{"role": "user", "content": text}], **more}
    ).encode()


def attempt(at: float, took: float = 0.1, said: bytes | None = None, **more: Any) -> Attempt:
    question = question_of("POST", "/v1/chat/completions", body() if said is None else said)
    return Attempt(at, at + took, "/v1/chat/completions", question, **more)


def failed(at: float, took: float = 0.1, said: bytes | None = None, **more: Any) -> Attempt:
    return attempt(at, took, said, **{"status": 500, "faults": FAULT, **more})


def trial(expected: str, **more: Any) -> Trial:
    fault = () if expected == "answer" else FAULT
    return Trial(name="made-up", meaning="-", expected=expected, fault=fault, **more)


def calm(*attempts: Attempt) -> Sight:
    return Sight(trial("answer"), attempts or (attempt(0),), Ran(0, 0, 1, out="an answer\n"))


def sight(
    expected: str, *attempts: Attempt, status: int = 0, err: str = "", killed: bool = False,
    ended_at: float = 10, wait_s: float | None = None, before: Sight | None = None, **more: Any,
) -> Sight:  # fmt: skip
    ran = Ran(status, 0, ended_at, killed, "an answer\n" if status == 0 else "", err)
    return Sight(trial(expected, wait_s=wait_s, **more), attempts, ran, 10, before or calm())

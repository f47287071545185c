"""What can be found of a client, each with its weight and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["good", "weak", "bad"]
SEVERITIES: tuple[Severity, ...] = ("good", "weak", "bad")


@dataclass(frozen=True, slots=True)
class Finding:
    """`said` is a sentence with the numbers that were seen."""

    code: str
    severity: Severity
    said: str

    @property
    def advice(self) -> str:
        return CODES[self.code][1]


def finding(code: str, said: str) -> Finding:
    return Finding(code, CODES[code][0], said)


def worst(findings: Iterable[Finding]) -> Severity:
    return max((one.severity for one in findings), key=SEVERITIES.index, default="good")


#: Code -> its weight, and what to do.
CODES: dict[str, tuple[Severity, str]] = {
    "works": ("good", ""),
    "recovered": ("good", ""),
    "honoured_retry_after": ("good", ""),
    "backed_off": ("good", ""),
    "gave_up_well": ("good", ""),
    "timed_out": ("good", ""),
    "endured": ("good", ""),
    "noticed": ("good", ""),
    "not_retried": ("good", ""),
    "tools_ran_once": ("good", ""),
    "unreachable": (
        "bad", "Nothing came through the proxy. `fakeai-proxy doctor` tells which clients read HTTPS_PROXY; "
        "others take a base URL."),
    "fails_anyway": (
        "bad", "Make the command succeed under `fakeai-proxy run -- ...` first; nothing else can be judged."),
    "ignored_retry_after": (
        "bad", "Wait as long as Retry-After (or retry-after-ms) says before asking again."),
    "too_early": (
        "weak", "Round the wait up, never down, and count it from the end of the answer."),
    "hammered": (
        "bad", "Wait between attempts: 0.5 s, then twice as long each time, with jitter, up to a limit."),
    "constant_backoff": (
        "weak", "Let each wait be longer than the last (times two), with jitter."),
    "in_step": (
        "weak", "Add jitter, so that requests that failed together do not come back together."),
    "too_many_attempts": (
        "bad", "Set a limit on attempts (the SDKs have max_retries) and stop with a message after it."),
    "not_tried_again": (
        "weak", "Ask again a few times, with waits: this passes (the SDKs have max_retries)."),
    "retried_permanent": (
        "bad", "Do not repeat what cannot succeed: of the 4xx, retry only 408, 409 and 429."),
    "no_read_timeout": (
        "bad", "Set a read timeout (httpx.Timeout(read=...), AbortSignal.timeout(...)): the SDKs' own is "
        "10 minutes. One longer than the budget looks the same: see --budget."),
    "never_ends": (
        "bad", "Limit attempts and total time, then stop with a message. If the program just needs longer, "
        "give it a --budget."),
    "impatient": (
        "weak", "Allow more for the first token: hosted models take seconds, reasoning models minutes."),
    "not_endured": (
        "weak", "What came is right, if unusual: comments in a stream, letters split between packets, a "
        "slow start. Use a parser that knows them."),
    "broken_taken_for_whole": (
        "bad", "Take an answer for whole only after its end: a finish_reason and [DONE] (message_stop), "
        "JSON that parses, no error event; otherwise ask again or stop."),
    "failure_swallowed": (
        "bad", "End with a status other than 0, or say on stderr what is missing."),
    "failure_said_only": (
        "weak", "End with a status other than 0: callers look at nothing else."),
    "length_unnoticed": (
        "weak", "Look at finish_reason: continue the answer, raise max_tokens, or say that it is cut short."),
    "repeated_side_effect": (
        "bad", "Keep the results of tools that have run and send those again; do not start the "
        "conversation over. Give tools with effects an idempotency key."),
    "uncaught": (
        "weak", "Catch what the client library raises, and end with a message instead of a stack trace."),
    "gave_up_silently": (
        "weak", "Say on stderr what failed, before ending with a status other than 0."),
    "killed_by_signal": ("bad", "The process crashed: see its output."),
    "failed_though_answered": (
        "weak", "Every question was answered in the end, and still the status is not 0."),
}  # fmt: skip

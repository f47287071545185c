"""One line is asked until it has an answer: whoever is told to wait waits, and a server that fails
is asked again."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from fakeai_proxy.exchange import header
from fakeai_proxy.services.job import Answered, Asked, Work
from fakeai_proxy.services.wire import parsed_object

#: How often a line is asked whose server fails; what is limited is asked until it is not.
FAILURES_MAX = 3
#: Seconds to wait where nobody says how long: doubled each time, up to the second.
_WAIT_S, _WAIT_S_MAX = 1.0, 60.0
_OK, _LIMITED, _FAILED = 200, 429, 500
#: Longer ones are read in a thread.
_LONG_BYTES = 256 << 10


class Reply(NamedTuple):
    """`body` is None where it is no JSON object: one that was cut, a page of a gateway."""

    answered: Answered
    body: dict[str, Any] | None

    @property
    def is_ok(self) -> bool:
        return self.answered.status == _OK and self.body is not None

    @property
    def has_failed(self) -> bool:
        return self.body is None or self.answered.status >= _FAILED


async def reply_to(work: Work, asked: Asked) -> Reply:
    failures = tries = 0
    while True:
        answered = await work.ask(asked)
        reply = Reply(answered, await _object_in(work, answered.body))
        tries += 1
        failures += reply.has_failed
        if not _is_worth_another(reply, failures):
            return reply
        await work.clock.sleep_until(work.clock.now() + _wait_s(answered, tries))


def _is_worth_another(reply: Reply, failures: int) -> bool:
    answered = reply.answered
    if header(answered.headers, b"x-should-retry") == b"false":
        return False
    if answered.status == _LIMITED:
        return b"insufficient_quota" not in answered.body
    return reply.has_failed and failures < FAILURES_MAX


def _wait_s(answered: Answered, tries: int) -> float:
    for name, unit_s in ((b"retry-after-ms", 0.001), (b"retry-after", 1.0)):
        value = header(answered.headers, name)
        if value is not None and value.replace(b".", b"", 1).isdigit():
            return float(value) * unit_s
    return float(min(_WAIT_S * 2 ** min(tries - 1, 16), _WAIT_S_MAX))


async def _object_in(work: Work, body: bytes) -> dict[str, Any] | None:
    if len(body) <= _LONG_BYTES:
        return parsed_object(body)
    with work.clock.hold():
        return await asyncio.to_thread(parsed_object, body)

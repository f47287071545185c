"""Delivers webhooks: one row is one event for one receiver, tried again until it takes it."""

from __future__ import annotations

import logging

import orjson

from fakeai_proxy.services.job import Job, Work
from fakeai_proxy.services.webhooks import KIND
from fakeai_proxy.store import Delete

log = logging.getLogger("fakeai_proxy")

#: platform.openai.com/docs/guides/webhooks: tried again "for up to 72 hours with exponential backoff".
_GIVE_UP_S = 72 * 3600.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 5.0, 4 * 3600.0


def wait_s(attempts: int) -> float:
    """Before the next attempt, after so many."""
    return float(min(_FIRST_WAIT_S * 2 ** (attempts - 1), _LONGEST_WAIT_S))


async def deliver(work: Work) -> None:
    document = work.row.document
    event = document["event"]
    body = orjson.dumps(event)
    headers = work.webhooks.headers(event["id"], body, work.clock.wall())
    status = await work.post(document["url"], headers, body)
    now = work.clock.wall()
    attempts = document["attempts"] + 1
    if not 200 <= status < 300:
        log.warning("webhook %s was not taken (%d), attempt %d", event["id"], status, attempts)
    if 200 <= status < 300 or now - work.row.created_at > _GIVE_UP_S:
        await work.store.commit(work.finish(), Delete(work.row.key))
    else:
        left = {**document, "attempts": attempts, "status": status}
        await work.store.commit(work.later(left, now + wait_s(attempts)))


JOBS = (Job(kind=KIND, run=deliver, at_once=8),)

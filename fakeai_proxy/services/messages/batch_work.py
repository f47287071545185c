"""The work on a batch of messages: every line is a message of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from fakeai_proxy.services.bulk.asking import reply_to
from fakeai_proxy.services.bulk.chunks import Result, assembled, cleared
from fakeai_proxy.services.bulk.desk import settle
from fakeai_proxy.services.bulk.lines import Line, object_of
from fakeai_proxy.services.job import Asked, Job, Work
from fakeai_proxy.services.messages import batches
from fakeai_proxy.store import Row

_BROKEN = {
    "type": "error", "error": {"type": "api_error", "message": "Internal server error"},
    "request_id": None,
}  # fmt: skip
_STREAMED = {
    "type": "error",
    "error": {
        "type": "invalid_request_error",
        "message": "stream: streaming is not supported in batches",
    },
    "request_id": None,
}


class MessageTrade:
    def __init__(self, work: Work) -> None:
        self._work = work
        asked = work.row.document["asked"]
        self._asked: Mapping[str, Any] = asked
        headers = {"content-type": "application/json", **asked["headers"]}
        self._headers = tuple((name.encode(), value.encode()) for name, value in headers.items())

    async def answer(self, line: Line) -> Result:
        request = await object_of(self._work.clock, line)
        if request["params"].get("stream"):
            return _result(request, "errored", b'"error":%b' % orjson.dumps(_STREAMED))
        asked = Asked(
            "POST", "/v1/messages", self._headers, orjson.dumps(request["params"]),
            project=self._work.row.key.parent, key_id=self._asked["key_id"],
            user_id=self._asked["user_id"],
        )  # fmt: skip
        reply = await reply_to(self._work, asked)
        if reply.is_ok:
            made = _result(request, "succeeded", b'"message":%b' % orjson.dumps(reply.body))
            return made._replace(tallies=reply.answered.tallies)
        error = _BROKEN if reply.body is None else reply.body
        return _result(request, "errored", b'"error":%b' % orjson.dumps(error))

    def undone(self, line: Line, why: str) -> Result:
        return _result(orjson.loads(line.data), why)

    def why(self, row: Row) -> str:
        return batches.why(row, self._work.clock.wall())

    def counted(self, row: Row, results: Sequence[Result]) -> Row:
        return batches.counted(row, results)


def _result(request: Mapping[str, Any], end: str, more: bytes = b"") -> Result:
    text = b'{"custom_id":%b,"result":{"type":"%b"%b}}\n' % (
        orjson.dumps(request["custom_id"]), end.encode(), b"," + more if more else b"",
    )  # fmt: skip
    return Result(text, False, tuple(int(name == end) for name in batches.ENDS))


async def run_batch(work: Work) -> None:
    """Raises LeaseLost and 503."""
    row = work.row
    if row.document["status"] != "ended":
        await settle(work, row, MessageTrade(work))
        blob, now = await assembled(work, errors=False), work.clock.wall()
        await work.store.commit(work.change(lambda row: batches.ended(row, blob.name, now)))
    await cleared(work)
    await work.store.commit(work.change(lambda row: replace(row, due_at=None, owner="")))


JOBS = (Job(batches.BATCHES.kind, run_batch),)

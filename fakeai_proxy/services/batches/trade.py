"""One line of a batch: how it is asked, and how what came of it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import orjson

from fakeai_proxy import errors
from fakeai_proxy.exchange import Headers
from fakeai_proxy.services.batches import record
from fakeai_proxy.services.batches.checking import path_of
from fakeai_proxy.services.bulk.asking import Reply, reply_to
from fakeai_proxy.services.bulk.chunks import Result
from fakeai_proxy.services.bulk.lines import Line, object_in, object_of
from fakeai_proxy.services.job import Asked, Work
from fakeai_proxy.store import Row

#: On Azure these are asked of a deployment, by the versions that have a date.
_OF_DEPLOYMENT = (
    "/chat/completions", "/completions", "/embeddings", "/images/generations", "/images/edits",
)  # fmt: skip
_BROKEN = {
    "code": "server_error",
    "message": "The server had an error while processing the request.",
}


class BatchTrade:
    def __init__(self, work: Work) -> None:
        self._work = work
        self._id = work.row.key.id
        document = work.row.document
        self._path = path_of(document["endpoint"])
        self._asked: Mapping[str, Any] = document["asked"]
        self._headers: Headers = (
            (b"content-type", b"application/json"),
            *((name.encode(), value.encode()) for name, value in self._asked["headers"].items()),
        )

    async def answer(self, line: Line) -> Result:
        request = await object_of(self._work.clock, line)
        if request["body"].get("stream"):
            return self._result(line, request, _streamed(self._id, line), b"null", True)
        asked = Asked(
            "POST", self._target(request["body"]), self._headers, orjson.dumps(request["body"]),
            project=self._work.row.key.parent, key_id=self._asked["key_id"],
            user_id=self._asked["user_id"],
        )  # fmt: skip
        reply = await reply_to(self._work, asked)
        if reply.body is None:
            return self._result(line, request, b"null", orjson.dumps(_BROKEN), True)
        body = reply.answered.body
        if b"\n" in body:
            body = orjson.dumps(reply.body)
        response = b'{"status_code":%d,"request_id":%b,"body":%b}' % (
            reply.answered.status, orjson.dumps(reply.answered.id), body,
        )  # fmt: skip
        made = self._result(line, request, response, b"null", not reply.is_ok)
        if reply.is_ok:
            made = made._replace(amounts=_used(reply), tallies=reply.answered.tallies)
        return made

    def undone(self, line: Line, why: str) -> Result:
        request = object_in(line)
        assert request is not None, "the line was checked"
        told = orjson.dumps({"code": why, "message": errors.UNDONE[why]})
        return self._result(line, request, b"null", told, True)

    def why(self, row: Row) -> str:
        return record.why(row, self._work.clock.wall())

    def counted(self, row: Row, results: Sequence[Result]) -> Row:
        return record.counted(row, results)

    def _target(self, body: Mapping[str, Any]) -> str:
        version = self._asked["version"]
        if not version:
            return f"{self._asked['base']}{self._path}"
        model = body.get("model")
        base = f"/openai/deployments/{quote(model, safe='')}" if model else "/openai"
        if self._path not in _OF_DEPLOYMENT:
            base = "/openai"
        return f"{base}{self._path}?api-version={quote(version, safe='')}"

    def _result(
        self, line: Line, request: Mapping[str, Any], response: bytes, error: bytes, is_error: bool
    ) -> Result:
        name = self._work.dice.text_id(self._id, line.number, length=24)
        text = b'{"id":"batch_req_%b","custom_id":%b,"response":%b,"error":%b}\n' % (
            name.encode(), orjson.dumps(request["custom_id"]), response, error,
        )  # fmt: skip
        return Result(text, is_error)


def _streamed(batch_id: str, line: Line) -> bytes:
    """The refusal of a line that asks for a stream."""
    error = errors.not_in_batches("stream")
    body = {"error": {"message": error.message, "type": "invalid_request_error",
                      "param": error.param, "code": error.code}}  # fmt: skip
    return orjson.dumps(
        {"status_code": error.status, "request_id": f"{batch_id}-{line.number}", "body": body}
    )


def _used(reply: Reply) -> tuple[int, ...]:
    """As `record.AMOUNTS`, whichever names the endpoint has for them."""
    usage = (reply.body or {}).get("usage")
    if not isinstance(usage, dict):
        return ()
    read = usage.get("prompt_tokens", usage.get("input_tokens", 0))
    made = usage.get("completion_tokens", usage.get("output_tokens", 0))
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    made_details = (
        usage.get("completion_tokens_details") or usage.get("output_tokens_details") or {}
    )
    found = (read, details.get("cached_tokens"), made, made_details.get("reasoning_tokens"))
    return tuple(amount if isinstance(amount, int) else 0 for amount in found)

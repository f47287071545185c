"""What is stored of earlier answers, as the rows of a run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlencode

import orjson

from fakeai_proxy.services.evals.wire import CONTENT_MAX
from fakeai_proxy.services.job import Asked, Work

_PAGE_ROWS = 100
#: Rows of stored responses.
_RESPONSE = "response"


def _is_within(created_at: float, source: Mapping[str, Any]) -> bool:
    after, before = source.get("created_after"), source.get("created_before")
    return (after is None or created_at > after) and (before is None or created_at < before)


async def stored_completions(
    work: Work, project: str, source: Mapping[str, Any]
) -> AsyncIterator[dict[str, Any]]:
    """As clients list them: those that the filters leave, the oldest first."""
    query = {f"metadata[{name}]": value for name, value in (source.get("metadata") or {}).items()}
    if source.get("model"):
        query["model"] = source["model"]
    left, after = source.get("limit") or CONTENT_MAX, ""
    while left > 0:
        page = await _get(
            work, project, "/v1/chat/completions",
            {**query, "limit": str(_PAGE_ROWS), **({"after": after} if after else {})},
        )  # fmt: skip
        for completion in page.get("data", ()):
            if left > 0 and _is_within(completion["created"], source):
                left -= 1
                yield await _completion(work, project, completion)
        if not page.get("has_more"):
            return
        after = page["data"][-1]["id"]


async def _completion(work: Work, project: str, completion: Mapping[str, Any]) -> dict[str, Any]:
    path = f"/v1/chat/completions/{completion['id']}/messages"
    found = await _get(work, project, path, {"limit": str(_PAGE_ROWS)})
    messages = [
        {"role": one["role"], "content": one.get("content")} for one in found.get("data", ())
    ]
    text = completion["choices"][0]["message"].get("content") or ""
    return {
        "item": {"input": messages, "metadata": completion.get("metadata") or {}},
        "sample": {
            "output_text": text, "choices": completion["choices"], "model": completion["model"],
        },
    }  # fmt: skip


async def _get(work: Work, project: str, path: str, query: Mapping[str, str]) -> dict[str, Any]:
    answered = await work.ask(
        Asked("GET", f"{path}?{urlencode(query)}", (), b"", tier="", project=project)
    )
    if answered.status != 200:
        return {}
    found: dict[str, Any] = orjson.loads(answered.body)
    return found


async def stored_responses(
    work: Work, project: str, source: Mapping[str, Any]
) -> AsyncIterator[dict[str, Any]]:
    after = ""
    while True:
        page = await work.store.page(
            _RESPONSE, project, after=after, limit=_PAGE_ROWS, ascending=True
        )
        for row in page.rows:
            shown = row.document.get("shown") or {}
            if shown.get("status") == "completed" and _is_wanted(shown, row.created_at, source):
                yield _response(row.document.get("input") or [], shown)
        if not page.has_more:
            return
        after = page.rows[-1].key.id


def _is_wanted(shown: Mapping[str, Any], created_at: float, source: Mapping[str, Any]) -> bool:
    if source.get("model") and shown.get("model") != source["model"]:
        return False
    metadata = shown.get("metadata") or {}
    if any(metadata.get(name) != value for name, value in (source.get("metadata") or {}).items()):
        return False
    wanted = source.get("instructions_search") or ""
    return wanted in str(shown.get("instructions") or "") and _is_within(created_at, source)


def _response(items: list[Any], shown: Mapping[str, Any]) -> dict[str, Any]:
    messages = [
        {"role": one.get("role", "user"), "content": one.get("content")}
        for one in items
        if one.get("type", "message") == "message"
    ]
    text = "\n".join(
        part.get("text") or ""
        for item in shown.get("output") or () if item.get("type") == "message"
        for part in item.get("content") or ()
    )  # fmt: skip
    return {
        "item": {"input": messages, "metadata": shown.get("metadata") or {}},
        "sample": {"output_text": text, "output": shown["output"], "model": shown["model"]},
    }

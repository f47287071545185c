"""Completions that were made with `store`: kept with their request's metadata, listed, changed, deleted."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from fakeai_proxy import errors
from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import Admission, Chunk, Reply
from fakeai_proxy.services.answer.cached import cached_tokens
from fakeai_proxy.services.chat import message, wire
from fakeai_proxy.services.chat.plan import Plan
from fakeai_proxy.services.chat.speech import completion_id, tier_of
from fakeai_proxy.services.chat.usage import usage_with
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.paging import cut, envelope
from fakeai_proxy.services.records import Records
from fakeai_proxy.services.wire import json_reply, model_fingerprint

#: Kinds of records: completions by id, and the one list of all of their ids.
STORED, _INDEX = "chat.completion", "chat.completions"
#: What a completion weighs besides its text.
_OVERHEAD_BYTES = 4096
_METADATA = re.compile(r"metadata\[(.+)\]")
#: Of a request, what a stored completion shows.
_SHOWN = (
    "seed", "top_p", "temperature", "presence_penalty", "frequency_penalty", "tools", "tool_choice",
    "response_format",
)  # fmt: skip


@dataclass(slots=True)
class Stored:
    """`messages` are those of the request, as the API lists them."""

    completion: dict[str, Any]
    messages: list[dict[str, Any]]
    plan: Plan = field(repr=False)


class _Ids:
    """In the order in which they were made. Safe to share between threads."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}
        self._lock = threading.Lock()

    def add(self, name: str) -> None:
        with self._lock:
            self._ids[name] = None

    def drop(self, names: list[str]) -> None:
        with self._lock:
            for name in names:
                self._ids.pop(name, None)

    def all(self) -> list[str]:
        with self._lock:
            return list(self._ids)


def store(call: Call, plan: Plan, reply: Reply) -> Reply:
    """Keep what the reply says. How much of the prompt was cached is known when it is told."""
    name = completion_id(call)
    kept = Stored(_completion(call, plan, name), list(_messages(plan.request, name)), plan)
    weight = _OVERHEAD_BYTES + len(orjson.dumps([kept.completion, kept.messages]))
    call.records.keep(STORED, name, kept, weight)
    index = call.records.find(_INDEX, "") or _Ids()
    index.add(name)
    call.records.keep(_INDEX, "", index, 0)
    reply.chunks = [_noticed(chunk, kept) for chunk in _chunks(reply)]
    return reply


def _chunks(reply: Reply) -> list[Chunk]:
    assert isinstance(reply.chunks, list)
    return reply.chunks


def _noticed(chunk: Chunk, kept: Stored) -> Chunk:
    """A late chunk that tells the record what it says."""
    late = chunk.data
    if isinstance(late, bytes):
        return chunk

    def data(admission: Admission) -> bytes:
        prompt = len(kept.plan.prompt.ids)
        cached = cached_tokens(kept.plan.card, admission, prompt)
        kept.completion["usage"] = orjson.loads(usage_with(kept.plan, cached))
        return late(admission)

    return chunk._replace(data=data)


def _completion(call: Call, plan: Plan, name: str) -> dict[str, Any]:
    request = plan.request
    _, fingerprint = model_fingerprint(plan.model)
    shown = request.model_dump(include=set(_SHOWN), by_alias=True, exclude_none=True)
    rendered = [message.choice(call, plan, k) for k in range(len(plan.choices))]
    return {
        "object": "chat.completion",
        "id": name,
        "model": plan.model,
        "created": call.created,
        "request_id": f"req_{call.dice.text_id(call.id_key, 'request', length=32)}",
        **{key: shown.get(key) for key in _SHOWN},
        "input_user": request.user,
        "service_tier": tier_of(plan).decode(),
        "system_fingerprint": fingerprint.decode(),
        "metadata": dict(request.metadata or {}),
        "choices": [orjson.loads(choice) for choice in rendered],
        "usage": orjson.loads(usage_with(plan, 0)),
    }


def _messages(request: wire.ChatRequest, name: str) -> Iterator[dict[str, Any]]:
    for k, said in enumerate(request.messages):
        shown = said.model_dump(by_alias=True, exclude_none=True)
        content = shown.pop("content", None)
        parts = content if isinstance(content, list) else None
        yield {
            "id": f"{name}-{k}",
            "role": shown.pop("role"),
            "content": None if parts is not None else content,
            "name": shown.pop("name", None),
            "refusal": shown.pop("refusal", None),
            "content_parts": parts,
            **shown,
        }


# --- the operations -----------------------------------------------------------------------------


def list_stored(call: Call) -> Reply:
    wanted = {
        match[1]: value for key, value in call.query.items() if (match := _METADATA.fullmatch(key))
    }
    model = call.query.get("model")
    found = [
        each.completion
        for each in _all(call.records)
        if (not model or each.completion["model"] == model)
        and wanted.items() <= each.completion["metadata"].items()
    ]
    return _page(call, found, "completion")


def _all(records: Records) -> Iterator[Stored]:
    index: _Ids | None = records.find(_INDEX, "")
    if index is None:
        return
    gone = []
    for name in index.all():
        found: Stored | None = records.find(STORED, name)
        if found is None:
            gone.append(name)
        else:
            yield found
    index.drop(gone)


def get_stored(call: Call) -> Reply:
    return json_reply(_found(call).completion)


def list_messages(call: Call) -> Reply:
    return _page(call, _found(call).messages, "message")


def update_stored(call: Call) -> Reply:
    found = _found(call)
    request: wire.MetadataRequest = call.body
    found.completion["metadata"] = dict(request.metadata or {})
    return json_reply(found.completion)


def delete_stored(call: Call) -> Reply:
    name = _found(call).completion["id"]
    call.records.forget(STORED, name)
    return json_reply({"object": "chat.completion.deleted", "id": name, "deleted": True})


def _found(call: Call) -> Stored:
    name = call.params["completion_id"]
    found: Stored | None = call.records.find(STORED, name)
    if found is None:
        raise errors.completion_not_found(name)
    return found


def _page(call: Call, items: list[dict[str, Any]], what: str) -> Reply:
    """Oldest first unless asked otherwise."""

    def missing(after: str) -> ApiError:
        return errors.bad_parameter("after", "invalid_value", f"No {what} with id '{after}'.")

    page = cut(items, call.query, missing, ascending=True)
    return json_reply(envelope(page.items, has_more=page.has_more))

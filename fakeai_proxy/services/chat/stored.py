"""Completions that were made with `store`: kept with their request's metadata, listed, changed, deleted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import orjson

from fakeai_proxy import errors
from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import Admission, Reply
from fakeai_proxy.services.answer.cached import cached_tokens
from fakeai_proxy.services.chat import message, wire
from fakeai_proxy.services.chat.plan import Plan
from fakeai_proxy.services.chat.speech import completion_id, tier_of
from fakeai_proxy.services.chat.usage import usage_with
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.paging import cut, envelope
from fakeai_proxy.services.resources import Resource
from fakeai_proxy.services.wire import json_reply, model_fingerprint
from fakeai_proxy.store import Insert, Row

#: platform.openai.com/docs/guides/your-data: how long application state is kept.
KEPT_S = 30 * 86_400
_METADATA = re.compile(r"metadata\[(.+)\]")
#: Of a request, what a stored completion shows.
_SHOWN = (
    "seed", "top_p", "temperature", "presence_penalty", "frequency_penalty", "tools", "tool_choice",
    "response_format",
)  # fmt: skip


def _show(row: Row, now: float) -> Mapping[str, Any]:
    completion: Mapping[str, Any] = row.document["completion"]
    return completion


def _no_cursor(what: str, name: str) -> ApiError:
    return errors.bad_parameter("after", "invalid_value", f"No {what} with id '{name}'.")


COMPLETIONS = Resource(
    kind="chat.completion",
    object="chat.completion",
    prefix="chatcmpl-",
    path="/chat/completions",
    param="completion_id",
    missing=errors.completion_not_found,
    show=_show,
    ascending=True,
)


def keep(call: Call, plan: Plan, reply: Reply) -> Reply:
    """What can be asked for later is kept before the end of the reply is told: what was said aloud, and
    all of it where the request wants that."""

    if not plan.request.store and not plan.sounds:
        return reply
    rows = message.spoken(call, plan)
    completion: dict[str, Any] = {}
    if plan.request.store:
        completion |= _completion(call, plan, completion_id(call, lasting=True))
        messages = list(_messages(plan.request, completion["id"]))
        rows.append(_row(call, completion, messages))

    async def kept(admission: Admission) -> None:
        cached = cached_tokens(plan.card, admission, len(plan.prompt.ids))
        completion["usage"] = orjson.loads(usage_with(plan, cached))
        await call.store.commit(*rows)

    reply.keep = kept
    return reply


def _row(call: Call, completion: dict[str, Any], messages: list[dict[str, Any]]) -> Insert:
    return Insert(
        Row(
            COMPLETIONS.key(call, completion["id"]),
            {"completion": completion, "messages": messages},
            float(call.created),
            tags=_tags(completion),
            expires_at=float(call.created + KEPT_S),
        )
    )


def _tags(completion: Mapping[str, Any]) -> dict[str, str]:
    """What is filtered by."""
    said = {f"metadata:{name}": value for name, value in completion["metadata"].items()}
    return {"model": completion["model"], **said}


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
        "usage": None,
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


async def list_stored(call: Call) -> Reply:
    wanted = {
        f"metadata:{match[1]}": value
        for key, value in call.query.items()
        if (match := _METADATA.fullmatch(key))
    }
    model = call.query.get("model")
    if model:
        wanted["model"] = model
    try:
        return COMPLETIONS.listing(call, await COMPLETIONS.page(call, wanted))
    except ApiError as error:
        if error.status != 404:
            raise
        cursor = call.query.get("after") or call.query.get("before", "")
        raise _no_cursor("completion", cursor) from None


async def list_messages(call: Call) -> Reply:
    messages = (await COMPLETIONS.row(call)).document["messages"]
    page = cut(messages, call.query, lambda name: _no_cursor("message", name), ascending=True)
    return json_reply(envelope(page.items, has_more=page.has_more))


async def update_stored(call: Call) -> Reply:
    request: wire.MetadataRequest = call.body

    def change(row: Row) -> Row:
        metadata = dict(request.metadata or {})
        completion = {**row.document["completion"], "metadata": metadata}
        return replace(row.merged(completion=completion), tags=_tags(completion))

    return COMPLETIONS.reply(call, await COMPLETIONS.changed(call, change))

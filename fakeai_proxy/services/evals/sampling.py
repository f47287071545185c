"""How a run asks its model about an item, and what it makes of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from fakeai_proxy.services.graders.grading import sample_of
from fakeai_proxy.services.graders.template import as_text, filled, texts_in, value_of

#: What a sample says of settings that nobody made.
_USUAL = {"temperature": 1.0, "top_p": 1.0, "max_completion_tokens": 2048, "seed": 42}
Usage = dict[str, int]


@dataclass(frozen=True)
class Sample:
    """`values` are those of templates, `shown` is how clients see it."""

    values: dict[str, Any]
    shown: dict[str, Any]

    @property
    def usage(self) -> Usage:
        found: Usage = self.shown["usage"]
        return found


def messages_for(source: Mapping[str, Any], values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is said to the model. Raises NoSuchNameError."""
    given = source["input_messages"]
    if given["type"] == "item_reference":
        found = value_of(given["item_reference"], values)
        said = found if isinstance(found, list) else [found]
        return [
            dict(one) if isinstance(one, Mapping) else {"role": "user", "content": one}
            for one in said
        ]
    return [{**message, "content": _filled(message.get("content"), values)}
            for message in given["template"]]  # fmt: skip


def _filled(content: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(content, str):
        return filled(content, values)
    if isinstance(content, Mapping):
        return [_filled_part(content, values)]
    if not isinstance(content, list):
        return content  # as wrong as it is: the endpoint says so
    return [_filled_part(one, values) if isinstance(one, Mapping) else one for one in content]


def _filled_part(part: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: filled(value, values) if isinstance(value, str) and name in ("text", "image_url")
        else value
        for name, value in part.items()
    }  # fmt: skip


# --- endpoints --------------------------------------------------------------------------------------


def chat_body(source: Mapping[str, Any], messages: list[dict[str, Any]]) -> dict[str, Any]:
    params = source.get("sampling_params") or {}
    asked = {"model": source["model"], "messages": [_for_chat(one) for one in messages]}
    return asked | {name: value for name, value in params.items() if name != "text"}


def _for_chat(message: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a Responses message in chat's words; what is none is left for chat to refuse."""
    content = message.get("content")
    made = {name: message[name] for name in ("role", "content") if name in message}
    if isinstance(content, list):
        parts: list[Any] = []
        for part in content:
            if isinstance(part, str):
                parts.append({"type": "text", "text": part})
            elif not isinstance(part, Mapping):
                parts.append(part)
            elif part.get("type") == "input_image":
                parts.append({"type": "image_url", "image_url": {"url": part.get("image_url")}})
            elif "text" in part:
                parts.append({"type": "text", "text": part["text"]})
            else:
                parts.append(part)
        made["content"] = parts
    return made


def response_body(source: Mapping[str, Any], messages: list[dict[str, Any]]) -> dict[str, Any]:
    params = dict(source.get("sampling_params") or {})
    asked: dict[str, Any] = {"model": source["model"], "input": messages, "store": False}
    for name, value in params.items():
        if name == "reasoning_effort":
            asked["reasoning"] = {"effort": value}
        elif name not in ("seed", "response_format"):  # which it does not have
            asked["max_output_tokens" if name == "max_completion_tokens" else name] = value
    return asked


def chat_sample(
    source: Mapping[str, Any], messages: list[dict[str, Any]], body: Mapping[str, Any]
) -> Sample:
    choice = body["choices"][0]
    message = choice["message"]
    text = message.get("content") or ""
    usage = body.get("usage") or {}
    details = usage.get("prompt_tokens_details") or {}
    values = sample_of(
        text, output_tools=message.get("tool_calls") or [], choices=body["choices"],
        model=body.get("model", ""),
    )  # fmt: skip
    return Sample(values, _shown(source, messages, text, choice.get("finish_reason") or "stop", {
        "prompt_tokens": usage.get("prompt_tokens", 0),
        "completion_tokens": usage.get("completion_tokens", 0),
        "total_tokens": usage.get("total_tokens", 0),
        "cached_tokens": details.get("cached_tokens") or 0,
    }, body.get("model", "")))  # fmt: skip


def response_sample(
    source: Mapping[str, Any], messages: list[dict[str, Any]], body: Mapping[str, Any]
) -> Sample:
    output = body.get("output") or []
    text = "\n".join(
        part.get("text") or ""
        for item in output if item.get("type") == "message"
        for part in item.get("content") or () if part.get("type") == "output_text"
    )  # fmt: skip
    usage = body.get("usage") or {}
    details = usage.get("input_tokens_details") or {}
    tools = [item for item in output if item.get("type") == "function_call"]
    values = sample_of(text, output_tools=tools, output=output, model=body.get("model", ""))
    finish = "stop" if body.get("status") == "completed" else str(body.get("status"))
    return Sample(values, _shown(source, messages, text, finish, {
        "prompt_tokens": usage.get("input_tokens", 0),
        "completion_tokens": usage.get("output_tokens", 0),
        "total_tokens": usage.get("total_tokens", 0),
        "cached_tokens": details.get("cached_tokens") or 0,
    }, body.get("model", "")))  # fmt: skip


def given_sample(source: Mapping[str, Any], datum: Mapping[str, Any]) -> Sample:
    """Of a row that brings its answer along, or has none."""
    given = datum.get("sample") or {}
    text = given.get("output_text")
    if text is None and given.get("choices"):
        text = given["choices"][0].get("message", {}).get("content")
    text = text or ""
    values = {**sample_of(text), **given}
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "cached_tokens": 0}
    messages = [one for one in datum.get("item", {}).get("input") or () if isinstance(one, dict)]
    model = given.get("model")
    return Sample(
        values,
        _shown(source, messages, text, "stop", usage, model if isinstance(model, str) else ""),
    )


def _shown(
    source: Mapping[str, Any], messages: list[dict[str, Any]], text: str, finish: str,
    usage: Usage, model: str,
) -> dict[str, Any]:  # fmt: skip
    params = source.get("sampling_params") or {}
    settings = {name: params.get(name) or usual for name, usual in _USUAL.items()}
    return {
        "input": [
            {"role": one.get("role", "user"), "content": _plain(one.get("content"))}
            for one in messages
        ],
        "output": [{"role": "assistant", "content": text}],
        "finish_reason": finish,
        "model": model or source.get("model") or "",
        "usage": usage,
        "error": None,
        **settings,
    }


def _plain(content: Any) -> str:
    return "\n".join(texts_in(content)) if not isinstance(content, str) else content


def failed_sample(
    source: Mapping[str, Any], messages: list[dict[str, Any]], body: object
) -> Sample:
    """Of an item whose question was refused, with the error."""
    found = body.get("error") if isinstance(body, Mapping) else None
    error = found if isinstance(found, Mapping) else {}
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "cached_tokens": 0}
    shown = _shown(source, messages, "", "error", usage, "")
    code = error.get("code") or error.get("type") or "server_error"
    message = error.get("message") or as_text(orjson.dumps(body).decode())
    shown["error"] = {"code": str(code), "message": str(message)}
    shown["output"] = []
    return Sample(sample_of(""), shown)

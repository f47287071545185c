"""What may stand in a training file, by line: `check` names what is wrong with an example, `lesson` says
what it teaches. Nothing here knows files or jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fakeai_proxy.generate.tokens import Tokens

Example = Mapping[str, Any]
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
#: Around a message, and before the answer: the vendor's way of counting a conversation.
_MESSAGE_TOKENS, _ANSWER_TOKENS = 3, 3


_WANTED: dict[type, str] = {
    list: "a non-empty array", str: "a non-empty string", dict: "an object",
}  # fmt: skip


class BadExampleError(Exception):
    """What is wrong, as a sentence without the line."""


@dataclass(frozen=True)
class Lesson:
    """`tokens` are trained on. Whoever asks `prompt` hears `content`, or has tools called: pairs of
    name and arguments. None where nothing is to be repeated."""

    tokens: int
    prompt: str | None = None
    content: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)


def _required(example: Example, key: str, kind: type, name: str) -> Any:
    """Raises BadExampleError."""
    if key not in example:
        raise BadExampleError(
            f"Expected file to have JSONL format with `{name}` key. Missing `{name}` key"
        )
    value = example[key]
    if not isinstance(value, kind) or (kind is not dict and not value):
        wanted = _WANTED[kind]
        raise BadExampleError(f"Invalid file format. Expected `{name}` to be {wanted}")
    return value


# --- conversations ----------------------------------------------------------------------------------


def _check_messages(messages: list[Any], tools: set[str], name: str = "messages") -> None:
    called: set[str] = set()
    for place, message in enumerate(messages):
        where = f"`{name}[{place}]`"
        if not isinstance(message, dict):
            raise BadExampleError(f"Invalid file format. Expected {where} to be an object")
        role = message.get("role")
        if role not in _ROLES:
            listed = ", ".join(repr(one) for one in _ROLES)
            raise BadExampleError(
                f"Invalid file format. The role of {where} must be one of {listed}, not {role!r:.40}"
            )
        _check_content(message, where)
        if "weight" in message:
            if role != "assistant":
                raise BadExampleError(
                    f"Invalid file format. {where} has a `weight`, which only assistant messages may have"
                )
            if message["weight"] not in (0, 1) or isinstance(message["weight"], bool):
                raise BadExampleError(
                    f"Invalid file format. The `weight` of {where} must be 0 or 1"
                )
        called |= _check_calls(message, where, tools)
        if role == "tool" and message.get("tool_call_id") not in called:
            raise BadExampleError(
                f"Invalid file format. {where} answers no tool call that comes before it"
            )


def _check_content(message: Example, where: str) -> None:
    content, role = message.get("content"), message["role"]
    if content is None:
        if role == "assistant" and any(
            message.get(key) for key in ("tool_calls", "function_call", "refusal")
        ):
            return
        raise BadExampleError(f"Invalid file format. {where} has no `content`")
    if isinstance(content, str):
        return
    if not isinstance(content, list) or not content:
        raise BadExampleError(
            f"Invalid file format. The `content` of {where} must be a string or an array of parts"
        )
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text" and isinstance(part.get("text"), str):
            continue
        if kind == "image_url" and role == "user":
            continue
        raise BadExampleError(
            f"Invalid file format. The `content` of {where} has a part that is not allowed there"
        )


def _check_calls(message: Example, where: str, tools: set[str]) -> set[str]:
    """The ids of what is called."""
    calls = message.get("tool_calls")
    if calls is None:
        return set()
    if message["role"] != "assistant" or not isinstance(calls, list) or not calls:
        raise BadExampleError(f"Invalid file format. {where} has `tool_calls` that cannot be")
    found = set()
    for call in calls:
        function = call.get("function") if isinstance(call, dict) else None
        if (
            not isinstance(function, dict)
            or not isinstance(call.get("id"), str)
            or not isinstance(function.get("name"), str)
            or not isinstance(function.get("arguments"), str)
        ):
            raise BadExampleError(
                f"Invalid file format. A tool call of {where} lacks its id, name or arguments"
            )
        if function["name"] not in tools:
            raise BadExampleError(
                f"Invalid file format. {where} calls the function {function['name'][:64]!r}, which is "
                "not among the `tools`"
            )
        found.add(call["id"])
    return found


def _tools(example: Example) -> set[str]:
    """Names of the functions that may be called."""
    names = set()
    for key in ("tools", "functions"):
        given = example.get(key)
        if given is None:
            continue
        if not isinstance(given, list):
            raise BadExampleError(f"Invalid file format. Expected `{key}` to be an array")
        for tool in given:
            function = tool.get("function") if key == "tools" and isinstance(tool, dict) else tool
            if not isinstance(function, dict) or not isinstance(function.get("name"), str):
                raise BadExampleError(f"Invalid file format. One of the `{key}` has no name")
            names.add(function["name"])
    return names


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content if part.get("type") == "text")
    return content or ""


def _message_tokens(tokens: Tokens, messages: list[Example]) -> int:
    total = _ANSWER_TOKENS
    for message in messages:
        total += _MESSAGE_TOKENS + tokens.count(_text(message.get("content")))
        for call in message.get("tool_calls") or ():
            function = call["function"]
            total += tokens.count(function["name"]) + tokens.count(function["arguments"])
    return total


def _asked(messages: list[Example]) -> str | None:
    """The last thing that the user says."""
    for message in reversed(messages):
        if message["role"] == "user":
            return _text(message["content"])
    return None


def _said(message: Example) -> dict[str, Any]:
    calls = [
        (call["function"]["name"], call["function"]["arguments"])
        for call in message.get("tool_calls") or ()
    ]
    return {"content": _text(message.get("content")), "calls": calls}


# --- formats ----------------------------------------------------------------------------------------


def _chat(example: Example, tokens: Tokens) -> Lesson:
    messages = _required(example, "messages", list, "messages")
    _check_messages(messages, _tools(example))
    taught = [one for one in messages if one["role"] == "assistant" and one.get("weight", 1)]
    if not taught:
        raise BadExampleError(
            "Invalid file format. There must be at least one assistant message with a weight of 1"
        )
    if messages[-1]["role"] != "assistant":
        raise BadExampleError("Invalid file format. The last message must be from the assistant")
    count = _message_tokens(tokens, messages)
    if not messages[-1].get("weight", 1):
        return Lesson(count)
    return Lesson(count, _asked(messages[:-1]), **_said(messages[-1]))


def _completion(example: Example, tokens: Tokens) -> Lesson:
    prompt = _required(example, "prompt", str, "prompt")
    completion = _required(example, "completion", str, "completion")
    return Lesson(tokens.count(prompt) + tokens.count(completion), prompt, completion)


def _preference(example: Example, tokens: Tokens) -> Lesson:
    asked = _required(example, "input", dict, "input")
    messages = _required(asked, "messages", list, "input.messages")
    tools = _tools(asked)
    _check_messages(messages, tools, "input.messages")
    count = 0
    for key in ("preferred_output", "non_preferred_output"):
        outputs = _required(example, key, list, key)
        _check_messages(outputs, tools, key)
        if outputs[-1]["role"] != "assistant":
            raise BadExampleError(
                f"Invalid file format. The last message of `{key}` must be from the assistant"
            )
        count += _message_tokens(tokens, [*messages, *outputs])
    return Lesson(count, _asked(messages), **_said(example["preferred_output"][-1]))


def _reinforcement(example: Example, tokens: Tokens) -> Lesson:
    messages = _required(example, "messages", list, "messages")
    _check_messages(messages, _tools(example))
    if messages[-1]["role"] != "user":
        raise BadExampleError("Invalid file format. The last message must be from the user")
    return Lesson(_message_tokens(tokens, messages))


_FORMATS: dict[str, Callable[[Example, Tokens], Lesson]] = {
    "supervised": _chat, "completion": _completion, "dpo": _preference,
    "reinforcement": _reinforcement,
}  # fmt: skip


def lesson(method: str, example: Example, tokens: Tokens) -> Lesson:
    """`method` is that of the job, or `completion` for models that only continue texts. Raises
    BadExampleError."""
    return _FORMATS[method](example, tokens)


def missing_names(names: set[str], example: Example) -> Iterator[str]:
    """Which paths below `item` (`answer`, `answer.value`) an example does not have."""
    for name in sorted(names):
        value: Any = example
        for step in name.split("."):
            if not isinstance(value, Mapping) or step not in value:
                yield name
                break
            value = value[step]

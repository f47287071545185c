"""Items as JSON has them: what was said so far, as turns of token ids, and what it comes down to."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.generate.answer import report as result_told
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.services.answer.media import Medium
from fakeai_proxy.services.answer.prompt import Prompt
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.items import media as media_of_items
from fakeai_proxy.services.items.media import Media, has_media
from fakeai_proxy.services.items.shapes import Message

#: An item as it goes over the wire.
Item = dict[str, Any]
#: Calls that the client answers, by what a complaint names them, and their answers.
_CALLS = {
    "function_call": "function", "custom_tool_call": "custom tool", "computer_call": "computer",
    "local_shell_call": "local shell", "shell_call": "shell", "apply_patch_call": "apply patch",
}  # fmt: skip
_OUTPUTS = {f"{kind}_output": words for kind, words in _CALLS.items()}
#: Sealed content counts as text of so many characters to a token.
_SEALED_CHARS_PER_TOKEN = 16
#: What the model did itself or had a client do, with the fields that it is shown again.
_SHOWN = {
    "web_search_call": ("action",),
    "file_search_call": ("queries", "results"),
    "code_interpreter_call": ("code", "outputs"),
    "mcp_list_tools": ("tools",),
    "mcp_call": ("name", "arguments", "output"),
    "mcp_approval_request": ("name", "arguments"),
    "image_generation_call": ("revised_prompt",),
    "computer_call": ("action", "actions"),
    "local_shell_call": ("action",),
    "local_shell_call_output": ("output",),
    "shell_call": ("action",),
    "shell_call_output": ("output",),
    "apply_patch_call": ("operation",),
    "apply_patch_call_output": ("status", "output"),
    "additional_tools": ("tools",),
    "tool_search_call": ("arguments",),
    "tool_search_output": ("tools",),
    "program": ("code",),
    "program_output": ("result",),
}


#: Parts that only the assistant has said, and those that it never says.
_SPOKEN = ("output_text", "refusal")
_READ = ("input_text", "input_image", "input_file")
NONE = Media()


@dataclass(frozen=True, slots=True)
class History:
    """`turns` are the items as the model with `card` reads them; None where nobody has."""

    items: tuple[Item, ...] = ()
    turns: tuple[array[int], ...] = ()
    card: ModelCard | None = None
    #: Pictures and the like cost each model something else.
    has_media: bool = False

    def turns_for(self, card: ModelCard) -> tuple[array[int], ...]:
        known = self.card
        if known is None or known.vocabulary != card.vocabulary:
            return turns_of(card, self.items)
        same = known.id == card.id or not self.has_media
        return self.turns if same else turns_of(card, self.items)

    def and_then(
        self,
        card: ModelCard,
        items: Sequence[Item],
        media: Media = NONE,
        read: Sequence[Item] | None = None,
    ) -> History:
        """`read` is what the model reads of the items, where that is more than they say; `media` are
        those in it."""
        turns = self.turns_for(card) + turns_of(card, items if read is None else read, media)
        return History((*self.items, *items), turns, card, self.has_media or has_media(items))


def references(sent: Any) -> list[str]:
    """The ids of the items that a request only refers to."""
    if sent is None or isinstance(sent, str):
        return []
    return [shape.id for shape in sent if shape.type == "item_reference"]


def given(sent: Any, known: Mapping[str, Item]) -> list[Item]:
    """The items that a request brings; `known` are those that it refers to. Raises 404."""
    if sent is None:
        return []
    if isinstance(sent, str):
        return [user_message(sent)]
    items: list[Item] = []
    for shape in sent:
        item = shape.model_dump(exclude_unset=True, by_alias=True)
        if item["type"] == "item_reference":
            if shape.id not in known:
                raise errors.item_not_found(shape.id)
            item = known[shape.id]
        items.append(item)
    return items


def check_parts(sent: Sequence[Any], path: str) -> None:
    """The assistant's words are output, all others' are input. Raises 400."""
    for k, item in enumerate(sent):
        if isinstance(item, Message) and not isinstance(item.content, str):
            for j, part in enumerate(item.content):
                spoken = part.type in _SPOKEN
                if spoken != (item.role == "assistant"):
                    right = _READ if spoken else _SPOKEN
                    raise errors.invalid_value(f"{path}[{k}].content[{j}]", part.type, right)


def user_message(text: str) -> Item:
    return {
        "type": "message", "role": "user", "content": [{"type": "input_text", "text": text}],
    }  # fmt: skip


def check_calls(items: Sequence[Item]) -> None:
    """Every output answers a call, and every call is answered. Raises 400."""
    open_calls: dict[str, str] = {}
    #: Calls by their id, and for clients that answer to the item, by the item's.
    known: dict[str, str] = {}
    for item in items:
        kind = item["type"]
        if kind in _CALLS:
            call_id = item["call_id"]
            known[call_id] = call_id
            if item.get("id"):
                known.setdefault(item["id"], call_id)
            open_calls[call_id] = _CALLS[kind]
        elif kind in _OUTPUTS:
            answers = item.get("call_id") or item["id"]
            if answers not in known:
                raise errors.output_without_call(_OUTPUTS[kind], answers)
            open_calls.pop(known[answers], None)
    for call_id, kind in open_calls.items():
        raise errors.call_without_output(kind, call_id)


# --- token ids ----------------------------------------------------------------------------------


def turns_of(card: ModelCard, items: Iterable[Item], media: Media = NONE) -> tuple[array[int], ...]:
    """What the model said and called in a row is one turn, as when it was made."""
    tokens = Tokens.load(card.vocabulary)
    write = _Writer(card, media.by_part).write
    turns: list[array[int]] = []
    prompt: Prompt | None = None
    for item in items:
        role = _role(item)
        if role is None:
            continue
        if prompt is None or role != "assistant":
            if prompt is not None:
                turns.append(_closed(prompt))
            prompt = Prompt(tokens)
            prompt.open(role)
        write(prompt, item)
        if role != "assistant":
            turns.append(_closed(prompt))
            prompt = None
    if prompt is not None:
        turns.append(_closed(prompt))
    return tuple(turns)


def _closed(prompt: Prompt) -> array[int]:
    prompt.close()
    return array("I", prompt.ids)


def _role(item: Item) -> str | None:
    """Whose turn it is; None for what a template leaves out."""
    kind = item["type"]
    if kind == "message":
        return str(item["role"])
    if kind in _CALLS:
        return "assistant"
    return None if kind == "reasoning" else "tool"


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes items into prompts as one model reads them. `known` is by the identity of the part."""

    card: ModelCard
    known: Mapping[int, Medium]

    def write(self, prompt: Prompt, item: Item) -> None:
        kind = item["type"]
        if kind == "message":
            self._content(prompt, item["content"])
        elif kind in ("function_call", "custom_tool_call"):
            prompt.text(item["name"])
            prompt.text(item["arguments"] if kind == "function_call" else item["input"])
        elif kind in ("function_call_output", "custom_tool_call_output"):
            self._content(prompt, item["output"])
        elif kind == "computer_call_output":
            media_of_items.write(prompt, self.card, item["output"], self.known)
        elif kind == "compaction":
            sealed = item["encrypted_content"]
            prompt.medium(sealed, 1 + len(sealed) // _SEALED_CHARS_PER_TOKEN)
        else:
            for text in _shown(item):
                prompt.text(text)

    def _content(self, prompt: Prompt, content: str | list[Item]) -> None:
        if isinstance(content, str):
            prompt.text(content)
            return
        for part in content:
            kind = part["type"]
            if kind in ("input_image", "input_file", "input_audio"):
                media_of_items.write(prompt, self.card, part, self.known)
            else:
                prompt.text(part["refusal"] if kind == "refusal" else part["text"])


def _shown(item: Item) -> Iterator[str]:
    for name in _SHOWN.get(item["type"], ()):
        if item.get(name):
            yield str(item[name])


# --- what it comes down to ----------------------------------------------------------------------


def text_of(content: str | list[Item]) -> str:
    if isinstance(content, str):
        return content
    return "\n".join([part["text"] for part in content if "text" in part])


def question_of(items: Sequence[Item]) -> str:
    """The text of the last user message; of the last message where no user speaks."""
    last = ""
    for item in reversed(items):
        if item["type"] == "message":
            if item["role"] == "user":
                return text_of(item["content"])
            last = last or text_of(item["content"])
    return last


def report(items: Sequence[Item]) -> str:
    """A sentence about the tool result that the answer follows."""
    if not items or items[-1]["type"] not in _OUTPUTS:
        return ""
    output: Any = items[-1].get("output") or ""
    if isinstance(output, dict):
        return ""  # a screenshot
    if items[-1]["type"] == "shell_call_output":
        output = "\n".join([part["stdout"] or part["stderr"] for part in output])
    return result_told(text_of(output))


def answers(items: Sequence[Item]) -> list[str]:
    """The kinds of what tools have answered since the user last spoke, the last first. Where there is
    any, it is the model's turn to speak."""
    kinds = []
    for item in reversed(items):
        if item["type"] == "message" and item["role"] == "user":
            break
        if item["type"] in _OUTPUTS or item["type"] == "mcp_approval_response":
            kinds.append(item["type"])
    return kinds


def called_in(items: Sequence[Item]) -> set[str]:
    """The functions and custom tools that were called since the user last spoke."""
    names = set()
    for item in reversed(items):
        if item["type"] == "message" and item["role"] == "user":
            break
        if item["type"] in ("function_call", "custom_tool_call"):
            names.add(item["name"])
    return names


def instructions_in(items: Sequence[Item]) -> str:
    """What the system and the developer have said."""
    return "\n".join(
        text_of(item["content"])
        for item in items
        if item["type"] == "message" and item["role"] in ("system", "developer")
    )


def says_json(items: Sequence[Item], instructions: str | None) -> bool:
    if "json" in (instructions or "").lower():
        return True
    return any(
        "json" in text_of(item["content"]).lower() for item in items if item["type"] == "message"
    )

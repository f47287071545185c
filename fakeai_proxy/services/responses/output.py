"""What an answer is made of, in order, and each part as an item of the wire."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fakeai_proxy.generate.tokens import Passage
from fakeai_proxy.services.answer.task import ToolCall
from fakeai_proxy.services.items.history import Item
from fakeai_proxy.services.vector_stores.quoting import Quote

#: Characters of sealed thoughts to a hidden token.
_SEALED_CHARS_PER_TOKEN = 4
_SEALED_CHARS_MAX = 16_384


@dataclass(frozen=True, slots=True)
class Thought:
    """`sealed` thoughts go out encrypted, for a client that keeps the conversation itself."""

    tokens: int
    summary: tuple[Passage, ...] = ()
    sealed: str = ""
    prefix = "rs"

    def item(self, item_id: str, status: str) -> Item:
        done = status != "in_progress"
        parts = [{"type": "summary_text", "text": passage.text} for passage in self.summary]
        item: Item = {"id": item_id, "type": "reasoning", "summary": parts if done else []}
        return {**item, "encrypted_content": self.sealed} if self.sealed else item


def sealed(noise: str, tokens: int) -> str:
    """Looks like what is encrypted, as long as so many tokens are. `noise` is random text."""
    count = min(tokens * _SEALED_CHARS_PER_TOKEN, _SEALED_CHARS_MAX) + 88
    return "gAAAAAB" + (noise * (count // len(noise) + 1))[:count] + "=="


@dataclass(frozen=True, slots=True)
class Work:
    """What a tool of the vendor's did. `given` is what the model wrote for it, `fields` the item
    besides its id and status, `opening` what of them is known at the beginning. What is `called` has
    an id for that, what `answers` has that of the item before. Where it `waits` for the client,
    nothing more is said."""

    kind: str
    prefix: str
    given: Passage
    fields: dict[str, Any]
    opening: dict[str, Any] = field(default_factory=dict)
    has_status: bool = True
    called: bool = False
    answers: bool = False
    waits: bool = False
    #: What a text that follows from it refers to.
    citation: dict[str, Any] | None = None
    partial_images: tuple[str, ...] = ()
    #: What of it the text says; None where it says what it likes.
    quotes: tuple[Quote, ...] | None = None

    @property
    def tokens(self) -> int:
        return self.given.tokens

    def item(self, item_id: str, status: str) -> Item:
        done = status != "in_progress"
        item: Item = {"id": item_id, "type": self.kind}
        if self.has_status:
            item["status"] = status
        if self.called:
            item["call_id"] = call_id_of(item_id)
        return item | (self.fields if done else self.opening)


@dataclass(frozen=True, slots=True)
class Said:
    content: Passage
    logprobs: list[dict[str, Any]] | None = None
    annotations: tuple[dict[str, Any], ...] = ()
    refusal: bool = False
    prefix = "msg"

    @property
    def tokens(self) -> int:
        return self.content.tokens

    def item(self, item_id: str, status: str) -> Item:
        content = [self.part()] if status != "in_progress" else []
        return {
            "id": item_id, "type": "message", "status": status, "content": content,
            "role": "assistant",
        }  # fmt: skip

    def part(self) -> dict[str, Any]:
        if self.refusal:
            return {"type": "refusal", "refusal": self.content.text}
        return {
            "type": "output_text", "annotations": list(self.annotations),
            "logprobs": self.logprobs or [], "text": self.content.text,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Called:
    call: ToolCall

    @property
    def prefix(self) -> str:
        return "ctc" if self.call.custom else "fc"

    @property
    def tokens(self) -> int:
        return self.call.head_tokens + self.call.arguments.tokens

    def item(self, item_id: str, status: str) -> Item:
        text = self.call.arguments.text if status != "in_progress" else ""
        item: Item = {
            "id": item_id,
            "status": status,
            "call_id": call_id_of(item_id),
            "name": self.call.name,
        }
        if self.call.custom:
            return {**item, "type": "custom_tool_call", "input": text}
        if self.call.tool is not None and self.call.tool.namespace:
            item["namespace"] = self.call.tool.namespace
        return {**item, "type": "function_call", "arguments": text}


def call_id_of(item_id: str) -> str:
    """The item's own id under another prefix."""
    return "call_" + item_id.partition("_")[2][:24]


Output = Thought | Work | Said | Called

"""A block of an answer, before it is bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fakeai_proxy.generate.tokens import Passage


@dataclass(frozen=True, slots=True)
class Block:
    """`head_tokens` are those of a tool's name, which goes out before the first of its input. A
    thought that is `hidden` was made, but is not shown. A `result` is what a tool of the vendor's
    answered to the block before: its `name` is the type that it has on the wire, and `found` what a
    text that follows from it refers to."""

    kind: Literal["text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "result"]
    passage: Passage
    name: str = ""
    head_tokens: int = 0
    hidden: bool = False
    result: object = None
    found: Mapping[str, Any] | None = None
    citations: Sequence[Mapping[str, Any]] = ()

    @property
    def tokens(self) -> int:
        return self.head_tokens + self.passage.tokens

    @property
    def thought(self) -> bool:
        return self.kind in ("thinking", "redacted_thinking")

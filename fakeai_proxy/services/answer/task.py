"""What is asked of a model, free of any dialect, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.generate.prediction import Match
from fakeai_proxy.generate.tokens import EMPTY, Passage, Tokens
from fakeai_proxy.services.answer.tool import Tool
from fakeai_proxy.services.responder import Canned

#: Tokens of all answers to one request together.
OUTPUT_TOKENS_MAX = 262_144
#: What OpenAI's JSON mode gives.
ANY_OBJECT: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "summary": {"type": "string"},
        "details": {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 4},
    },
    "required": ["title", "summary", "details"],
}


@dataclass(frozen=True, slots=True)
class Form:
    """The answer is an instance of `schema`. `what` and `param` name it where it cannot be made."""

    schema: Mapping[str, Any]
    strict: bool
    what: str
    param: str


@dataclass(slots=True)
class Task:
    """`limit` counts all tokens of one answer. It calls `calls` if there are any, else it is what
    `guide` writes, else follows `form`, else speaks about `hints` and begins with `report`.
    `finish_reason` is how an answer of calls ends."""

    hints: Hints
    limit: int
    calls: Sequence[Tool] = ()
    finish_reason: str = "tool_calls"
    form: Form | None = None
    guide: Callable[[Random], str] | None = None
    report: str = ""
    #: How hard it thinks first, in OpenAI's words; None where it does not.
    effort: str | None = None
    min_tokens: int = 0
    #: Whether prose goes on until the limit.
    endless: bool = False
    #: Before `min_tokens`, stop strings are not looked for.
    stops: Sequence[str] = ()
    stops_after_tokens: int = 0
    #: Log probabilities with so many rivals each; None without.
    top_logprobs: int | None = None
    temperature: float = 1.0
    #: A factor to the usual length of prose.
    length: float = 1.0
    #: A text that the answer keeps to, but for what was asked to be changed; None without.
    prediction: str | None = None
    #: Whether its thoughts are shown.
    thinks_aloud: bool = False
    #: By token id, from -100 to 100.
    bias: Mapping[int, float] = field(default_factory=dict)
    #: Whether it names pages on the web.
    cites: bool = False
    #: What the user has put ready; nothing is made up then.
    canned: Canned | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """`head_tokens` are those of the name, which goes out before the first argument."""

    name: str
    arguments: Passage
    head_tokens: int
    custom: bool = False
    tool: Tool | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Citation:
    """`start` and `end` are characters of the answer."""

    start: int
    end: int
    title: str
    url: str


@dataclass(slots=True)
class Answer:
    """One answer to a task. `finish_reason` is in chat's words: stop, length, tool_calls, ... Where
    a form was asked for, a refusal is no content."""

    content: Passage | None
    finish_reason: str
    calls: Sequence[ToolCall] = ()
    reasoning_tokens: int = 0
    logprobs: list[dict[str, Any]] | None = None
    refusal: Passage | None = None
    #: The thoughts, where they are shown: as many tokens as were thought.
    thought: Passage | None = None
    citations: Sequence[Citation] = ()
    match: Match | None = None
    #: The stop string that ended it, "" where none did.
    stopped_by: str = ""

    @property
    def said(self) -> Passage:
        """The words, whichever they are."""
        return self.refusal or self.content or EMPTY

    @property
    def tokens(self) -> int:
        return (
            self.reasoning_tokens + self.said.tokens
            + sum([call.head_tokens + call.arguments.tokens for call in self.calls])
        )  # fmt: skip

    def ids(self, tokens: Tokens) -> list[int]:
        """What it said and called as `Prompt` puts it into the next turn."""
        ids = list(self.said.ids)
        for call in self.calls:
            ids += tokens.encode(call.name)
            ids += call.arguments.ids
        return ids

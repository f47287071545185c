"""A thread as the token ids that a run's model reads: instructions, the messages that there is room
for, and what the run has done so far.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from fakeai_proxy.generate.answer import report
from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.services.answer import media as media_as
from fakeai_proxy.services.answer.prompt import Prompt
from fakeai_proxy.services.catalogue import ModelCard

Document = Mapping[str, Any]
#: Calls of which an answer says what they gave.
_REPORTED = 4


@dataclass(frozen=True, slots=True)
class Image:
    """A file that a message shows. `data` is None where there is nothing to look at any more."""

    name: str
    data: bytes | None = None


@dataclass(slots=True)
class Heard:
    """All that a run goes by. `messages` and `steps` are documents, oldest first; `images` are by the
    id of their file."""

    run: Document
    messages: Sequence[Document]
    steps: Sequence[Document] = ()
    images: Mapping[str, Image] = field(default_factory=dict)

    @property
    def calls(self) -> list[Document]:
        """What the run has called so far."""
        return [
            call
            for step in self.steps
            if step["type"] == "tool_calls"
            for call in step["step_details"]["tool_calls"]
        ]

    @property
    def hints(self) -> Hints:
        said = [message for message in self.messages if message["role"] == "user"]
        return Hints(text_of(said[-1]) if said else "", self.run["instructions"])

    @property
    def report(self) -> str:
        """Sentences about what the calls so far gave."""
        outputs = [_told(call)[1] for call in self.calls if call["type"] != "file_search"]
        told = [report(output) for output in outputs[-_REPORTED:]]
        return " ".join(filter(None, told))


def text_of(message: Document) -> str:
    """What a message says in words."""
    return "\n".join(
        [part["text"]["value"] for part in message["content"] if part["type"] == "text"]
    )


class Conversation:
    """`ids` is what the model reads next; it grows with what the run does."""

    def __init__(self, card: ModelCard, tokens: Tokens, heard: Heard, most_tokens: int) -> None:
        """Of the messages, the oldest are left out where all have more than `most_tokens`; the last
        one never is. Raises ApiError for media that the model cannot take."""
        self._tokens = tokens
        #: What an answer may say of what the last message shows.
        self.told: list[str] = []
        head = self._head(heard.run)
        turns = [self._turn(card, message, heard.images) for message in _kept(heard)]
        after = [ids for call in heard.calls for ids in self._called(call)]
        tail = Prompt(tokens)
        tail.open("assistant")
        self._opening = tail.ids
        size = len(head) + sum(map(len, turns)) + sum(map(len, after)) + len(self._opening)
        first = 0
        while size > most_tokens and first < len(turns) - 1:
            size -= len(turns[first])
            first += 1
        self._ids = [*head, *_joined(turns[first:]), *_joined(after)]

    @property
    def ids(self) -> list[int]:
        """With the beginning of an answer."""
        return [*self._ids, *self._opening]

    def add(self, call: Document) -> None:
        self._ids += _joined(self._called(call))

    def _head(self, run: Document) -> list[int]:
        head = Prompt(self._tokens)
        shown: list[object] = list(run["tools"])
        form = run["response_format"]
        if isinstance(form, dict) and form["type"] == "json_schema":
            shown.append(form["json_schema"].get("schema") or {})
        if shown:
            head.text(orjson.dumps(shown).decode())
        if run["instructions"]:
            head.open("system")
            head.text(run["instructions"])
            head.close()
        return head.ids

    def _turn(self, card: ModelCard, message: Document, images: Mapping[str, Image]) -> list[int]:
        turn = Prompt(self._tokens)
        turn.open(message["role"])
        self.told = []
        for place, part in enumerate(message["content"]):
            if part["type"] == "text":
                turn.text(part["text"]["value"])
            elif part["type"] == "refusal":
                turn.text(part["refusal"])
            elif message["role"] == "user":  # what runs have drawn is told by their words
                self._picture(turn, card, part, images, f"content[{place}]")
        turn.close()
        return turn.ids

    def _picture(
        self, turn: Prompt, card: ModelCard, part: Document, images: Mapping[str, Image], path: str
    ) -> None:
        given = part[part["type"]]
        url: str | None = given.get("url")
        if url is None:
            image = images.get(given["file_id"])
            url = None if image is None or image.data is None else _data_url(image)
        medium = media_as.picture(
            card, url, given.get("detail"), f"{path}.{part['type']}", f"{path}.type"
        )
        turn.medium(given.get("url") or given["file_id"], medium.tokens)
        self.told += filter(None, [medium.told])

    def _called(self, call: Document) -> list[list[int]]:
        """A call and what came of it, as two turns."""
        asked, answered = Prompt(self._tokens), Prompt(self._tokens)
        given, output = _told(call)
        asked.open("assistant")
        asked.text(given)
        asked.close()
        answered.open("tool")
        answered.text(output)
        answered.close()
        return [asked.ids, answered.ids]


def _kept(heard: Heard) -> Sequence[Document]:
    strategy = heard.run["truncation_strategy"]
    if strategy["type"] == "last_messages" and strategy["last_messages"]:
        return heard.messages[-strategy["last_messages"] :]
    return heard.messages


def _told(call: Document) -> tuple[str, str]:
    """What the model wrote, and what it was shown for that."""
    if call["type"] == "code_interpreter":
        work = call["code_interpreter"]
        return work["input"], "".join([out.get("logs", "") for out in work["outputs"]])
    if call["type"] == "file_search":
        results = call["file_search"].get("results") or ()
        texts = [part["text"] for hit in results for part in hit["content"]]
        return call.get("_query", ""), "\n\n".join(texts)
    function = call["function"]
    return f"{function['name']}{function['arguments']}", function["output"] or ""


def _data_url(image: Image) -> str:
    _, _, extension = image.name.lower().rpartition(".")
    return f"data:image/{extension or 'png'};base64,{b64encode(image.data or b'').decode()}"


def _joined(turns: Iterable[Sequence[int]]) -> list[int]:
    return [token for turn in turns for token in turn]

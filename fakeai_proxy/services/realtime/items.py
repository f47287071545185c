"""The items of a conversation, in their order."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.services.realtime import wire
from fakeai_proxy.services.realtime.sound import PCM, Format

#: What the sides of a conversation may say, by the names of the protocol.
_MAY_SAY = {
    "user": ("input_text", "input_audio", "input_image"),
    "assistant": ("output_text", "output_audio"),
    "system": ("input_text",),
}
_FROM_BETA = {"text": "output_text", "audio": "output_audio"}
#: The first item of a conversation comes after this.
ROOT = "root"
#: Sound that the items of one conversation hold: 45 minutes of PCM.
SOUND_BYTES_MAX = 128 << 20
#: Items of one conversation.
ITEMS_MAX = 4096


@dataclass(slots=True)
class Part:
    """`transcript` is what the client is told of sound, `understood` what the model makes of it; None
    where nobody has looked at it, and where it was taken away with the end of the sound."""

    type: str
    text: str = ""
    audio: bytes = b""
    form: Format = PCM
    transcript: str | None = None
    understood: str | None = None
    image_url: str = ""
    detail: str | None = None
    #: Of sound that was dropped for space.
    dropped_ms: float = 0.0
    _mark: tuple[int, str] = (-1, "")

    @property
    def duration_ms(self) -> float:
        return self.dropped_ms + self.form.duration_ms(len(self.audio))

    @property
    def is_audio(self) -> bool:
        return self.type.endswith("_audio")

    def shown(self, with_audio: bool = False) -> dict[str, Any]:
        if self.type == "input_image":
            detail = {} if self.detail is None else {"detail": self.detail}
            return {"type": self.type, "image_url": self.image_url, **detail}
        if not self.is_audio:
            return {"type": self.type, "text": self.text}
        sound = {"audio": b64encode(self.audio).decode()} if with_audio else {}
        return {"type": self.type, **sound, "transcript": self.transcript}

    @property
    def mark(self) -> str:
        """Tells it from other sound."""
        if self._mark[0] != len(self.audio) and not self.dropped_ms:
            self._mark = len(self.audio), blake2b(self.audio, digest_size=12).hexdigest()
        return self._mark[1]

    def drop(self) -> None:
        """Forget the sound, but not that there was some."""
        self._mark = 0, self.mark
        self.dropped_ms = self.duration_ms
        self.audio = b""


@dataclass(slots=True, eq=False)
class Item:
    id: str
    type: str
    role: str = ""
    status: str = "completed"
    content: list[Part] = field(default_factory=list)
    name: str = ""
    call_id: str = ""
    arguments: str = ""
    output: str = ""
    #: Cut short by the client while it was made: what still comes is not kept.
    truncated: bool = False

    def shown(self, with_audio: bool = False) -> dict[str, Any]:
        head: dict[str, Any] = {
            "id": self.id, "object": "realtime.item", "type": self.type, "status": self.status,
        }  # fmt: skip
        if self.type == "message":
            content = [part.shown(with_audio) for part in self.content]
            return {**head, "role": self.role, "content": content}
        if self.type == "function_call":
            call = {"name": self.name, "call_id": self.call_id, "arguments": self.arguments}
            return {**head, **call}
        return {**head, "call_id": self.call_id, "output": self.output}

    @property
    def words(self) -> str:
        """What is said in it, as far as it is known."""
        said = [
            part.transcript or part.understood or "" if part.is_audio else part.text
            for part in self.content
        ]
        return " ".join([words for words in said if words])

    def copy(self) -> Item:
        """What a thread may look at while the conversation goes on."""
        return replace(self, content=[replace(part) for part in self.content])


def item_of(
    given: wire.MessageItem | wire.CallItem | wire.OutputItem,
    item_id: str,
    call_id: str,
    form: Format,
    path: str,
) -> Item:
    """`form` is that of sound in it, `path` where it stands in the event. Raises ApiError."""
    if isinstance(given, wire.CallItem):
        return Item(
            item_id, given.type, name=given.name, call_id=given.call_id or call_id,
            arguments=given.arguments,
        )  # fmt: skip
    if isinstance(given, wire.OutputItem):
        return Item(item_id, given.type, call_id=given.call_id, output=given.output)
    parts = [
        _part(part, given.role, form, f"{path}.content[{k}]")
        for k, part in enumerate(given.content)
    ]
    return Item(item_id, given.type, given.role, content=parts)


def _part(given: wire.Part, role: str, form: Format, path: str) -> Part:
    kind = _FROM_BETA.get(given.type, given.type) if role == "assistant" else given.type
    if kind not in _MAY_SAY[role]:
        raise errors.invalid_value(f"{path}.type", given.type, _MAY_SAY[role])
    needed = {"input_image": "image_url", "input_audio": "audio"}.get(kind)
    if needed is None and kind != "output_audio":
        needed = "text"
    if needed is not None and getattr(given, needed) is None:
        raise errors.missing_parameter(f"{path}.{needed}")
    sound = b"" if given.audio is None else decoded(given.audio, f"{path}.audio")
    return Part(
        kind,
        given.text or "",
        sound,
        form,
        given.transcript,
        image_url=given.image_url or "",
        detail=given.detail,
    )


def decoded(audio: str, path: str) -> bytes:
    """Raises ApiError."""
    try:
        return b64decode(audio, validate=True)
    except (Base64Error, ValueError):
        raise errors.no_base64(path) from None


class Conversation:
    """Items in one order."""

    def __init__(self) -> None:
        self._items: list[Item] = []

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    @property
    def last_id(self) -> str | None:
        return self._items[-1].id if self._items else None

    def find(self, item_id: str) -> Item | None:
        return next((item for item in reversed(self._items) if item.id == item_id), None)

    def add(self, item: Item, after: str | None = None) -> str | None:
        """Returns the id of the item before it. Raises ApiError."""
        if self.is_full:
            raise errors.conversation_full(ITEMS_MAX)
        if self.find(item.id) is not None:
            raise errors.duplicate_item(item.id)
        place = len(self._items)
        if after == ROOT:
            place = 0
        elif after is not None:
            before = self.find(after)
            if before is None:
                raise errors.no_previous_item(after)
            place = self._items.index(before) + 1
        if item.type == "function_call_output" and not self._has_call(item.call_id):
            raise errors.no_tool_call(item.call_id)
        self._items.insert(place, item)
        return self._items[place - 1].id if place else None

    def append(self, item: Item) -> str | None:
        """What the session itself adds, at the end; returns the id of the item before it."""
        before = self.last_id
        self._items.append(item)
        return before

    def before(self, item: Item) -> str | None:
        place = self._items.index(item) if item in self._items else 0
        return self._items[place - 1].id if place else None

    @property
    def has_spoken(self) -> bool:
        """Whether there is sound of the assistant's."""
        return any(part.type == "output_audio" for item in self._items for part in item.content)

    def forget_sound(self) -> None:
        """The oldest, where there is more than may be."""
        parts = [part for item in self._items for part in item.content if part.audio]
        held = sum([len(part.audio) for part in parts])
        for part in parts[:-1]:
            if held <= SOUND_BYTES_MAX:
                return
            held -= len(part.audio)
            part.drop()

    @property
    def is_full(self) -> bool:
        return len(self._items) >= ITEMS_MAX

    def require(self, item_id: str, verb: str) -> Item:
        """Raises ApiError."""
        item = self.find(item_id)
        if item is None:
            raise errors.no_realtime_item(verb, item_id)
        return item

    def delete(self, item: Item) -> None:
        self._items.remove(item)

    def _has_call(self, call_id: str) -> bool:
        return any(item.call_id == call_id and item.type == "function_call" for item in self._items)


def truncate(item: Item, index: int, end_ms: int) -> None:
    """Take away the sound after `end_ms`, and the words, which nobody can cut. Raises ApiError."""
    if item.type != "message" or item.role != "assistant":
        raise errors.only_speech_is_truncated()
    if index >= len(item.content) or not item.content[index].is_audio:
        raise errors.no_audio_at(index)
    part = item.content[index]
    length_ms = int(part.form.duration_ms(len(part.audio)))
    if end_ms > length_ms:
        raise errors.audio_is_shorter(length_ms, end_ms)
    part.audio = part.audio[: end_ms * part.form.ms_bytes]
    part.transcript = None
    item.truncated = True

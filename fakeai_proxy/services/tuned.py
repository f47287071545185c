"""Models that users have made: rows of the store under their names, and what they have learnt by heart.

A name that begins with `ft:` and stands in no catalogue is looked up here, for that call alone; nobody
else pays for it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import IO, Any

import orjson

from fakeai_proxy.profiles.model_card import ModelCard
from fakeai_proxy.services.catalogue import FINE_TUNED, Catalogue
from fakeai_proxy.services.responder import Canned
from fakeai_proxy.store import Blobs, Insert, Key, Row, Store

KIND = "model"
#: Who owns models of users.
OWNER = "fakeai"


def model_key(project: str, name: str) -> Key:
    return Key(KIND, name, project)


def model_insert(
    project: str, name: str, base: str, job_id: str, created_at: int, learnt: str | None
) -> Insert:
    """`learnt` is the blob of what it answers to which prompts."""
    document = {
        "id": name, "object": "model", "created": created_at, "owned_by": OWNER, "base": base,
        "job": job_id,
    }  # fmt: skip
    return Insert(
        Row(
            model_key(project, name),
            document,
            float(created_at),
            tags={"name": name, "made": "here"},
            blob=learnt,
        )
    )


def card_of(row: Row, catalogue: Catalogue) -> ModelCard | None:
    """None where the model that it was made from is served no longer."""
    base = catalogue.find(row.document["base"])
    if base is None:
        return None
    changes = {"created": row.document["created"], "owned_by": "system"}
    return base.tuned(row.key.id).model_copy(update=changes)


@dataclass(frozen=True, slots=True)
class Tuned:
    """A user's model, as one call needs it."""

    card: ModelCard
    learnt: str | None
    blobs: Blobs

    def answer(self, prompt: str) -> Canned | None:
        """What its training says to exactly this prompt. Reads a little of a file."""
        if self.learnt is None:
            return None
        with self.blobs.open_file(self.learnt) as file:
            found = recall(file, prompt)
        if found is None:
            return None
        calls = tuple((name, arguments) for name, arguments in found.get("calls", ()))
        return Canned(content=found.get("content", ""), calls=calls)


async def tuned(store: Store, project: str, name: str, catalogue: Catalogue) -> Tuned | None:
    """None for a name that the catalogue holds, or that no user's model has."""
    if not name.startswith(FINE_TUNED) or catalogue.holds(name):
        return None
    row = await store.get(model_key(project, name))
    card = None if row is None else card_of(row, catalogue)
    if row is None or card is None:
        return None
    return Tuned(card, row.blob, store.blobs)


# --- what is learnt by heart --------------------------------------------------------------------------

# A file of: the number of entries, the entries sorted by the hash of their prompt (hash, place,
# length), the answers. A look-up reads a dozen entries, whatever its size.
_COUNT = struct.Struct(">Q")
_ENTRY = struct.Struct(">8sQI")


def _hash(prompt: str) -> bytes:
    return blake2b(prompt.strip().encode("utf-8", "replace"), digest_size=8).digest()


def by_heart(prompt: str, content: str, calls: Iterable[tuple[str, str]]) -> tuple[bytes, bytes]:
    """One entry: the hash of the prompt and the answer to it."""
    answer: dict[str, Any] = {"content": content}
    if calls:
        answer["calls"] = list(calls)
    return _hash(prompt), orjson.dumps(answer)


def written(entries: dict[bytes, bytes]) -> Iterator[bytes]:
    """The bytes of the file."""
    yield _COUNT.pack(len(entries))
    place = _COUNT.size + len(entries) * _ENTRY.size
    for key in sorted(entries):
        yield _ENTRY.pack(key, place, len(entries[key]))
        place += len(entries[key])
    for key in sorted(entries):
        yield entries[key]


def recall(file: IO[bytes], prompt: str) -> dict[str, Any] | None:
    (count,) = _COUNT.unpack(file.read(_COUNT.size))
    wanted = _hash(prompt)
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        file.seek(_COUNT.size + middle * _ENTRY.size)
        key, place, length = _ENTRY.unpack(file.read(_ENTRY.size))
        if key == wanted:
            file.seek(place)
            found: dict[str, Any] = orjson.loads(file.read(length))
            return found
        if key < wanted:
            low = middle + 1
        else:
            high = middle
    return None

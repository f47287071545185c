"""What a store keeps: rows with a document each, and the writes that change them.

A document is a JSON object that the store never looks into; what is asked for by value is a tag, and
what belongs together has one parent. Nothing here knows a database.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from fakeai_proxy.errors import FakeAIError

Document = Mapping[str, Any]


class Key(NamedTuple):
    """Where a row is. `parent` is the path of what it belongs to: a project, a thread."""

    kind: str
    id: str
    parent: str

    @property
    def path(self) -> str:
        """The parent of this row's children."""
        return f"{self.parent}/{self.id}" if self.parent else self.id

    def child(self, kind: str, child_id: str) -> Key:
        return Key(kind, child_id, self.path)


@dataclass(frozen=True, slots=True)
class Row:
    """`sequence` grows with every row inserted into the store, `version` from 1 with every change of
    the row. `blob` names the bytes it keeps alive. It is gone for readers at `expires_at`. A row
    that is work is `due_at` an instant; while `owner` has it, that is when the lease ends. Instants
    are seconds since the Unix epoch."""

    key: Key
    document: Document
    created_at: float
    sequence: int = 0
    version: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    blob: str | None = None
    expires_at: float | None = None
    due_at: float | None = None
    owner: str = ""

    def merged(self, **changes: Any) -> Row:
        """With these members of its document."""
        return replace(self, document={**self.document, **changes})


class Page(NamedTuple):
    rows: Sequence[Row]
    has_more: bool


class Insert(NamedTuple):
    """`row.sequence` and `row.version` are the store's to give. Raises Exists."""

    row: Row


class Change(NamedTuple):
    """`function` makes the row as it shall be, of the row as it is; nobody writes it in between. It is
    pure and quick, may run more than once and in any thread, and what it raises undoes the
    transaction. Key, sequence, version and created_at stay what they are. Raises Missing."""

    key: Key
    function: Callable[[Row], Row]


class Require(NamedTuple):
    """The row is there, and stays until the transaction ends. Raises Missing."""

    key: Key


class Delete(NamedTuple):
    """The row and everything below it. Raises Missing."""

    key: Key


class Tally(NamedTuple):
    """Adds `amounts` to what was counted under `kind` and `labels` in the minute of `at`."""

    kind: str
    at: float
    labels: Mapping[str, str]
    amounts: Mapping[str, int]


class Sum(NamedTuple):
    """What was counted from `at` on, for the length of a bucket, under these labels."""

    at: int
    labels: Mapping[str, str]
    amounts: Mapping[str, int]


Write = Insert | Change | Require | Delete | Tally


def put(key: Key, version: int, document: Document) -> Change:
    """Replaces the document if the row still has this version. Raises Conflict."""

    def function(row: Row) -> Row:
        if row.version != version:
            raise Conflict(key)
        return replace(row, document=document)

    return Change(key, function)


def finish(key: Key, owner: str, document: Document | None = None) -> Change:
    """The end of leased work, with its result, if `owner` has it still. Raises LeaseLost."""

    def function(row: Row) -> Row:
        if row.owner != owner:
            raise LeaseLost(key)
        kept = row.document if document is None else document
        return replace(row, document=kept, due_at=None, owner="")

    return Change(key, function)


class StoreError(FakeAIError):
    """A write that the state of its row forbids."""

    def __init__(self, key: Key) -> None:
        super().__init__(f"{type(self).__name__}: {key.kind} {key.id} of {key.parent}")
        self.key = key


class Exists(StoreError):  # noqa: N818 - a state of affairs, as the others
    """There is such a row already."""


class Missing(StoreError):  # noqa: N818 - a state of affairs
    """There is no such row, or it has expired."""


class Conflict(StoreError):  # noqa: N818 - a state of affairs
    """Somebody else changed the row in the meantime."""


class LeaseLost(StoreError):  # noqa: N818 - a state of affairs
    """Somebody else has taken over the work."""

"""Rows, labels and sums as the columns of a database, whichever it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from fakeai_proxy.store.documents import Key, Row, Sum

COLUMNS = "kind, id, parent, document, created_at, sequence, version, tags, blob, expires_at, due_at, owner"
MINUTE_S = 60
#: How long the place of a deleted row in its list is remembered.
GRAVE_S = 86_400.0


def row_of(columns: Sequence[Any]) -> Row:
    """Of `COLUMNS`, in their order."""
    kind, row_id, parent, document, created_at, sequence, version, tags, *rest = columns
    key = Key(kind, row_id, parent)
    return Row(
        key, orjson.loads(document), created_at, sequence, version, orjson.loads(tags), *rest
    )


def as_json(value: Mapping[str, Any]) -> str:
    return orjson.dumps(value).decode()


def label_text(labels: Mapping[str, str]) -> str:
    """Equal labels are equal text."""
    return orjson.dumps(labels, option=orjson.OPT_SORT_KEYS).decode()


def gathered(lines: Iterable[Sequence[Any]]) -> list[Sum]:
    """One for each bucket and labels, of one line (at, labels, name, amount) for each amount, in their
    order."""
    found: dict[tuple[int, str], dict[str, int]] = {}
    for at, labels, name, amount in lines:
        found.setdefault((int(at), labels), {})[name] = int(amount)
    return [Sum(at, orjson.loads(labels), amounts) for (at, labels), amounts in found.items()]

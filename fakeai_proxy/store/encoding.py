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


def gathered(lines: Iterable[Sequence[Any]], labels: Mapping[int, str]) -> list[Sum]:
    """One for each bucket and labels, of one line (bucket, number of the labels, name, amount) for each
    amount, in their order."""
    known = {number: orjson.loads(text) for number, text in labels.items()}
    found: dict[tuple[int, int], dict[str, int]] = {}
    for at, number, name, amount in lines:
        found.setdefault((at, number), {})[name] = amount
    return [Sum(at, known[number], amounts) for (at, number), amounts in found.items()]

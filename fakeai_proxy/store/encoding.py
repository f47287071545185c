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


def gathered(lines: Iterable[Sequence[Any]], labels: Mapping[int, str], bucket_s: int) -> list[Sum]:
    """Of lines (instant, number of the labels, amounts as JSON) in the order of those numbers; those of one
    bucket and labels are added up. Oldest first."""
    known = {number: orjson.loads(text) for number, text in labels.items()}
    found: dict[int, dict[int, dict[str, int]]] = {}
    for at, number, text in lines:
        of_bucket = found.setdefault(at // bucket_s * bucket_s, {})
        before = of_bucket.get(number)
        amounts = orjson.loads(text)
        if before is None:
            of_bucket[number] = amounts
        else:
            for name, amount in amounts.items():
                before[name] = before.get(name, 0) + amount
    return [
        Sum(at, known[number], amounts)
        for at in sorted(found)
        for number, amounts in found[at].items()
    ]

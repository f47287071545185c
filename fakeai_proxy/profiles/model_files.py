"""Reads model cards from TOML: the catalogue in `profiles/catalogue/`, and files of the user's own.

A file has `[[model]]` rows. Its `[defaults]` are part of every row, and a row that is `like` another
(of the same file or of one read before) starts from that one's values, but for what belongs to a name
alone.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from importlib.resources.abc import Traversable
from pathlib import Path

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.profiles.model_card import ModelCard
from fakeai_proxy.profiles.reading import shaped, shipped

Row = dict[str, object]
#: Values that a row does not get from the one that it is like.
_OF_ONE = frozenset(("id", "like", "snapshot", "deprecated_at", "retires_at", "parent"))
_CARD_KEYS = frozenset(ModelCard.model_fields) | {"like"}


def shipped_cards() -> list[ModelCard]:
    """Those of `profiles/catalogue/`. Raises ConfigError."""
    folder = shipped("profiles") / "catalogue"
    files = [entry for entry in folder.iterdir() if entry.name.endswith(".toml")]
    return cards_in(sorted(files, key=lambda entry: entry.name))


def cards_in(
    files: Iterable[Traversable | Path], known: Iterable[ModelCard] = ()
) -> list[ModelCard]:
    """The cards of the files, which may be like each other and like `known` ones. Raises
    ConfigError that names file, model and key."""
    rows: dict[str, Row] = {
        card.id: card.model_dump(mode="json", exclude_defaults=True) for card in known
    }
    cards: list[ModelCard] = []
    for file in files:
        for row in _rows(file):
            whole = _whole(file.name, row, rows)
            card = shaped(ModelCard, str(whole.get("id", "?")), whole, f"{file.name}: model")
            rows[card.id] = whole
            cards.append(card)
    return cards


def _rows(file: Traversable | Path) -> list[Row]:
    try:
        table = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"models {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"models {file}: {error}") from None
    defaults = table.pop("defaults", {})
    rows = table.pop("model", [])
    if table:
        raise ConfigError(
            f"models {file}: {next(iter(table))}: no such key; there are [defaults] and [[model]]."
        )
    tables = isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
    if not isinstance(defaults, dict) or not tables or not rows:
        raise ConfigError(f"models {file}: each model is a table of its own: [[model]].")
    for key in defaults:
        if key not in _CARD_KEYS:
            raise ConfigError(f"models {file}: defaults: {key}: no such key of a model.")
    return [{**defaults, **row, _GIVEN: row} for row in rows]


#: Under which a row carries what was written in it, as opposed to its file's defaults.
_GIVEN = "\0given"


def _whole(file: str, row: Row, rows: dict[str, Row]) -> Row:
    """The row with the values of the one that it is like, which go before the file's defaults."""
    given = row.pop(_GIVEN)
    assert isinstance(given, dict)
    name = row.pop("like", None)
    if name is None:
        return row
    if not isinstance(name, str) or name not in rows:
        raise ConfigError(
            f"{file}: model {row.get('id')}: like: there is no model '{name}' before."
        )
    base = {key: value for key, value in rows[name].items() if key not in _OF_ONE}
    return {**row, **base, **{key: value for key, value in given.items() if key != "like"}}

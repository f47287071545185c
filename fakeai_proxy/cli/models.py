"""`fakeai-proxy models`: the registry of models, with limits, abilities and prices."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import get_args

import click

from fakeai_proxy.cli.columns import Row, print_rows
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.profiles.model_card import Kind, ModelCard
from fakeai_proxy.services.catalogue import CatalogueSettings, every_card
from fakeai_proxy.services.models import capabilities

_HEADS: Row = (
    "NAME",
    "VENDOR",
    "KIND",
    "CONTEXT",
    "OUTPUT",
    "TAKES",
    "$/M IN",
    "$/M OUT",
    "READ UNTIL",
)
_own_files = click.option(
    "--models", "files", multiple=True, type=click.Path(path_type=Path), metavar="FILE.toml",
    help="With the models of this file, as the program serves them.",
)  # fmt: skip
_as_json = click.option("--json", "as_json", is_flag=True, help="JSON, for programs.")


@click.group()
def models() -> None:
    """What is served by name: limits, abilities and prices of each model."""


@models.command()
@click.option("--kind", type=click.Choice(get_args(Kind)), help="Only these.")
@click.option("--vendor", help="Only its models.")
@_own_files
@_as_json
def ls(kind: str | None, vendor: str | None, files: tuple[Path, ...], as_json: bool) -> int:
    """List the models. Prices are US dollars per million tokens."""
    cards = _cards(files)
    vendors = sorted({card.vendor for card in cards if card.vendor})
    if vendor is not None and vendor not in vendors:
        raise ConfigError(f"models ls: there is no vendor '{vendor}'. Known: {', '.join(vendors)}.")
    chosen = [card for card in cards if kind in (None, card.kind) and vendor in (None, card.vendor)]
    if as_json:
        click.echo(json.dumps([capabilities(card) for card in chosen], indent=2, default=str))
        return 0
    print_rows([_HEADS, *map(_row, chosen)])
    return 0


@models.command()
@click.argument("name")
@_own_files
@_as_json
def show(name: str, files: tuple[Path, ...], as_json: bool) -> int:
    """Print all that is known of NAME, as a start for a --models file of your own."""
    cards = {card.id: card for card in _cards(files)}
    card = cards.get(name)
    if card is None:
        near = difflib.get_close_matches(name, cards, 3, 0.4)
        hint = f" Near: {', '.join(near)}." if near else ""
        raise ConfigError(f"models show: there is no model '{name}'.{hint}")
    if as_json:
        click.echo(json.dumps(capabilities(card), indent=2, default=str))
        return 0
    click.echo("[[model]]")
    for line in _toml(card):
        click.echo(line)
    return 0


def _cards(files: tuple[Path, ...]) -> list[ModelCard]:
    return every_card(CatalogueSettings(models=files))


def _row(card: ModelCard) -> Row:
    price = card.price
    return (
        card.id,
        card.vendor,
        card.kind,
        f"{card.context_tokens:,}",
        f"{card.output_tokens_max:,}",
        "+".join(card.every_input),
        "" if price is None else _number(price.input),
        "" if price is None else _number(price.output),
        card.cut_off,
    )


def _number(value: Decimal) -> str:
    return f"{value.normalize():f}"


def _toml(card: ModelCard) -> Iterator[str]:
    """The lines of a [[model]] table that reads as this card."""
    for name, value in card.model_dump(exclude_defaults=True).items():
        yield from _assigned(name, value)


def _assigned(key: str, value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            plain = name.replace("_", "a").isalnum() and name.isascii()
            yield from _assigned(f"{key}.{name if plain else json.dumps(name)}", inner)
    else:
        yield f"{key} = {_spelled(value)}"


def _spelled(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, Iterable):
        ordered = sorted(value) if isinstance(value, frozenset) else list(value)
        return f"[{', '.join(map(_spelled, ordered))}]"
    return str(value)

"""`fakeai-proxy keys`: make, list and delete keys in the store, before anybody has one to ask with."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import click

from fakeai_proxy.cli.columns import print_rows
from fakeai_proxy.cli.options import load, with_settings
from fakeai_proxy.cli.outcome import Outcome, tells_outcome
from fakeai_proxy.clock import SystemClock
from fakeai_proxy.config import Config
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.exchange import PROJECT
from fakeai_proxy.services.keyring import (
    ADMIN_KEY,
    ORGANIZATION,
    PROJECT_KEY,
    PROJECT_KIND,
    dropped,
    project_key,
)
from fakeai_proxy.services.organization import audit, founding, key_rows
from fakeai_proxy.store import Insert, Key, Row, Store, open_store

_MOST = 1000

T = TypeVar("T")


@click.group()
def keys() -> None:
    """Keys that `--auth required` accepts: of administrators, and of projects.

    They lie in the store of --data (or --store), and stop within a second of their deletion.
    """


@with_settings
@keys.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.option("--admin", is_flag=True, help="A key that manages the organization.")
@click.option("--project", default=PROJECT, help="Name or id; made if there is none of the name.")
@click.option("--name", default="Made at the console", help="What the key is called in lists.")
@click.option("--expires-in", type=click.IntRange(1), metavar="SECONDS", help="Never without it.")
@click.pass_context
def create(
    ctx: click.Context, /, as_json: bool, admin: bool, project: str, name: str, expires_in: int | None,
    **_: object,
) -> int:  # fmt: skip
    """Make a key and print it. It is shown this once."""

    async def make(store: Store, now: float) -> int:
        await founding.found(store, now)
        owner = await store.get(Key(founding.USER, audit.OWNER_ID, ORGANIZATION))
        assert owner is not None, "an organization has its owner"
        key_id = f"key_{secrets.token_hex(12)}"
        if admin:
            made = key_rows.admin_key(key_id, name, owner.document, expires_in, now)
            where = None
        else:
            where = await _project(store, project, now)
            member = await _member(store, where, owner, now)
            made = key_rows.user_key(key_id, where.key, name, member, expires_in, now)
        told = _line("api_key.created", {"id": key_id, "data": {"scopes": []}}, where, now)
        await store.commit(*made.writes, told)
        click.echo(json.dumps({"id": key_id, "key": made.secret}) if as_json else made.secret)
        return 0

    return _in_store(load(ctx), make)


@with_settings
@keys.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON array, for programs.")
@click.pass_context
def ls(ctx: click.Context, /, as_json: bool, **_: object) -> int:
    """List the keys, without what they are."""

    async def show(store: Store, now: float) -> int:
        rows: list[tuple[str, ...]] = [("ID", "NAME", "KEY", "FOR", "MADE", "EXPIRES")]
        for kind in (ADMIN_KEY, PROJECT_KEY):
            page = await store.page(kind, None, limit=_MOST, ascending=True)
            rows += [_shown(row) for row in page.rows]
        if as_json:
            heads, *others = rows
            names = [head.lower() for head in heads]
            click.echo(json.dumps([dict(zip(names, row, strict=True)) for row in others], indent=2))
        else:
            print_rows(rows)
        return 0

    return _in_store(load(ctx), show)


@with_settings
@keys.command()
@click.argument("key_id", metavar="ID")
@click.pass_context
@tells_outcome
def delete(ctx: click.Context, /, key_id: str, **_: object) -> Outcome:
    """Delete the key with this ID, as `keys ls` shows it."""

    async def end(store: Store, now: float) -> Outcome:
        for kind in (ADMIN_KEY, PROJECT_KEY):
            page = await store.page(kind, None, limit=_MOST)
            for row in page.rows:
                if row.key.id == key_id:
                    told = _line("api_key.deleted", {"id": key_id}, None, now)
                    await store.commit(*dropped(row), told)
                    name = row.document["name"]
                    return Outcome(f"{key_id} ({name}) opens nothing any more.",
                                   {"id": key_id, "name": name, "deleted": True})  # fmt: skip
        raise ConfigError(f"keys delete: there is no key '{key_id}'. `keys ls` lists them.")

    return _in_store(load(ctx), end)


def _in_store(config: Config, work: Callable[[Store, float], Awaitable[T]]) -> T:
    """Raises ConfigError where nothing would be kept."""
    if config.state_dir is None and config.store_address is None:
        raise ConfigError("keys: say where they are kept, with --data DIR or --store.")
    return asyncio.run(_worked(config, work))


async def _worked(config: Config, work: Callable[[Store, float], Awaitable[T]]) -> T:
    clock = SystemClock()
    store = open_store(config.state_dir, clock, config.store_address)
    try:
        await store.open()
        return await work(store, clock.wall())
    finally:
        await store.close()


async def _project(store: Store, name: str, now: float) -> Row:
    """By its id or name; a new one of that name. Raises ConfigError."""
    row = await store.get(project_key(name))
    if row is None:
        page = await store.page(PROJECT_KIND, ORGANIZATION, limit=_MOST)
        row = next((one for one in page.rows if one.document["name"] == name), None)
    if row is not None:
        if row.document["status"] == "archived":
            raise ConfigError(f"project: '{name}' is archived.")
        return row
    key = project_key(f"proj_{secrets.token_hex(12)}")
    made = founding.project_row(key, name, now)
    told = _line(
        "project.created", {"id": key.id, "data": {"name": name, "title": name}}, None, now
    )
    await store.commit(Insert(made), *founding.project_roles(key, now), told)
    return made


async def _member(store: Store, project: Row, owner: Row, now: float) -> dict[str, object]:
    """The organization's owner as a member of the project."""
    key = project.key.child(founding.MEMBER, owner.key.id)
    row = await store.get(key)
    if row is None:
        row = founding.member_row(project.key, owner, "owner", now)
        await store.commit(Insert(row))
    return dict(row.document)


def _line(event: str, details: dict[str, object], project: Row | None, now: float) -> Insert:
    name = f"audit_log-{secrets.token_hex(12)}"
    of = None if project is None else project.document
    return audit.line(name, event, details, of, "", "", now)


def _shown(row: Row) -> tuple[str, ...]:
    document = row.document
    place = "the organization" if row.key.kind == ADMIN_KEY else row.key.parent.rpartition("/")[2]
    expires = document.get("expires_at")
    return (
        row.key.id, document["name"], document["redacted_value"], place, _day(row.created_at),
        "never" if expires is None else _day(expires),
    )  # fmt: skip


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"

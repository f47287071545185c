"""`recheck`: whether a provider still answers as it did when a cassette was recorded.

Credentials come from the environment, under the names that the vendors' SDKs have for them, and go
nowhere but to the API.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from fakeai_proxy.body import Body
from fakeai_proxy.cassette.against import Compared, against
from fakeai_proxy.cassette.entries import Entry
from fakeai_proxy.cassette.format import Interaction
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.shapes import CREDENTIAL_HEADERS
from fakeai_proxy.cassette.unasked import playable
from fakeai_proxy.cassette.verdict import dollars
from fakeai_proxy.cli.cassette.reading import loaded, opened, path_argument, progress
from fakeai_proxy.clock import SystemClock
from fakeai_proxy.config import Config
from fakeai_proxy.errors import ApiError, FakeAIError
from fakeai_proxy.exchange import Origin, Request
from fakeai_proxy.services.catalogue import Catalogue
from fakeai_proxy.sources.again import asked_again
from fakeai_proxy.sources.budget import Budget, price_list
from fakeai_proxy.sources.upstream import Upstream

#: Vendor -> where its SDK looks for the key; others are asked as OpenAI is.
_KEYS = {
    "anthropic": "ANTHROPIC_API_KEY",
    "azure": "AZURE_OPENAI_API_KEY",
    "google": "GEMINI_API_KEY",
    "nvidia": "NVIDIA_API_KEY",
}
_QUERY_KEY = re.compile(r"([?&](?:key|api_key|api-key)=)[^&]*")
_DETAILS_MAX = 6


@dataclass(slots=True)
class _Found:
    of: int
    compared: list[Compared] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    spent_usd: Decimal = Decimal(0)

    @property
    def drifts(self) -> bool:
        return any(one.drifts for one in self.compared)

    def as_json(self) -> dict[str, Any]:
        return {
            "recordings": self.of,
            "compared": len(self.compared),
            "drifting": sum(bool(one.drifts) for one in self.compared),
            "not_compared": dict(self.failed),
            "spent_usd": float(round(self.spent_usd, 6)),
            "data": [
                {
                    "recording": one.recording,
                    "request": one.request,
                    "ttft_ms": one.ttft_ms,
                    "total_ms": one.total_ms,
                    "changes": [{"kind": change.kind, "details": change.details}
                                for change in one.changes],
                }
                for one in self.compared
            ],
        }  # fmt: skip


@click.command()
@path_argument
@click.option("--sample", default="5%", show_default=True, metavar="N|N%",
              help="How many recordings are asked again: of each path at least one.")  # fmt: skip
@click.option("--budget", type=click.FloatRange(min=0), default=1.0, show_default=True,
              metavar="USD", help="Dollars after which no more are asked.")  # fmt: skip
@click.option("--upstream", metavar="URL", help="Ask this API, not the one that was recorded.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def recheck(path: Path, sample: str, budget: float, upstream: str | None, as_json: bool) -> None:
    """Ask some of the recordings of PATH again and tell what differs. Exit status 1 when statuses,
    fields, types or events do; that texts and times differ is told, and no failure.

    Keys are read from OPENAI_API_KEY, ANTHROPIC_API_KEY, AZURE_OPENAI_API_KEY, GEMINI_API_KEY and
    NVIDIA_API_KEY, and never stored.
    """
    library = opened(path)
    entries = _sampled(list(playable(library)), sample)
    try:
        config = Config.load(keywords={} if upstream is None else {"upstream": upstream})
        found = asyncio.run(_asked(library, entries, config, Decimal(str(budget))))
    except FakeAIError as error:
        raise click.ClickException(str(error)) from None
    finally:
        library.close()
    if as_json:
        click.echo(json.dumps(found.as_json(), ensure_ascii=False))
    else:
        _tell(found)
    if found.drifts:
        raise SystemExit(1)


def _sampled(entries: list[Entry], sample: str) -> list[Entry]:
    """At equal steps through the recordings of each route."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", sample)
    if match is None or not float(match[1]):
        raise click.BadParameter(
            "is a number such as 20, or a share such as 5%.", param_hint="--sample"
        )
    share = float(match[1]) / 100 if match[2] else float(match[1]) / max(len(entries), 1)
    routes: dict[int, list[Entry]] = {}
    for entry in entries:
        routes.setdefault(entry.label.route, []).append(entry)
    found = []
    for of_route in routes.values():
        count = min(len(of_route), max(1, math.ceil(share * len(of_route))))
        found += [of_route[place * len(of_route) // count] for place in range(count)]
    return found


async def _asked(
    library: Library, entries: list[Entry], config: Config, budget_usd: Decimal
) -> _Found:
    clock = SystemClock()
    live = Budget(
        Upstream(config, clock), budget_usd, price_list(partial(Catalogue.shipped, config))
    )
    found = _Found(len(library.index.entries))
    try:
        with progress("asking") as tell:
            for done, entry in enumerate(entries, 1):
                record = loaded(library, entry)
                try:
                    request, body = _request(record, config.upstream)
                    draft = await asked_again(live, request, body, clock, config.upstream)
                    compared = await asyncio.to_thread(against, library, record, draft)
                    found.compared.append(compared)
                except ApiError as error:
                    found.failed[error.message] += 1
                    if error.code == "live_budget_spent":
                        break
                except FakeAIError as error:
                    found.failed[str(error)] += 1
                tell(done, len(entries))
        await live.counted()
        found.spent_usd = live.spent_usd
        return found
    finally:
        await live.close()


def _request(record: Interaction, upstream: str | None) -> tuple[Request, bytes]:
    """The recorded one with the credential of this environment. Raises FakeAIError."""
    asked = record.request
    if not isinstance(asked.body, bytes):
        raise FakeAIError("the request is long")
    key = b""
    if record.auth:
        name = _KEYS.get(str(record.view.get("provider")), "OPENAI_API_KEY")
        key = os.environ.get(name, "").encode()
        if not key:
            raise click.ClickException(f"{record.id} was asked with a key: set {name}.")
    headers = []
    for name_sent, value in asked.headers:
        scheme = CREDENTIAL_HEADERS.get(name_sent.lower())
        if scheme is not None and key:
            match = scheme.match(value)
            value = (match[0] if match else b"") + key  # noqa: PLW2901 - the same header
        if name_sent.lower() != b"host":
            headers.append((name_sent, value))
    target = _QUERY_KEY.sub(lambda match: match[1] + key.decode(), asked.target)
    origin = None
    if upstream is None:
        parts = urlsplit(record.upstream)
        if not parts.hostname:
            raise click.ClickException(f"{record.id} does not say which API it is of: --upstream.")
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        origin = Origin(parts.scheme, parts.hostname, port)
    request = Request(asked.method, target, tuple(headers), Body(asked.body), origin)
    return request, asked.body


def _tell(found: _Found) -> None:
    for one in found.compared:
        for change in one.changes:
            click.echo(f"{change.kind:8} {one.recording}  {one.request}")
            for detail in change.details[:_DETAILS_MAX]:
                click.echo(f"         {detail}")
        times = [f"{name} {was:.0f} to {now:.0f} ms"
                 for name, (was, now) in (("ttft", one.ttft_ms), ("total", one.total_ms))
                 if was is not None and now is not None]  # fmt: skip
        click.echo(f"{'timing' if one.changes else 'same':8} {one.recording}  {', '.join(times)}")
    for why, count in found.failed.items():
        click.echo(f"not compared: {count} ({why})", err=True)
    drifting = sum(bool(one.drifts) for one in found.compared)
    click.echo(
        f"{len(found.compared)} of {found.of} recordings asked again for {dollars(found.spent_usd)}: "
        f"{drifting} drifting"
    )

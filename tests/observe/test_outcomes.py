"""What comes of each exchange in each mode, and what it would have cost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakeai_proxy.app import App
from fakeai_proxy.cassette.verdict import Tally, Verdict
from fakeai_proxy.profiles.price import LongPrice, Price
from fakeai_proxy.sources.budget import cost_usd
from tests.conftest import Serve, serving
from tests.doubles.upstream import FakeUpstream, json_reply

CHAT = "/v1/chat/completions"
#: At $2.50 and $10 a million: $0.00125 a call.
USAGE = {"prompt_tokens": 100, "completion_tokens": 100, "total_tokens": 200}
CALL_USD = 0.00125


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as made:
        made.on("POST", CHAT, json_reply({"model": "gpt-4o", "choices": [], "usage": USAGE}))
        yield made


async def ask(app: App, *questions: str) -> None:
    async with httpx.AsyncClient(base_url=app.url, trust_env=False) as client:
        for question in questions:
            said = {"model": "gpt-4o", "messages": [{"role": "user", "content": question}]}
            await client.post(CHAT, json=said, headers={"authorization": "Bearer k"})


async def told(app: App) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=app.url, trust_env=False) as client:
        page: dict[str, Any] = (await client.get("/_fakeai/v1/verdict")).json()
    return {name: count for name, count in page["counts"].items() if count} | {
        "saved": page["saved_usd"], "spent": page["spent_usd"]
    }  # fmt: skip


@pytest.fixture
async def cassette(tmp_path: Path, upstream: FakeUpstream) -> Path:
    path = tmp_path / "c.fcz"
    async with serving(mode="record", cassette=(path,), upstream=upstream.url) as app:
        await ask(app, "one", "two")
        assert await told(app) == {"NEW": 2, "saved": 0.0, "spent": 2 * CALL_USD}
    return path


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"mode": "replay"}, {"HIT": 2, "MISS": 1, "spent": 0.0}),
        ({"mode": "auto"}, {"HIT": 2, "NEW": 1, "spent": CALL_USD}),
        ({"mode": "auto", "max_live_usd": 0}, {"HIT": 2, "MISS": 1, "spent": 0.0}),
        ({"mode": "hybrid"}, {"HIT": 2, "MISS": 1, "spent": 0.0}),
        ({"mode": "hybrid", "on_miss": "pass"}, {"HIT": 2, "LIVE": 1, "spent": CALL_USD}),
        ({"mode": "replay", "on_miss": "record"}, {"HIT": 2, "NEW": 1, "spent": CALL_USD}),
        ({"mode": "auto", "on_miss": "synth"}, {"HIT": 2, "MISS": 1, "spent": 0.0}),
        ({"mode": "auto", "on_miss": "error"}, {"HIT": 2, "MISS": 1, "spent": 0.0}),
    ],
)
async def test_every_exchange_has_its_verdict(
    serve: Serve,
    upstream: FakeUpstream,
    cassette: Path,
    settings: dict[str, object],
    expected: dict[str, float],
) -> None:
    app = await serve(cassette=(cassette,), upstream=upstream.url, **settings)
    await ask(app, "one", "one", "three")
    assert await told(app) == {**expected, "UNUSED": 1, "saved": 2 * CALL_USD}
    await ask(app, "two")
    assert "UNUSED" not in await told(app)


async def test_a_reset_starts_the_verdict_over(serve: Serve, cassette: Path) -> None:
    app = await serve(mode="replay", cassette=(cassette,))
    await ask(app, "one", "three")
    async with httpx.AsyncClient(base_url=app.url, trust_env=False) as client:
        assert "verdict" in (await client.post("/_fakeai/v1/reset")).json()["reset"]
    assert await told(app) == {"UNUSED": 2, "saved": 0.0, "spent": 0.0}


async def test_a_key_in_a_path_is_not_told(serve: Serve, cassette: Path) -> None:
    app = await serve(mode="replay", cassette=(cassette,))
    secret = "sk-proj-" + "A1" * 20
    async with httpx.AsyncClient(base_url=app.url, trust_env=False) as client:
        await client.get(f"/keys/{secret}")
        assert secret not in (await client.get("/_fakeai/v1/verdict")).text


async def test_without_a_cassette_there_is_no_verdict(serve: Serve) -> None:
    app = await serve(mode="synth")
    async with httpx.AsyncClient(base_url=app.url, trust_env=False) as client:
        assert (await client.get("/_fakeai/v1/verdict")).status_code == 404


def test_long_prompts_cost_what_long_prompts_cost() -> None:
    long = LongPrice(above_tokens=1000, input=Decimal(20), output=Decimal(20))
    price = Price(input=Decimal(10), output=Decimal(10), long=long)
    tally = Tally()
    for _ in range(3):
        tally.save("m", 600, 0)
    tally.save("m", 2000, 0)
    assert cost_usd(tally, lambda _: price) == (3 * 600 * 10 + 2000 * 20) / Decimal(1_000_000)
    many = Tally()
    for prompt in range(20_000):
        many.save("m", prompt % 900, 1)
        many.save("other", prompt, 0)
    assert len(many.usages) <= 10_000
    plain = Price(input=Decimal(10), output=Decimal(10))
    expected = sum(prompt % 900 + 1 + prompt for prompt in range(20_000)) * Decimal(10) / 1_000_000
    assert cost_usd(many, lambda _: plain) == expected


def test_annotations_are_one_line_each() -> None:
    odd = Verdict("replay", ("c.fcz",), {"MISS": 1}, {("MISS", "GET /a%\n::error::b"): 1}, {},
                  Decimal(0), Decimal(0))  # fmt: skip
    lines = list(odd.annotations(("miss",)))
    assert [line.partition(" ")[0] for line in lines] == ["::error", "::notice"]
    assert all("\n" not in line for line in lines)
    assert "GET /a%25%0A::error::b" in lines[0]

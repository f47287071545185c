"""The rate limits through the control API."""

from __future__ import annotations

import pytest

from fakeai_proxy.app import App
from tests.conftest import Serve
from tests.observe.asking import ask, chat

LIMITS = "/_fakeai/v1/limits"


async def change(app: App, **body: object) -> dict[str, object]:
    got = await ask(app, LIMITS, "PUT", body)
    assert got.status == 200, got.data
    return dict(got.body)


async def test_it_shows_who_stands_how_and_no_key(serve: Serve) -> None:
    app = await serve(limits=("openai:free",))
    await chat(app)
    got = (await ask(app, LIMITS)).body
    assert (got["limits"], got["scale"], got["exhausted"]) == (["openai:free"], 1.0, [])
    requests = next(row for row in got["data"] if row["amount"] == "rpd")
    assert requests["reset_s"] == pytest.approx(432, abs=5)
    assert {k: requests[k] for k in ("owner", "scope", "model", "limit", "remaining")} == {
        "owner": "org-fakeai", "scope": "organization", "model": "gpt-4o-mini*",
        "limit": 200, "remaining": 199,
    }  # fmt: skip
    assert len((await ask(app, LIMITS + "?limit=1")).body["data"]) == 1


async def test_limits_change_while_it_runs(serve: Serve) -> None:
    app = await serve()
    assert (await ask(app, LIMITS)).body["limits"] == []
    assert (await change(app, limits=["openai:3", "anthropic"]))["limits"] == [
        "openai:3",
        "anthropic:1",
    ]
    assert (await chat(app)).headers["x-ratelimit-limit-requests"] == "5000"
    await change(app, scale=0.01)
    assert (await chat(app)).headers["x-ratelimit-limit-requests"] == "50"
    own = {"name": "mine", "description": "d", "source": "a test's own", "limit": [{"rpd": 1}]}
    assert (await change(app, own=own, scale=1))["limits"] == ["mine"]
    assert [(await chat(app)).status for _ in range(2)] == [200, 429]
    await ask(app, "/_fakeai/v1/reset", "POST")
    assert (await chat(app)).status == 200
    for nothing in ([], ["none"]):
        await change(app, limits=["openai:3"])
        assert (await change(app, limits=nothing))["data"] == []
        assert "x-ratelimit-limit-requests" not in (await chat(app)).headers


async def test_a_quota_is_exhausted_and_restored(serve: Serve) -> None:
    app = await serve()
    shown = await change(app, exhaust=["any", "other"])
    assert "any" not in str(shown["exhausted"])
    assert (await chat(app)).code == "insufficient_quota"
    await change(app, restore=["any"])
    assert (await chat(app)).status == 200
    await change(app, exhaust=["*"])
    assert (await chat(app)).status == 429


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"limits": ["nosuch"]}, "'anthropic', 'azure', 'openai', and 'none'"),
        ({"limits": ["openai:9"]}, "no tier '9'"),
        ({"limits": ["profiles/limits/openai.toml"]}, "Invalid value"),
        ({"scale": 0}, "greater than 0"),
        ({"own": {"name": "x", "description": "d", "limit": [{"rpm": 1}]}}, "'own.source'"),
        ({"scales": 1}, "Unknown parameter: 'scales'. There are limits, own, scale, "),
    ],
)
async def test_a_mistake_is_named_and_changes_nothing(
    serve: Serve, body: dict[str, object], said: str
) -> None:
    app = await serve(limits=("openai:2",))
    got = await ask(app, LIMITS, "PUT", body)
    assert got.status == 400
    assert said in got.message
    assert (await ask(app, LIMITS)).body["limits"] == ["openai:2"]

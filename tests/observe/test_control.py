"""The control API: who may use it, and what its own rows do."""

from __future__ import annotations

import pytest

from fakeai_proxy.body import Body
from fakeai_proxy.config import Config
from fakeai_proxy.errors import ApiError, ConfigError
from fakeai_proxy.exchange import Origin, Request
from fakeai_proxy.proxy.admin import Admin, AdminSettings
from tests.conftest import Serve
from tests.observe.asking import ask, chat

STATUS = "/_fakeai/v1/status"
#: Listening on all addresses is listening off loopback; the test still comes by loopback.
EVERYWHERE = "0.0.0.0:0"


async def test_on_loopback_it_is_open(serve: Serve) -> None:
    app = await serve(mode="synth", seed=7)
    await chat(app)
    got = await ask(app, STATUS)
    assert got.status == 200
    assert {name: got.body[name] for name in ("status", "mode", "profile", "seed", "exchanges")} == {
        "status": "ok", "mode": "synth", "profile": "none", "seed": 7, "exchanges": {"ok": 1}
    }  # fmt: skip
    assert got.headers["cache-control"] == "no-store"


async def test_off_loopback_it_is_closed_until_there_is_a_token(serve: Serve) -> None:
    app = await serve(listen=EVERYWHERE)
    got = await ask(app, STATUS)
    assert (got.status, got.code) == (403, "control_refused")
    assert "--admin-token" in got.message
    assert (await ask(app, "/_fakeai/health")).status == 200
    assert (await ask(app, "/_fakeai/v1/no-such-page")).status == 403


@pytest.mark.parametrize("listen", ["127.0.0.1:0", EVERYWHERE])
async def test_a_token_that_is_set_is_asked_for(serve: Serve, listen: str) -> None:
    app = await serve(listen=listen, admin_token="open sesame")
    for headers, code in (
        ({}, "admin_token_missing"),
        ({"authorization": "Bearer open"}, "admin_token_wrong"),
        ({"authorization": "Basic open sesame"}, "admin_token_missing"),
        ({"x-fakeai-token": ""}, "admin_token_missing"),
        ({"x-fakeai-token": "Open sesame"}, "admin_token_wrong"),
    ):
        got = await ask(app, STATUS, headers=headers)
        assert (got.status, got.code) == (401, code)
        assert "sesame" not in got.message
        assert got.headers["www-authenticate"].startswith("Bearer")
    for headers in ({"authorization": "bearer open sesame"}, {"x-fakeai-token": "open sesame"}):
        assert (await ask(app, STATUS, headers=headers)).status == 200


def test_an_empty_token_is_no_token_and_is_told_at_start() -> None:
    with pytest.raises(ConfigError, match="FAKEAI_PROXY_ADMIN_TOKEN"):
        Config.load(environ={"FAKEAI_PROXY_ADMIN_TOKEN": ""})


def test_a_client_from_elsewhere_needs_a_token_wherever_we_listen() -> None:
    admin = Admin(AdminSettings(), exposed=False)
    for client, admitted in (("127.0.0.1", True), ("127.9.9.9", True), ("::1", True),
                             ("192.0.2.7", False), ("fe80::1%eth0", False), ("", False)):  # fmt: skip
        request = Request("GET", STATUS, (), Body(b""), client=client)
        if admitted:
            admin.admit(request)
            continue
        with pytest.raises(ApiError) as caught:
            admin.admit(request)
        assert caught.value.status == 403


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "127.0.0.1", "127.0.0.1:9", "[::1]:8000", "a.localhost"]
)
async def test_names_of_this_machine_are_ours(serve: Serve, host: str) -> None:
    assert (await ask(await serve(), STATUS, headers={"host": host})).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example:8000", "localhost.evil.example", "192.0.2.1", "a b"]
)
async def test_a_name_that_was_rebound_to_us_is_refused(serve: Serve, host: str) -> None:
    app = await serve()
    got = await ask(app, STATUS, headers={"host": host})
    assert (got.status, got.code) == (403, "control_refused")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://localhost:1", "host": "localhost:1"}, 200),
        ({"origin": "http://localhost:1", "host": "localhost:1", "sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost:2", "host": "localhost:1"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
    ],
)  # fmt: skip
async def test_a_web_page_from_elsewhere_steers_nothing(
    serve: Serve, headers: dict[str, str], status: int
) -> None:
    app = await serve()
    await chat(app)
    got = await ask(app, "/_fakeai/v1/reset", "POST", headers=headers)
    assert got.status == status
    assert (await ask(app, STATUS)).body["exchanges"] == ({} if status == 200 else {"ok": 1})


async def test_behind_an_intercepted_host_there_is_no_control(serve: Serve) -> None:
    app = await serve()
    target = f"http://api.openai.com{STATUS}"
    got = await ask(app, target, headers={"host": "api.openai.com"})
    assert (got.status, got.code) == (403, "control_refused")


async def test_reset_clears_what_was_counted_and_noted(serve: Serve) -> None:
    app = await serve()
    await chat(app)
    assert (await ask(app, "/_fakeai/v1/journal")).body["finished_total"] == 1
    assert (await ask(app, "/_fakeai/v1/reset", "POST")).body == {
        "reset": ["status", "journal", "limits", "metrics", "live", "marks"]
    }
    assert (await ask(app, STATUS)).body["exchanges"] == {}
    page = (await ask(app, "/_fakeai/v1/journal")).body
    assert (page["data"], page["finished_total"]) == ([], 0)


async def test_the_document_describes_every_row(serve: Serve) -> None:
    app = await serve()
    document = (await ask(app, "/_fakeai/v1/openapi.json")).body
    described = {
        (method.upper(), path) for path, item in document["paths"].items() for method in item
    }
    assert described == {
        (route.method, route.path.replace(":path}", "}")) for route in app.pages.routes
    }
    journal = document["paths"]["/_fakeai/v1/journal"]["get"]
    limit = next(one for one in journal["parameters"] if one["name"] == "limit")
    assert limit["schema"] == {"type": "integer", "default": 100, "minimum": 1, "maximum": 1000}
    assert journal["security"] == [{"admin_token": []}, {}]
    assert "security" not in document["paths"]["/_fakeai/health"]["get"]
    one = document["paths"]["/_fakeai/v1/journal/{id}"]["get"]["parameters"]
    assert [(each["name"], each["in"]) for each in one] == [("id", "path")]


def test_an_origin_of_another_host_is_no_base_url() -> None:
    request = Request("GET", STATUS, (), Body(b""), Origin("https", "api.openai.com", 443), "::1")
    with pytest.raises(ApiError):
        Admin(AdminSettings(), exposed=False).admit(request)

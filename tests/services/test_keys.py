"""Keys that were made here: what they open, what they keep apart, and when they stop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import anthropic
import httpx
import openai
import pytest
from openai import AsyncOpenAI

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from tests.conftest import Serve

ADMIN = "an-admin-key-of-the-test"
HELLO: list[Any] = [{"role": "user", "content": "Hello"}]


def connected(app: App, key: str, **more: Any) -> AsyncOpenAI:
    return AsyncOpenAI(
        base_url=app.url + "/v1", api_key=key, admin_api_key=key, max_retries=0,
        _strict_response_validation=True, **more,
    )  # fmt: skip


class Robot(NamedTuple):
    project: str
    account: str
    key_id: str
    secret: str


async def robot(admin: AsyncOpenAI, name: str) -> Robot:
    """A service account in a project of its own."""
    projects = admin.admin.organization.projects
    project = await projects.create(name=name)
    account = await projects.service_accounts.create(project.id, name=name)
    assert account.api_key is not None
    return Robot(project.id, account.id, account.api_key.id, account.api_key.value)


@pytest.fixture
async def app(serve: Serve) -> App:
    return await serve(mode="synth", profile="none", auth="required", admin_key=ADMIN)


@pytest.fixture
async def admin(app: App) -> AsyncIterator[AsyncOpenAI]:
    async with connected(app, ADMIN) as made:
        yield made


async def chat(client: AsyncOpenAI) -> Any:
    return await client.chat.completions.create(model="gpt-4o", messages=HELLO)


async def test_only_keys_made_here_open_anything(app: App, admin: AsyncOpenAI) -> None:
    made = await robot(admin, "P")
    async with connected(app, made.secret) as client:
        assert (await chat(client)).choices
    for key in ("sk-test", made.secret + "x", made.secret[:-1], "sk-svcacct-" + "a" * 64):
        async with connected(app, key) as client:
            with pytest.raises(openai.AuthenticationError) as caught:
                await chat(client)
            assert caught.value.code == "invalid_api_key"
            assert len(key) <= 8 or key not in str(caught.value)
    async with httpx.AsyncClient(base_url=app.url) as http:
        answer = await http.get("/v1/models")
        assert answer.status_code == 401
        assert "keys create" in answer.json()["error"]["message"]


async def test_administrators_and_projects_have_keys_of_their_own(
    app: App, admin: AsyncOpenAI
) -> None:
    made = await robot(admin, "P")
    with pytest.raises(openai.PermissionDeniedError):
        await chat(admin)
    async with connected(app, made.secret) as client:
        with pytest.raises(openai.PermissionDeniedError):
            await client.admin.organization.projects.list()
        with pytest.raises(openai.PermissionDeniedError):
            await client.admin.organization.usage.completions(start_time=0)
    key = await admin.admin.organization.admin_api_keys.create(name="second")
    async with connected(app, key.value) as second:
        await second.admin.organization.projects.list()
        (shown,) = (await second.admin.organization.admin_api_keys.list()).data
        assert shown.last_used_at is not None
        await admin.admin.organization.admin_api_keys.delete(key.id)
        with pytest.raises(openai.AuthenticationError):
            await second.admin.organization.projects.list()


async def test_a_key_stops_when_it_is_deleted_or_its_project_archived(
    app: App, admin: AsyncOpenAI
) -> None:
    projects = admin.admin.organization.projects
    one, two = await robot(admin, "One"), await robot(admin, "Two")
    async with connected(app, one.secret) as first, connected(app, two.secret) as second:
        await chat(first)
        await chat(second)
        await projects.service_accounts.delete(one.account, project_id=one.project)
        await projects.archive(two.project)
        for client in (first, second):
            with pytest.raises(openai.AuthenticationError):
                await chat(client)


async def test_a_key_stops_when_it_expires(serve: Serve) -> None:
    clock = VirtualClock()
    app = await serve(clock, mode="synth", profile="none", auth="required", admin_key=ADMIN)
    async with connected(app, ADMIN) as admin:
        projects = admin.admin.organization.projects
        account = await projects.service_accounts.create(
            "proj_default", name="brief", expires_in_seconds=60
        )
        assert account.api_key is not None
        async with connected(app, account.api_key.value) as client:
            await chat(client)
            clock.advance(59.9)
            await chat(client)
            clock.advance(0.2)
            with pytest.raises(openai.AuthenticationError):
                await chat(client)


async def test_headers_that_name_another_project_are_refused(app: App, admin: AsyncOpenAI) -> None:
    one, two = await robot(admin, "One"), await robot(admin, "Two")
    async with connected(app, one.secret, project=one.project, organization="org-fakeai") as right:
        await chat(right)
    for wrong, code in (
        ({"project": two.project}, "mismatched_project"),
        ({"organization": "org-other"}, "mismatched_organization"),
    ):
        async with connected(app, one.secret, **wrong) as client:
            with pytest.raises(openai.AuthenticationError) as caught:
                await chat(client)
            assert caught.value.code == code


async def test_every_vendor_s_header_carries_a_key_and_its_own_refusal(
    app: App, admin: AsyncOpenAI
) -> None:
    made = await robot(admin, "P")
    claude = {"model": "claude-sonnet-4-5", "max_tokens": 8, "messages": HELLO}
    async with anthropic.AsyncAnthropic(base_url=app.url, api_key=made.secret) as client:
        assert (await client.messages.create(**claude)).content
    async with anthropic.AsyncAnthropic(
        base_url=app.url, api_key="sk-ant-other", max_retries=0
    ) as client:
        with pytest.raises(anthropic.AuthenticationError) as refused:
            await client.messages.create(**claude)
        assert refused.value.body == {
            "type": "error",
            "error": {"type": "authentication_error", "message": "invalid x-api-key"},
            "request_id": refused.value.request_id,
        }
    url = app.url + "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
    async with httpx.AsyncClient() as http:
        body = {"messages": HELLO}
        right = await http.post(url, headers={"api-key": made.secret}, json=body)
        wrong = await http.post(url, headers={"api-key": "another"}, json=body)
    assert (right.status_code, wrong.status_code) == (200, 401)
    assert wrong.json()["error"]["code"] == "401"


@pytest.mark.parametrize("auth", ["open", "required"])
async def test_projects_do_not_see_each_other_s_things(serve: Serve, auth: str) -> None:
    app = await serve(mode="synth", profile="none", auth=auth, admin_key=ADMIN)
    async with connected(app, ADMIN) as admin:
        one, two = await robot(admin, "One"), await robot(admin, "Two")
    async with connected(app, one.secret) as first, connected(app, two.secret) as second:
        file = await first.files.create(file=("a.txt", b"mine"), purpose="user_data")
        box = await first.containers.create(name="mine")
        assert (await first.files.content(file.id)).content == b"mine"
        assert [one.id async for one in second.files.list()] == []
        for attempt in (
            second.files.retrieve(file.id), second.files.content(file.id),
            second.files.delete(file.id), second.containers.retrieve(box.id),
            second.containers.files.create(box.id, file=("b", b"b")),
        ):  # fmt: skip
            with pytest.raises(openai.NotFoundError):
                await attempt
        assert (await first.files.retrieve(file.id)).id == file.id


async def test_usage_belongs_to_key_account_and_project(app: App, admin: AsyncOpenAI) -> None:
    one, two = await robot(admin, "One"), await robot(admin, "Two")
    async with connected(app, one.secret) as first, connected(app, two.secret) as second:
        await chat(first)
        await chat(first)
        await chat(second)
    usage = await admin.admin.organization.usage.completions(
        start_time=int(app.clock.wall()) - 60, group_by=["project_id", "user_id", "api_key_id"]
    )
    found = {
        (row.project_id, row.user_id, row.api_key_id): row.num_model_requests
        for bucket in usage.data
        for row in bucket.results
        if row.object == "organization.usage.completions.result"
    }
    assert found == {
        (one.project, one.account, one.key_id): 2, (two.project, two.account, two.key_id): 1,
    }  # fmt: skip


async def test_a_browser_s_secret_is_good_for_its_owner(app: App, admin: AsyncOpenAI) -> None:
    made = await robot(admin, "P")
    async with connected(app, made.secret) as client:
        secret = await client.realtime.client_secrets.create(
            session={"type": "realtime", "model": "gpt-realtime"}
        )
    async with connected(app, secret.value) as page, page.realtime.connect() as link:
        event = await link.recv()
        assert event.type == "session.created"
    async with connected(app, "ek_never_made") as page:
        with pytest.raises(Exception, match="401"):
            async with page.realtime.connect():
                pass


@pytest.mark.parametrize("limits", ["none", "openai:5"])
async def test_a_rate_limit_of_a_project_acts_on_it_alone(serve: Serve, limits: str) -> None:
    app = await serve(
        VirtualClock(), mode="synth", profile="none", auth="required", admin_key=ADMIN,
        limits=(limits,),
    )  # fmt: skip
    async with connected(app, ADMIN) as admin:
        one, two = await robot(admin, "One"), await robot(admin, "Two")
        rates = admin.admin.organization.projects.rate_limits
        before = [item async for item in rates.list_rate_limits(one.project)]
        limit = next(item for item in before if item.model == "gpt-4o")
        assert limit.max_requests_per_1_minute > 1
        changed = await rates.update_rate_limit(
            limit.id, project_id=one.project, max_requests_per_1_minute=2
        )
        assert (changed.id, changed.max_requests_per_1_minute) == (limit.id, 2)
        assert changed.max_tokens_per_1_minute == limit.max_tokens_per_1_minute
    async with connected(app, one.secret) as first, connected(app, two.secret) as second:
        await chat(first)
        await chat(first)
        with pytest.raises(openai.RateLimitError):
            await chat(first)
        for _ in range(3):
            await chat(second)
        await first.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
    async with connected(app, ADMIN) as admin:
        rates = admin.admin.organization.projects.rate_limits
        await rates.update_rate_limit(
            limit.id, project_id=one.project, max_requests_per_1_minute=50
        )
    async with connected(app, one.secret) as first:
        for _ in range(3):
            await chat(first)


async def test_limits_have_pages_both_ways(admin: AsyncOpenAI) -> None:
    rates = admin.admin.organization.projects.rate_limits
    every = [item.id async for item in rates.list_rate_limits("proj_default")]
    assert len(every) == len(set(every)) > 20
    paged = [item.id async for item in rates.list_rate_limits("proj_default", limit=7)]
    assert paged == every
    back = await rates.list_rate_limits("proj_default", limit=3, before=every[10])
    assert [item.id for item in back.data] == every[7:10]
    with pytest.raises(openai.NotFoundError):
        await rates.list_rate_limits("proj_default", after="rl_none")
    for wrong in ("rl_none", "gpt-4o"):
        with pytest.raises(openai.NotFoundError):
            await rates.update_rate_limit(
                wrong, project_id="proj_default", max_requests_per_1_minute=1
            )
    with pytest.raises(openai.BadRequestError):
        await rates.update_rate_limit(
            "rl_gpt-4o", project_id="proj_default", max_audio_megabytes_per_1_minute=1
        )

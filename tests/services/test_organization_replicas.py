"""An organization that several servers share: its keys, its limits and its accounts are one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from tests.conftest import serving
from tests.store.conftest import tables

ADMIN = "an-admin-key-of-the-test"
Pair = tuple[App, App]


@pytest.fixture(params=["sqlite", "postgresql", "postgresql and a folder"])
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        kept: Any = {"data": str(tmp_path)} if request.param != "postgresql" else {}
        kept["store"] = "sqlite"
        if request.param != "sqlite":
            kept["store"] = await stack.enter_async_context(tables())
        clock = VirtualClock()
        settings: Any = {"mode": "synth", "profile": "none", "admin_key": ADMIN, **kept}
        one = await stack.enter_async_context(serving(clock, **settings, auth="required"))
        other = await stack.enter_async_context(serving(clock, **settings, auth="required"))
        yield one, other


def client_of(app: App, key: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=app.url + "/v1", api_key=key, admin_api_key=key, max_retries=0)


async def chat(client: AsyncOpenAI) -> int:
    answer = await client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "Hello"}]
    )
    assert answer.usage is not None
    return answer.usage.total_tokens


async def test_keys_and_accounts_are_the_same_everywhere(pair: Pair) -> None:
    async with AsyncExitStack() as stack:
        admins = [await stack.enter_async_context(client_of(app, ADMIN)) for app in pair]
        projects = admins[0].admin.organization.projects
        project = await projects.create(name="Shared")
        account = await projects.service_accounts.create(project.id, name="robot")
        assert account.api_key is not None
        robots = [
            await stack.enter_async_context(client_of(app, account.api_key.value)) for app in pair
        ]
        tokens = [await chat(robots[k % 2]) for k in range(9)]
        for app, admin in zip(pair, admins, strict=True):
            page = await admin.admin.organization.usage.completions(
                start_time=int(app.clock.wall()) - 3600, group_by=["project_id"]
            )
            (result,) = [result for bucket in page.data for result in bucket.results]
            assert result.object == "organization.usage.completions.result"
            assert result.project_id == project.id
            assert result.num_model_requests == 9
            assert result.input_tokens + result.output_tokens == sum(tokens)
        (key,) = (await admins[1].admin.organization.projects.api_keys.list(project.id)).data
        assert key.last_used_at is not None
        await admins[1].admin.organization.projects.service_accounts.delete(
            account.id, project_id=project.id
        )
        with pytest.raises(openai.AuthenticationError):
            await robots[1].models.list()
        clock = pair[0].clock
        assert isinstance(clock, VirtualClock)
        clock.advance(1)  # what the other one knows is forgotten
        with pytest.raises(openai.AuthenticationError):
            await robots[0].models.list()

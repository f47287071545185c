"""The clock of the control API: a virtual one that tests move, and the real one that nobody does."""

from __future__ import annotations

import json

import httpx
import pytest

from fakeai_proxy.clock import clock_of
from fakeai_proxy.config import Config
from fakeai_proxy.errors import ConfigError
from tests.conftest import Serve
from tests.observe.asking import ask, chat

CLOCK = "/_fakeai/v1/clock"
LIMITS = {
    "name": "few", "description": "One a minute", "source": "A test's own invention",
    "limit": [{"model": "*", "rpm": 1}],
}  # fmt: skip


async def test_the_real_clock_cannot_be_advanced(serve: Serve) -> None:
    app = await serve(mode="synth")
    assert (await ask(app, CLOCK)).body["clock"] == "real"
    refused = await ask(app, f"{CLOCK}/advance", "POST", {"seconds": 1})
    assert (refused.status, refused.code) == (409, "clock_is_real")


async def test_a_limit_refills_when_the_virtual_clock_is_advanced(serve: Serve) -> None:
    app = await serve(clock_of("virtual"), mode="synth")
    await ask(app, "/_fakeai/v1/limits", "PUT", {"own": LIMITS})
    assert [(await chat(app)).status for _ in range(2)] == [200, 429]
    before = (await ask(app, CLOCK)).body
    after = (await ask(app, f"{CLOCK}/advance", "POST", {"seconds": 61})).body
    assert after["now_s"] - before["now_s"] == pytest.approx(61)
    assert (await chat(app)).status == 200


async def test_answers_take_simulated_time_and_none_of_ours(serve: Serve) -> None:
    app = await serve(clock_of("virtual"), mode="synth", profile="openai", speed=1e-4)
    began = (await ask(app, CLOCK)).body["now_s"]
    assert (await chat(app, stream=True)).status == 200
    ended = (await ask(app, CLOCK)).body["now_s"]
    assert ended - began > 3600
    assert (await ask(app, CLOCK)).body["now_s"] == ended  # and then it stands


async def test_what_is_due_tomorrow_happens_when_tomorrow_comes(serve: Serve) -> None:
    app = await serve(clock_of("virtual"), mode="synth")
    line = {
        "custom_id": "a", "method": "POST", "url": "/v1/chat/completions",
        "body": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]},
    }  # fmt: skip
    headers = {"authorization": "Bearer sk-test"}
    async with httpx.AsyncClient(base_url=f"{app.url}/v1", headers=headers) as client:
        made = await client.post(
            "/files",
            files={"file": ("batch.jsonl", json.dumps(line).encode())},
            data={"purpose": "batch", "expires_after[anchor]": "created_at",
                  "expires_after[seconds]": "86400"},
        )  # fmt: skip
        file = made.json()
        batch = {
            "input_file_id": file["id"], "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
        }  # fmt: skip
        batch = (await client.post("/batches", json=batch)).json()
        for _ in range(20):
            await ask(app, f"{CLOCK}/advance", "POST", {"seconds": 600})
            batch = (await client.get(f"/batches/{batch['id']}")).json()
            if batch["status"] == "completed":
                break
        assert batch["request_counts"] == {"total": 1, "completed": 1, "failed": 0}
        assert (await client.get(f"/files/{file['id']}")).status_code == 200
        await ask(app, f"{CLOCK}/advance", "POST", {"seconds": 86_400})
        assert (await client.get(f"/files/{file['id']}")).status_code == 404


@pytest.mark.parametrize(
    "flags",
    [{"mode": "pass", "upstream": "http://127.0.0.1:1"}, {"workers": 2}, {"mode": "auto"}],
)
def test_a_virtual_clock_is_for_one_process_that_asks_nobody(flags: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="--clock"):
        Config.load(flags={"clock": "virtual", **flags})

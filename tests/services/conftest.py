"""A synthesizing app and clients for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest
from openai import AsyncOpenAI

from fakeai_proxy.app import App
from tests.conftest import Serve
from tests.services.threaded import threaded_app


@pytest.fixture
async def app(serve: Serve) -> App:
    return await serve(mode="synth", model=("gpt-5-mini",))


@pytest.fixture
async def client(app: App) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(
        base_url=app.url + "/v1", api_key="sk-test", max_retries=0, _strict_response_validation=True
    ) as made:
        yield made


Ask = Callable[[bytes], httpx.Response]


def _asking(path: str) -> Iterator[Ask]:
    headers = {"authorization": "Bearer sk-test", "content-type": "application/json"}
    with threaded_app() as url, httpx.Client(timeout=30) as http:
        yield lambda body: http.post(url + path, content=body, headers=headers)


@pytest.fixture(scope="module")
def ask_raw() -> Iterator[Ask]:
    """Posts bytes to the chat room of a server on a thread of its own."""
    yield from _asking("/v1/chat/completions")


@pytest.fixture(scope="module")
def respond_raw() -> Iterator[Ask]:
    """Posts bytes to the Responses room of a server on a thread of its own."""
    yield from _asking("/v1/responses")


@pytest.fixture(scope="module")
def app_url() -> Iterator[str]:
    """A server on a thread of its own, for clients that block."""
    with threaded_app() as url:
        yield url

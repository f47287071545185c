"""Clients of all kinds, by their base URLs and through the proxy; tests of all kinds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import DATA
from tests.doubles.internet import Internet, LoopThread
from tests.doubles.upstream import json_reply
from tests.plugin.conftest import KEY, Project, Upstream

CLAUDE = json_reply(
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": "Salut"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
)
ASK_CLAUDE = """
import anthropic

def ask_claude():
    with anthropic.Anthropic(max_retries=0) as sdk:
        asked = [{"role": "user", "content": "Hello"}]
        told = sdk.messages.create(model="claude-sonnet-4-5", max_tokens=9, messages=asked)
    return told.content[0].text
"""


def test_two_vendors_are_asked_by_their_base_urls(
    project: Project, upstream: Upstream, second: Upstream
) -> None:
    upstream.answers("one")
    second.answers(CLAUDE, path="/v1/messages")
    project.live(upstream)
    project.monkeypatch.setenv("ANTHROPIC_BASE_URL", second.url)
    project.monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-REDACTED")
    project.tests(
        ASK_CLAUDE,
        "@pytest.mark.cassette",
        "def test_it(fakeai):",
        "    assert ask() == 'one'",
        "    assert ask_claude() == 'Salut'",
        "    assert fakeai.calls.to('/v1/messages').assert_called_once().answer == 'Salut'",
    )
    project.passes("--fakeai-record=once")
    assert (upstream.asked, second.asked) == (1, 1)
    assert [record["upstream"] for record in project.records()] == [upstream.url, second.url]
    project.offline()
    project.monkeypatch.delenv("ANTHROPIC_BASE_URL")
    project.monkeypatch.delenv("ANTHROPIC_API_KEY")
    project.passes("--fakeai-strict")


@pytest.fixture
def second(thread: LoopThread) -> Iterator[Upstream]:
    from tests.doubles.upstream import FakeUpstream

    double = FakeUpstream()
    thread.run(double.__aenter__())
    yield Upstream(thread, double)
    thread.run(double.__aexit__())


def test_clients_go_through_the_proxy_with_its_certificates(
    project: Project, upstream: Upstream, thread: LoopThread, tmp_path: Path
) -> None:
    """Real host names, real TLS on both sides, one cassette."""
    upstream.answers("one")
    upstream.answers(CLAUDE, path="/v1/messages")
    internet = Internet(thread, tmp_path, ["api.openai.com", "api.anthropic.com"])
    for host in ("api.openai.com", "api.anthropic.com"):
        internet.route(host, upstream.url)
    way_out = f"upstream_proxy={internet.proxy_url!r}, upstream_ca={str(internet.ca)!r}"
    project.monkeypatch.setenv("OPENAI_API_KEY", KEY)
    project.monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    project.tests(
        ASK_CLAUDE,
        "import requests",
        f"@pytest.mark.cassette(proxy=True, data={DATA.name!r}, {way_out})",
        "def test_it(fakeai):",
        "    assert ask() == 'one'",
        "    assert ask_claude() == 'Salut'",
        "    asked = {'model': 'm', 'messages': []}",
        "    url = 'https://api.openai.com/v1/chat/completions'",
        "    assert requests.post(url, json=asked).json()['model'] == 'gpt-4o'",
        "    assert httpx.post(url, json={**asked, 'n': 1}).json()['model'] == 'gpt-4o'",
        "    fakeai.calls.assert_called_times(3, host='api.openai.com')",
        "    fakeai.calls.assert_called_once(host='api.anthropic.com')",
    )
    project.passes("--fakeai-record=once", apart=True)
    assert len(internet.visits) >= 2
    asked = upstream.asked
    internet.close()
    project.offline()
    project.monkeypatch.delenv("ANTHROPIC_API_KEY")
    project.passes("--fakeai-strict", apart=True)
    assert upstream.asked == asked == 4


def test_asynchronous_tests_ask_side_by_side(project: Project, upstream: Upstream) -> None:
    upstream.answers("one")
    project.live(upstream)
    project.tests(
        "import asyncio",
        "@pytest.fixture",
        "async def sdk():",
        "    async with openai.AsyncOpenAI(max_retries=0) as sdk: yield sdk",
        "@pytest.mark.cassette",
        "async def test_it(sdk, fakeai):",
        "    async def ask(text):",
        "        asked = [{'role': 'user', 'content': text}]",
        "        return await sdk.chat.completions.create(model='gpt-4o', messages=asked)",
        "    await asyncio.gather(*(ask(str(n)) for n in range(8)))",
        "    assert sorted(call.prompt for call in fakeai.calls) == list('01234567')",
        "@pytest.mark.anyio",
        "@pytest.mark.cassette",
        "async def test_with_anyio():",
        "    async with openai.AsyncOpenAI(max_retries=0) as sdk:",
        "        assert (await sdk.models.retrieve('gpt-4o')).id == 'gpt-4o'",
    )
    upstream.double.on("GET", "/v1/models/gpt-4o", json_reply({"id": "gpt-4o"}))
    project.passes("--fakeai-record=once")
    project.passes("--fakeai-strict")
    assert upstream.asked == 9


def test_processes_of_xdist_have_servers_of_their_own(project: Project, upstream: Upstream) -> None:
    upstream.answers("one")
    project.live(upstream)
    project.tests(
        "@pytest.mark.cassette",
        "@pytest.mark.parametrize('n', range(6))",
        "def test_it(n): assert ask(str(n)) == 'one'",
        "@pytest.mark.cassette('shared')",
        "def test_shared(): assert ask('shared') == 'one'",
    )
    said = project.passes("-n2", "--fakeai-record=once", apart=True)
    assert "0 HIT, 7 NEW, 0 STALE, 0 MISS, 0 UNUSED (7 cassettes)" in said
    assert len(project.cassettes()) == 7
    project.offline()
    said = project.passes("-n2", "--fakeai-strict", apart=True)
    assert "7 HIT, 0 NEW, 0 STALE, 0 MISS, 0 UNUSED (7 cassettes)" in said
    assert upstream.asked == 7


def test_processes_of_xdist_record_into_one_cassette_together(
    project: Project, upstream: Upstream
) -> None:
    upstream.answers("one")
    project.live(upstream)
    os.mkfifo(project.path / "meet")
    project.tests(
        "import os",
        "@pytest.mark.cassette('shared')",
        "def test_it():",
        "    me = os.environ['PYTEST_XDIST_WORKER']",
        # Opening a pipe waits for its other end: both are recording by then.
        "    os.close(os.open('meet', os.O_WRONLY if me == 'gw0' else os.O_RDONLY))",
        "    assert ask('what both ask') == ask(me) == 'one'",
    )
    for record in ("once", "all"):
        said = project.passes("-n2", "--dist=each", f"--fakeai-record={record}", apart=True)
        assert "0 MISS, 0 UNUSED (1 cassette)" in said
        assert len(project.records("cassettes/test_it/shared.jsonl")) == 3
    project.offline()
    said = project.passes("-n2", "--dist=each", "--fakeai-strict", apart=True)
    assert "4 HIT, 0 NEW, 0 STALE, 0 MISS, 0 UNUSED (1 cassette)" in said


def test_what_tests_record_together_is_not_told_to_be_unused(
    project: Project, upstream: Upstream
) -> None:
    upstream.answers("one")
    project.live(upstream)
    project.tests(
        "@pytest.mark.cassette('shared')",
        "@pytest.mark.parametrize('n', range(3))",
        "def test_it(n): assert ask(str(n)) == 'one'",
    )
    said = project.passes("--fakeai-record=once")
    assert "0 HIT, 3 NEW, 0 STALE, 0 MISS, 0 UNUSED (1 cassette)" in said


def test_a_client_of_the_module_outlives_its_test(project: Project, upstream: Upstream) -> None:
    upstream.answers("one")
    project.live(upstream)
    project.tests(
        "@pytest.fixture(scope='module')",
        "def sdk():",
        "    with openai.OpenAI() as sdk: yield sdk",
        "pytestmark = pytest.mark.cassette",
        "@pytest.mark.parametrize('n', range(4))",
        "def test_it(sdk, n):",
        "    asked = [{'role': 'user', 'content': str(n)}]",
        "    assert sdk.chat.completions.create(model='gpt-4o', messages=asked)",
    )
    project.passes("--fakeai-record=once")
    project.passes("--fakeai-strict")
    assert upstream.asked == 4


def test_classes_and_unittest_have_cassettes_too(project: Project, upstream: Upstream) -> None:
    upstream.answers("one")
    project.live(upstream)
    project.tests(
        "import unittest",
        "@pytest.mark.cassette",
        "class TestGroup:",
        "    def test_a(self): assert ask() == 'one'",
        "@pytest.mark.cassette(repeat='error')",
        "class TestOld(unittest.TestCase):",
        "    def test_b(self): assert ask() == 'one'",
    )
    project.passes("--fakeai-record=once")
    assert list(project.cassettes()) == [
        "cassettes/test_it/TestGroup.test_a.jsonl",
        "cassettes/test_it/TestOld.test_b.jsonl",
    ]
    project.passes("--fakeai-strict")


def test_the_nearest_mark_wins(project: Project, upstream: Upstream) -> None:
    upstream.answers("one")
    project.live(upstream)
    project.tests(
        "pytestmark = pytest.mark.cassette(match='agent', repeat='error')",
        "@pytest.mark.cassette(repeat='loop')",
        "def test_it(fakeai):",
        "    assert (fakeai.config.match, fakeai.config.repeat) == ('agent', 'loop')",
        "def test_plain(fakeai):",
        "    assert (fakeai.config.match, fakeai.config.repeat) == ('agent', 'error')",
    )
    project.passes()


def test_the_fixture_alone_is_as_good_as_the_mark(project: Project, upstream: Upstream) -> None:
    upstream.answers("one")
    project.live(upstream)
    project.tests(
        "def test_it(fakeai):",
        "    with openai.OpenAI(base_url=fakeai.base_url, api_key='x') as sdk:",
        "        asked = [{'role': 'user', 'content': 'Hello'}]",
        "        assert sdk.chat.completions.create(model='gpt-4o', messages=asked)",
        "    fakeai.reset()",
        "    fakeai.calls.assert_not_called()",
    )
    project.passes("--fakeai-record=once")
    project.passes()


def test_keys_are_given_only_where_there_are_none(project: Project, upstream: Upstream) -> None:
    project.monkeypatch.setenv("ANTHROPIC_API_KEY", "mine")
    project.tests(
        "import os",
        "@pytest.mark.cassette",
        "def test_it(fakeai):",
        "    assert os.environ['OPENAI_API_KEY']",
        "    assert os.environ['ANTHROPIC_API_KEY'] == 'mine'",
        "    assert os.environ['OPENAI_BASE_URL'] == fakeai.base_url",
        "    assert os.environ['AZURE_OPENAI_ENDPOINT'] == fakeai.url",
        "    assert os.environ['ANTHROPIC_BASE_URL'] == fakeai.url",
    )
    project.passes()
    project.tests(
        "import os",
        "@pytest.mark.cassette",
        "def test_it(): assert 'OPENAI_API_KEY' not in os.environ",
    )
    project.passes("--fakeai-record=once")

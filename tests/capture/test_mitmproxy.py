"""mitmproxy with our addon: both ways to a cassette make the same one, and replay the other's."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import websockets
from click.testing import CliRunner

from fakeai_proxy.cassette.importing import bring_in
from fakeai_proxy.cli.main import root
from tests.cassette.made import cassette_of, held
from tests.clients.conftest import OPENAI, curl, internet, loop_thread, run_client
from tests.conftest import DATA, serving
from tests.doubles.internet import Internet
from tests.doubles.mitmdump import Mitmdump, mitmdump
from tests.doubles.program import bare_environment
from tests.doubles.upstream import CUT, HANG, Answer, FakeUpstream, json_reply, sse_reply

__all__ = ["curl", "internet", "loop_thread"]

CHAT = "/v1/chat/completions"
EVENTS = [b'data: {"delta":"%d"}\n\n' % number for number in range(4)]
#: Who asks the proxy, and so whose session it is.
USER, CREDENTIALS = "me", "Proxy-Authorization: Basic bWU6c2VjcmV0\r\n"
#: More than the five that mitmproxy allows by itself.
STREAMS = 8
#: To the byte, without waiting, and what was broken off too.
AS_RECORDED = {"timing": "none", "explain_hits": False, "replay_interrupted": True}
#: A first start installs mitmproxy.
pytestmark = pytest.mark.timeout(600)


class Line:
    """A client's connection through CONNECT and TLS, to the byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def ask(self, path: str, question: str) -> None:
        body = json.dumps({"model": "gpt-4o", "q": question}).encode()
        self.writer.write(
            f"POST {path} HTTP/1.1\r\nHost: {OPENAI}\r\nX-Odd-Case: kept\r\n"
            f"Authorization: Bearer sk-test-wire-0123456789abcdef\r\nContent-Length: {len(body)}\r\n"
            "Content-Type: application/json\r\nConnection: close\r\n\r\n".encode()
            + body
        )

    async def rest(self) -> bytes:
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""


@asynccontextmanager
async def line(proxy: str, ca: Path) -> AsyncIterator[Line]:
    port = int(proxy.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(
            f"CONNECT {OPENAI}:443 HTTP/1.1\r\nHost: {OPENAI}:443\r\n{CREDENTIALS}\r\n".encode()
        )
        agreed = await reader.readuntil(b"\r\n\r\n")
        assert agreed.startswith(b"HTTP/1.1 200"), agreed
        await writer.start_tls(ssl.create_default_context(cafile=ca), server_hostname=OPENAI)
        yield Line(reader, writer)
    finally:
        writer.close()


async def asked(proxy: str, ca: Path, question: str) -> bytes:
    async with line(proxy, ca) as one:
        one.ask(CHAT, question)
        return await one.rest()


def upstream_of(gates: list[asyncio.Event]) -> tuple[Answer, ...]:
    """Whole, streamed, refused, broken off, and never ended; a gate opens before each later event."""
    gated = [step for gate, event in zip(gates, EVENTS[1:], strict=True) for step in (gate, event)]
    return (
        json_reply({"id": "chatcmpl-1", "n": 1.0, "ü": "\u2028"}),
        sse_reply([EVENTS[0], *gated]),
        json_reply({"error": {"message": "slow down"}}, 429, {"Retry-After": "3"}),
        sse_reply([EVENTS[0], CUT]),
        sse_reply([EVENTS[0], HANG]),
    )


async def play_script(
    proxy: str, ca: Path, upstream: FakeUpstream, gates: list[asyncio.Event]
) -> list[bytes]:
    """The five answers as the client saw them."""
    seen = [await asked(proxy, ca, "whole")]
    async with line(proxy, ca) as one:
        one.ask(CHAT, "streamed")
        told = b""
        for event, gate in zip(EVENTS, [*gates, None], strict=True):
            told += await one.reader.readuntil(event)  # the next has not left the upstream yet
            if gate is not None:
                gate.set()
        seen.append(told + await one.rest())
    seen += [await asked(proxy, ca, "refused"), await asked(proxy, ca, "broken off")]
    async with line(proxy, ca) as one:
        one.ask(CHAT, "left alone")
        seen.append(await one.reader.readuntil(EVENTS[0]))
    await (await upstream.request(4)).gone.wait()
    return seen


async def recorded(
    through: Callable[[FakeUpstream], AsyncIterator[tuple[str, Path]]], internet: Internet
) -> list[bytes]:
    async with FakeUpstream() as upstream:
        gates = [asyncio.Event() for _ in EVENTS[1:]]
        upstream.on("POST", CHAT, *upstream_of(gates))
        internet.route(OPENAI, upstream.url)
        async with asynccontextmanager(through)(upstream) as (proxy, ca):
            return await play_script(proxy, ca, upstream, gates)


def ways_out(internet: Internet) -> dict[str, object]:
    return {"upstream_proxy": internet.proxy_url, "upstream_ca": str(internet.ca)}


def comparable(cassette: Path) -> list[tuple[object, ...]]:
    """Everything but ids and instants."""
    return [
        (
            one.request.method, one.request.target, one.request.headers, asked_for, one.upstream,
            one.raw_key, one.key, one.simhash, one.session, one.seq, one.auth, one.end,
            one.response and (one.response.status, one.response.reason, one.response.headers),
            one.response and one.response.cuts, answered,
        )
        for one, asked_for, answered in held(cassette)
        if one.request.target == CHAT
    ]  # fmt: skip


async def test_a_recording_through_mitmproxy_is_the_one_that_our_own_proxy_makes(
    internet: Internet, curl: Path, tmp_path: Path
) -> None:
    """Live all the while: each event is read before the upstream may send the next."""
    ours, theirs, flows = (tmp_path / name for name in ("ours.fcz", "theirs.fcz", "flows"))
    for cassette in (ours, theirs):
        cassette_of(cassette, ())  # one salt, so that keys and redacted secrets can be compared
    settings = {"mode": "record", **ways_out(internet)}

    async def through_us(_: FakeUpstream) -> AsyncIterator[tuple[str, Path]]:
        async with serving(cassette=(str(ours),), **settings) as app:
            yield app.url, Path(DATA.name) / "ca" / "root.pem"

    async def through_mitmproxy(upstream: FakeUpstream) -> AsyncIterator[tuple[str, Path]]:
        with mitmdump(tmp_path, "-w", str(flows), cassette=theirs, **settings) as proxy:
            yield proxy.url, proxy.ca
            await many_streams_come_at_once(proxy, curl, upstream)
            await other_hosts_are_left_alone(proxy)

    seen = await recorded(through_us, internet)
    assert await recorded(through_mitmproxy, internet) == seen
    assert set(internet.visits) == {OPENAI}
    assert comparable(theirs) == comparable(ours)
    assert len(held(theirs)) == len(held(ours)) + STREAMS, "and nothing of other hosts"
    assert {one.session for one, _, _ in held(theirs)} == {USER}
    assert [one.end for one, _, _ in held(ours)] == ["eof", "eof", "eof", "reset", "client_gone"]

    async with serving(mode="replay", cassette=(str(theirs),), **AS_RECORDED) as app:
        root_ca = Path(DATA.name) / "ca" / "root.pem"
        questions = ("whole", "streamed", "refused", "broken off")
        assert [await asked(app.url, root_ca, one) for one in questions] == seen[:4]

    # What mitmproxy itself wrote meanwhile names the true hosts, and has the streams' bodies.
    imported = tmp_path / "imported.fcz"
    bring_in(flows, imported, "mitmproxy")
    told = {(one.upstream, answer) for one, _, answer in held(imported)}
    assert {(one.upstream, answer) for one, _, answer in held(ours)[:3]} <= told


async def many_streams_come_at_once(proxy: Mitmdump, curl: Path, upstream: FakeUpstream) -> None:
    """On one HTTP/2 connection; the upstream answers none before it has seen all of them."""
    asked, gate = len(upstream.requests), asyncio.Event()
    upstream.on("GET", "*", sse_reply([gate, *EVENTS]))
    curling = asyncio.create_task(
        asyncio.to_thread(
            run_client,
            [
                curl, "-sS", "-Z", "--http2", "-m", "30", "-x", proxy.url, "--cacert", proxy.ca,
                f"https://{OPENAI}/v1/models/[1-{STREAMS}]",
            ],
            bare_environment(),
        )
    )  # fmt: skip
    await asyncio.wait_for(upstream.request(asked + STREAMS - 1), 30)
    gate.set()
    assert (await curling).count(EVENTS[-1].decode()) == STREAMS


async def other_hosts_are_left_alone(proxy: Mitmdump) -> None:
    async with FakeUpstream() as other:
        other.on("GET", "/v1/models", json_reply({"other": True}))
        host = other.url.removeprefix("http://")
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(
            f"GET {other.url}/v1/models HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
            f"{CREDENTIALS}\r\n".encode()
        )
        assert (await reader.read()).endswith(b'{"other": true}')
        writer.close()
        assert other.requests[0].target == b"/v1/models"


async def test_what_our_own_proxy_recorded_is_replayed_through_mitmproxy(
    internet: Internet, curl: Path, tmp_path: Path
) -> None:
    cassette = str(tmp_path / "ours.fcz")

    async def through_us(_: FakeUpstream) -> AsyncIterator[tuple[str, Path]]:
        async with serving(mode="record", cassette=(cassette,), **ways_out(internet)) as app:
            yield app.url, Path(DATA.name) / "ca" / "root.pem"

    seen = (await recorded(through_us, internet))[:4]
    visits = len(internet.visits)
    changing = str(Path(__file__).with_name("changing.py"))
    with mitmdump(
        tmp_path,
        "-s",
        changing,
        status=1,
        cassette=cassette,
        mode="hybrid",
        profile="none",
        strict="unused",
        **AS_RECORDED,
    ) as proxy:
        questions = ("whole", "streamed", "refused", "broken off")
        assert [await asked(proxy.url, proxy.ca, one) for one in questions] == seen
        await over_http_2(proxy, curl)
        await over_a_websocket(proxy)
        await a_setting_is_changed(proxy)
    assert len(internet.visits) == visits
    verdicts = [line for line in proxy.said if line.startswith("fakeai-proxy: ")]
    assert [line.partition(" /")[0] for line in verdicts] == [
        "fakeai-proxy: hybrid", "fakeai-proxy: --strict: there were UNUSED",
        "fakeai-proxy: replay", "fakeai-proxy: --strict: there were UNUSED",
    ]  # fmt: skip
    assert (tmp_path / "data" / "ca").is_dir(), "as the environment said"
    reached = [line for line in proxy.said if "server connect " in line]
    assert reached
    assert all("server connect 127.0.0.1:" in line for line in reached), "to us alone"


async def over_http_2(proxy: Mitmdump, curl: Path) -> None:
    """The same question, in the case and order of headers that HTTP/2 has."""
    said = await asyncio.to_thread(
        run_client,
        [
            curl, "-sS", "--http2", "-m", "60", "-x", proxy.url, "--cacert", proxy.ca,
            "-w", "%{http_version}", "-H", "Content-Type: application/json",
            "-H", "Authorization: Bearer sk-test-wire-0123456789abcdef",
            "-d", json.dumps({"model": "gpt-4o", "q": "streamed"}), f"https://{OPENAI}{CHAT}",
        ],
        bare_environment(),
    )  # fmt: skip
    assert said == b"".join(EVENTS).decode() + "2"


async def over_a_websocket(proxy: Mitmdump) -> None:
    async with websockets.connect(
        f"wss://{OPENAI}/v1/realtime?model=gpt-realtime", proxy=proxy.url,
        ssl=ssl.create_default_context(cafile=proxy.ca),
        additional_headers={"Authorization": "Bearer sk-test"},
    ) as socket:  # fmt: skip
        assert json.loads(await socket.recv())["type"] == "session.created"


async def a_setting_is_changed(proxy: Mitmdump) -> None:
    """While it runs; one that cannot be is refused, and what was goes on."""

    async def change(setting: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(
            f"GET http://change.test/?fakeai_{setting} HTTP/1.1\r\nHost: change.test\r\n"
            f"Connection: close\r\n{CREDENTIALS}\r\n".encode()
        )
        answer = await reader.read()
        writer.close()
        return answer

    assert (await asked(proxy.url, proxy.ca, "what is on no tape")).startswith(b"HTTP/1.1 400")
    assert b"fakeai_mode: Input should be 'synth', 'record'" in await change("mode=nope")
    assert (await asked(proxy.url, proxy.ca, "what is on no tape")).startswith(b"HTTP/1.1 400")
    assert (await change("mode=replay")).endswith(b"done")
    assert b"There is no recording" in await asked(proxy.url, proxy.ca, "what is on no tape")


def test_a_wrong_setting_is_said_and_ends_mitmproxy(tmp_path: Path) -> None:
    proxy = Mitmdump(tmp_path, on_mis="synth")
    assert proxy.end() == 1
    assert "fakeai_on_mis: there is no such setting. Did you mean fakeai_on_miss?" in str(
        proxy.said
    )


def test_the_command_prints_where_the_addon_is() -> None:
    said = CliRunner().invoke(root, ["mitm-addon"]).output
    assert Path(said.removesuffix("\n")).is_file()

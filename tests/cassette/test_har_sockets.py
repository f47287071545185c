"""WebSockets in HTTP archives: ours come back as they were, Chrome's are replayed."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakeai_proxy.cassette.messages import Message
from fakeai_proxy.cassette.rfc6455 import OPCODES
from tests.cassette import sockets
from tests.cassette.made import cassette_of, held
from tests.cassette.test_exporting import draft, facts, run, there_and_back

#: As Chrome's developer tools save it.
CHROME = {
    "_resourceType": "websocket",
    "_webSocketMessages": [
        {"type": "receive", "time": 1750000000.25, "opcode": 1, "data": '{"type":"session.created"}'},
        {"type": "send", "time": 1750000000.75, "opcode": 1, "data": '{"type":"response.create"}'},
        {"type": "receive", "time": 1750000001.0, "opcode": 2, "data": "AP+A"},
    ],
    "startedDateTime": "2025-06-15T15:06:40.000Z",
    "time": 1000,
    "request": {
        "method": "GET", "url": "wss://api.openai.com/v1/realtime?model=gpt-realtime",
        "headers": [{"name": "Sec-WebSocket-Version", "value": "13"}],
    },
    "response": {
        "status": 101, "statusText": "Switching Protocols", "content": {"size": 0},
        "headers": [{"name": "Upgrade", "value": "websocket"}],
    },
    "timings": {"send": 0, "wait": 200, "receive": 800},
}  # fmt: skip


def test_what_was_said_is_there_for_developer_tools_and_comes_back(tmp_path: Path) -> None:
    first = cassette_of(tmp_path / "a.fcz", [sockets.draft(sockets.conversation())])
    archive, second = tmp_path / "a.har", tmp_path / "b.fcz"
    assert run("export", first, archive, "--to", "har").stdout == f"{archive}: 1 recording as har\n"
    [entry] = json.loads(archive.read_bytes())["log"]["entries"]
    assert entry["_resourceType"] == "websocket"
    assert entry["request"]["url"] == "wss://api.openai.com/v1/realtime?model=gpt-realtime"
    said = entry["_webSocketMessages"]
    assert (said[0]["type"], said[0]["opcode"], said[0]["time"]) == ("receive", 1, 1.75e9 + 0.25)
    assert json.loads(said[0]["data"])["type"] == "session.created"
    assert said[-4]["data"] == "AP+A"
    assert run("import", archive, second).exit_code == 0
    assert [whole(*one) for one in held(second)] == [whole(*one) for one in held(first)]


def test_what_chrome_has_saved_becomes_a_recording(tmp_path: Path) -> None:
    archive, path = tmp_path / "chrome.har", tmp_path / "c.jsonl"
    refused = {**CHROME, "response": {"status": 403, "headers": []}}
    archive.write_text(json.dumps({"log": {"entries": [CHROME, refused]}}))
    told = run("import", archive, path)
    assert "log.entries[1]: a WebSocket that was refused" in told.stderr
    [(record, _, _)] = held(path)
    assert (record.request.method, record.upstream) == ("WS", "https://api.openai.com")
    assert record.request.target == "/v1/realtime?model=gpt-realtime"
    assert record.response is not None
    assert [(one.sender, one.op, one.dt_us) for one in record.response.messages] == [
        ("server", "text", 250_000), ("client", "text", 500_000), ("server", "binary", 250_000),
    ]  # fmt: skip
    assert record.response.messages[2].data == b"\x00\xff\x80"
    assert "schedule" not in record.extra["imported"]


def test_formats_without_websockets_say_so(tmp_path: Path) -> None:
    drafts = [sockets.draft(sockets.conversation()), sockets.draft(sockets.conversation(), 1)]
    result = run(
        "export", cassette_of(tmp_path / "a.fcz", drafts), tmp_path / "a.yaml", "--to", "vcr"
    )
    assert "nothing that vcr has a form for; 2 of WebSockets, for which only har" in result.output
    first, second = (sockets.draft(sockets.conversation(), place) for place in (2, 3))
    plain = [draft(1), first, second]
    result = run(
        "export", cassette_of(tmp_path / "b.fcz", plain), tmp_path / "b.json", "--to", "vcr"
    )
    assert result.stdout.endswith("b.json: 1 recording as vcr, 2 left out\n")


def whole(record: object, *bodies: bytes) -> tuple[object, ...]:
    response = record.response  # type: ignore[attr-defined]  # an Interaction
    return (facts(record, *bodies), response.messages)  # type: ignore[arg-type]  # the same


@st.composite
def said(draw: st.DrawFn) -> Message:
    op = draw(st.sampled_from(sorted(OPCODES)))
    data = draw(st.binary(max_size=20) | st.text(max_size=9).map(str.encode))
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=2)))
    cuts = tuple(b - a for a, b in pairwise([0, *places, len(data)])) if places else ()
    return Message(
        draw(st.sampled_from(["client", "server"])), op, draw(st.integers(0, 10**8)), data, cuts
    )


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(messages=st.lists(said(), max_size=6))
def test_any_messages_survive(tmp_path: Path, messages: list[Message]) -> None:
    before, after = there_and_back(tmp_path, [sockets.draft(messages)], "har")
    assert [whole(*one) for one in after] == [whole(*one) for one in before]

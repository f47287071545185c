"""What other programs recorded is replayed, to the byte; what is no recording is refused, and leaves
nothing behind."""

from __future__ import annotations

import base64
import gzip
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakeai_proxy.body import Body
from fakeai_proxy.cassette.format import Interaction
from fakeai_proxy.cassette.formats import FORMATS, READABLE
from fakeai_proxy.cassette.importing import bring_in
from fakeai_proxy.cassette.leniency import Leniency
from fakeai_proxy.cassette.matching import raw_key
from fakeai_proxy.cli.cassette import cassette
from fakeai_proxy.errors import ApiError, CassetteError
from fakeai_proxy.exchange import Exchange, Headers, Request
from fakeai_proxy.sources.recorded import Miss, Player
from tests.cassette.made import held, opened

SAMPLES = Path(__file__).parent / "samples"
JSON: Headers = ((b"content-type", b"application/json"),)
CHAT = "/v1/chat/completions"
SECRET = "sk-proj-" + "Qq7" * 14


def run(*args: object) -> Result:
    return CliRunner().invoke(cassette, [str(arg) for arg in args])


def brought(source: Path, target: Path, *more: object) -> list[tuple[Interaction, bytes, bytes]]:
    result = run("import", source, target, *more)
    assert result.exit_code == 0, result.output
    assert run("verify", "--secrets", target).exit_code == 0
    return held(target)


def saved(folder: Path, name: str, value: object) -> Path:
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value), "utf-8")
    return path


async def asked(
    target: Path, method: str, path: str, body: bytes = b"", match: Any = "exact"
) -> tuple[int, Headers, bytes]:
    """What a player of this cassette answers; with `match` leniently."""
    library = opened(target)
    lenient = Leniency(match)
    player = Player(library, Miss(library, None), None, leniency=lenient)
    request = Request(method, path, JSON if body else (), Body(body))
    try:
        reply = await player.reply(Exchange("1", request, 0.0))
    finally:
        library.close()
    assert not isinstance(reply.chunks, str)
    data = b"".join([chunk.data for chunk in reply.chunks])  # type: ignore[union-attr, misc]
    return reply.status, reply.headers, data


def chat(**more: object) -> bytes:
    said = [{"role": "user", "content": "Who keeps the light, Jürgen?"}]
    return json.dumps({"model": "gpt-4o", "messages": said, **more}).encode()


@pytest.mark.parametrize(
    ("sample", "name", "keeps_gzip"),
    [
        ("vcr.yaml", "vcr", False),
        ("flows.mitm", "mitmproxy", True),
        ("mitmproxy.har", "har", False),
        ("wiremock", "wiremock", False),
    ],
)
async def test_what_a_real_tool_recorded_is_replayed(
    tmp_path: Path, sample: str, name: str, keeps_gzip: bool
) -> None:
    target = tmp_path / "it.fcz"
    records = brought(SAMPLES / sample, target)
    assert [record.extra["imported"] for record, _, _ in records] == [
        {"from": name, "schedule": "synthetic"}
    ] * 6
    status, headers, body = await asked(target, "POST", CHAT, chat())
    assert (status, json.loads(body)["choices"][0]["message"]["content"]) == (
        200,
        "Grüße from the lighthouse",
    )
    assert [value for field, value in headers if field == b"x-two"] == [b"one", b"two"]
    _, headers, zipped = await asked(target, "POST", CHAT, chat(zip=True))
    assert ((b"content-encoding", b"gzip") in headers) is keeps_gzip
    assert (gzip.decompress(zipped) if keeps_gzip else zipped) == body
    assert (await asked(target, "POST", CHAT, chat(stream=True)))[2].endswith(b"data: [DONE]\n\n")
    assert (await asked(target, "GET", "/picture"))[2] == bytes(range(256))
    library = opened(target)
    player = Player(library, Miss(library, None), None)
    counts = []
    for _ in range(2):
        request = Request("GET", "/v1/models?limit=2&limit=3", (), Body())
        reply = await player.reply(Exchange("1", request, 0.0))
        counts.append(json.loads(reply.chunks[0].data)["asked"])  # type: ignore[index, arg-type]
    library.close()
    assert counts[1] == counts[0] + 1


def test_binary_bodies_of_vcrpy_keep_their_coding(tmp_path: Path) -> None:
    ((record, asked_for, answered),) = brought(SAMPLES / "vcr_httpx.yaml", tmp_path / "a.jsonl")
    assert json.loads(gzip.decompress(answered))["model"] == "gpt-4o"
    assert record.request.method == "POST"
    assert json.loads(asked_for)["zip"] is True
    assert b"REDACTED.anthropic" in dict(record.request.headers)[b"x-api-key"]
    ((record, _, answered),) = brought(SAMPLES / "vcr.json", tmp_path / "b.jsonl")
    assert record.request.target == "/v1/models?limit=9"
    assert json.loads(answered)["object"] == "list"


@pytest.mark.parametrize("sample", ["vcr.yaml", "flows.mitm", "mitmproxy.har", "wiremock"])
@pytest.mark.parametrize("form", [".fcz", ".jsonl", ".jsonl.zst"])
def test_importing_twice_gives_the_same_bytes(tmp_path: Path, sample: str, form: str) -> None:
    trees = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        bring_in(SAMPLES / sample, folder / f"c{form}")
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        trees.append([(path.relative_to(folder), path.read_bytes()) for path in files])
    assert trees[0] == trees[1]
    assert not list(tmp_path.rglob(".importing*"))


def test_no_key_of_a_sample_reaches_the_disk(tmp_path: Path) -> None:
    for sample in ("vcr.yaml", "flows.mitm", "mitmproxy.har"):
        target = tmp_path / f"{sample}.jsonl"
        brought(SAMPLES / sample, target)
        text = target.read_text("utf-8")
        assert SECRET.encode() in (SAMPLES / sample).read_bytes()
        assert "Qq7Qq7" not in text
        assert "set-cookie" not in text.lower()
        assert "REDACTED.openai" in text


def entry(**more: Any) -> dict[str, Any]:
    """An entry as Chrome writes it."""
    return {
        "startedDateTime": "2026-01-02T03:04:05.678Z",
        "time": 400,
        "request": {
            "method": "POST",
            "url": "https://API.openai.com:443/v1/chat/completions?a=b c#part",
            "httpVersion": "h2",
            "headers": [{"name": ":authority", "value": "api.openai.com"},
                        {"name": "content-type", "value": "application/json"}],
            "postData": {"mimeType": "application/json", "text": '{"model":"m"}'},
        },
        "response": {
            "status": 200,
            "statusText": "",
            "headers": [{"name": "content-type", "value": "text/event-stream"},
                        {"name": "content-encoding", "value": "br"},
                        {"name": "content-length", "value": "7"}],
            "content": {"size": 33, "mimeType": "text/event-stream",
                        "text": "data: 1\n\ndata: 2\n\ndata: [DONE]\n\n"},
        },
        "timings": {"blocked": 5, "dns": -1, "connect": 90, "send": 10, "wait": 190, "receive": 100},
        **more,
    }  # fmt: skip


def test_a_browsers_stream_gets_a_schedule_of_its_timings(tmp_path: Path) -> None:
    path = saved(tmp_path, "c.har", {"log": {"entries": [entry()]}})
    ((record, _, body),) = brought(path, tmp_path / "c.jsonl")
    response = record.response
    assert response is not None
    assert (record.upstream, record.request.target) == (
        "https://api.openai.com",
        "/v1/chat/completions?a=b%20c",
    )
    assert record.request.headers == JSON
    assert record.at == 1767323045.678
    assert (response.cuts, response.gaps_us) == ((9, 9, 14), (200_000, 50_000, 50_000))
    assert response.head_us == 200_000
    assert body == b"data: 1\n\ndata: 2\n\ndata: [DONE]\n\n"
    assert response.headers == (
        (b"content-type", b"text/event-stream"),
        (b"content-length", b"32"),
    )


def test_what_is_no_exchange_is_left_out_and_said(tmp_path: Path) -> None:
    blob = entry()
    blob["request"]["url"] = "blob:https://x/1"
    empty = entry()
    empty["response"]["content"] = {"size": 5, "mimeType": "text/plain"}
    form = entry()
    form["request"]["postData"] = {"mimeType": "multipart/form-data", "params": [{"name": "f"}]}
    entries = [entry(_webSocketMessages=[]), blob, empty, form, entry()]
    path = saved(tmp_path, "c.har", {"log": {"entries": entries}})
    result = run("import", path, tmp_path / "c.jsonl")
    assert result.exit_code == 0
    assert "1 recording from har" in result.stdout
    assert [line.split(": ")[2] for line in result.stderr.splitlines()] == [
        "log.entries[0]", "log.entries[1]", "log.entries[2].response.content", "log.entries[3]",
    ]  # fmt: skip


def test_older_ways_of_vcrpy_are_read(tmp_path: Path) -> None:
    text = """
interactions:
- request:
    body: !!python/object/new:_io.BytesIO
      state: !!python/tuple [!!binary aGVsbG8=, 0, null]
    headers: {Accept: '*/*'}
    method: POST
    uri: http://h/one
  response:
    body: {base64_string: d29ybGQ=}
    headers: {x: [a, b]}
    status: {code: 201, message: Made}
- request:
    body: !!python/object/apply:builtins.iter
      args: [[!!binary aGU=, llo]]
    headers: {}
    method: POST
    uri: http://h/two
  response: {status_code: 200, content: world, http_version: HTTP/1.1, headers: [[x, a], [y, b], [x, c]]}
- request: {body: {b: 1, a: [x]}, headers: {}, method: PUT, uri: 'http://h/three'}
  response: {body: {string: ''}, headers: {}, status: {code: 204, message: null}}
version: 1
"""
    found = brought(saved(tmp_path, "old.yml", text), tmp_path / "c.jsonl")
    assert [(one, two) for _, one, two in found] == [
        (b"hello", b"world"), (b"hello", b"world"), (b'{"b": 1, "a": ["x"]}', b""),
    ]  # fmt: skip
    response = found[1][0].response
    assert response is not None
    assert response.headers == ((b"x", b"a"), (b"y", b"b"), (b"x", b"c"))
    assert found[2][0].request.headers == JSON


def test_a_vcr_cassette_makes_no_objects(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    text = f"interactions: !!python/object/apply:os.system ['touch {mark}']\n"
    result = run("import", saved(tmp_path, "evil.yaml", text), tmp_path / "c.jsonl")
    assert result.exit_code == 1
    assert "evil.yaml:1:15: not YAML" in result.output
    assert not mark.exists()


def test_without_pyyaml_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    result = run("import", SAMPLES / "vcr.yaml", tmp_path / "c.jsonl")
    assert (result.exit_code, "pip install 'fakeai-proxy[vcr]'" in result.output) == (1, True)
    assert len(brought(SAMPLES / "vcr.json", tmp_path / "d.jsonl")) == 1


def test_a_folder_of_pytest_recording_is_a_session_a_file(tmp_path: Path) -> None:
    for name in ("test_b/test_two", "test_a/test_one"):
        path = tmp_path / "cassettes" / f"{name}.yaml"
        path.parent.mkdir(parents=True)
        shutil.copy(SAMPLES / "vcr.yaml", path)
    found = brought(tmp_path / "cassettes", tmp_path / "c.fcz")
    assert [record.session for record, _, _ in found] == ["test_one"] * 6 + ["test_two"] * 6
    assert len({record.id for record, _, _ in found}) == 12


def test_only_stubs_that_are_recordings_are_brought(tmp_path: Path) -> None:
    folder = tmp_path / "wm" / "mappings"
    folder.mkdir(parents=True)
    (tmp_path / "wm" / "__files").mkdir()
    fine = {"request": {"method": "GET", "urlPath": "/a", "host": {"equalTo": "h.example"},
                        "queryParameters": {"q": {"equalTo": "x y"}}},
            "response": {"jsonBody": {"a": 1}, "fixedDelayMilliseconds": 30}}  # fmt: skip
    pattern = {"request": {"urlPattern": "/.*"}, "response": {"status": 200}}
    proxied = {"request": {"url": "/b"}, "response": {"proxyBaseUrl": "http://x"}}
    likely = {"request": {"url": "/b", "bodyPatterns": [{"matchesJsonPath": "$.a"}]},
              "response": {"status": 200}}  # fmt: skip
    saved(folder, "all.json", {"mappings": [fine, pattern, proxied, likely]})
    imported = bring_in(tmp_path / "wm", tmp_path / "c.jsonl")
    assert [skipped.reason for skipped in imported.skipped] == [
        "its URL is a pattern", "it is passed on to a server", "its body may be one of several",
    ]  # fmt: skip
    ((record, _, body),) = held(tmp_path / "c.jsonl")
    assert (record.upstream, record.request.target) == ("https://h.example", "/a?q=x+y")
    assert record.response is not None
    assert (body, record.response.gaps_us) == (b'{"a":1}', (30_000,))
    outside = {"request": {"url": "/c"}, "response": {"bodyFileName": "../../secret"}}
    saved(tmp_path, "secret", "root")
    result = run("import", saved(folder, "out.json", outside), tmp_path / "d.jsonl")
    assert result.exit_code == 1
    assert "response.bodyFileName is outside of __files" in result.output


def simulation() -> dict[str, Any]:
    """As Hoverfly 1.x exports what it captured."""
    exact = [{"matcher": "exact", "value": "POST"}]
    return {
        "data": {
            "pairs": [
                {
                    "request": {
                        "path": [{"matcher": "exact", "value": CHAT}],
                        "method": exact,
                        "destination": [{"matcher": "exact", "value": "api.openai.com"}],
                        "scheme": [{"matcher": "exact", "value": "https"}],
                        "query": {"v": [{"matcher": "exact", "value": "1;2"}]},
                        "body": [{"matcher": "json", "value": chat().decode()}],
                    },
                    "response": {
                        "status": 200,
                        "body": base64.b64encode(b"\x00\xff").decode(),
                        "encodedBody": True,
                        "headers": {"Content-Type": ["image/png"], "X": ["1", "2"]},
                        "templated": False,
                        "fixedDelay": 12,
                    },
                },
                {"request": {"path": [{"matcher": "glob", "value": "/*"}]},
                 "response": {"status": 200, "body": ""}},
            ],
            "globalActions": {"delays": []},
        },
        "meta": {"schemaVersion": "v5.2", "hoverflyVersion": "v1.9.1"},
    }  # fmt: skip


async def test_a_hoverfly_simulation_is_replayed(tmp_path: Path) -> None:
    target = tmp_path / "c.jsonl"
    ((record, _, _),) = brought(saved(tmp_path, "sim.json", simulation()), target)
    assert (record.upstream, record.request.target) == (
        "https://api.openai.com",
        f"{CHAT}?v=1&v=2",
    )
    assert record.response is not None
    assert record.response.gaps_us == (12_000,)
    status, headers, body = await asked(target, "POST", f"{CHAT}?v=1&v=2", chat())
    assert (status, body, headers[1:3]) == (200, b"\x00\xff", ((b"X", b"1"), (b"X", b"2")))
    old = simulation()
    old["meta"]["schemaVersion"] = "v3"
    result = run("import", saved(tmp_path, "v3.json", old), tmp_path / "d.jsonl")
    assert "meta.schemaVersion is v3" in result.output


FIXTURES = {
    "fixtures": [
        {"match": {"userMessage": "hello"}, "response": {"content": "Hello! How can I help you?"},
         "chunkSize": 10, "recordedTimings": {"ttftMs": 120, "interChunkDelaysMs": [30, 20],
                                              "totalDurationMs": 170}},
        {"match": {"userMessage": "weather", "model": "gpt-5", "systemMessage": ["a", "b"]},
         "response": {"toolCalls": [{"name": "get", "arguments": {"city": "Oslo"}}]}},
        {"match": {"userMessage": "too much"},
         "response": {"error": {"message": "slow down", "type": "rate_limit_error"}, "status": 429,
                      "retryAfter": 7}},
        {"match": {"inputText": "sea"}, "response": {"embedding": [0.5, -1]}},
        {"match": {"userMessage": "again", "sequenceIndex": 1}, "response": {"content": "second"}},
        {"match": {"userMessage": "again", "sequenceIndex": 0}, "response": {"content": "first"}},
        {"match": {"toolCallId": "call_1"}, "response": {"content": "Done"}},
        {"match": {"userMessage": "x", "endpoint": "image"}, "response": {"image": {"url": "u"}}},
    ]
}  # fmt: skip


async def test_aimocks_fixtures_answer_loosely_whole_and_streamed(tmp_path: Path) -> None:
    target = tmp_path / "c.fcz"
    result = run("import", saved(tmp_path, "f.json", FIXTURES), target)
    assert "10 recordings from aimock" in result.stdout
    assert "fixtures[6]: it does not say what was asked" in result.stderr
    said = [{"role": "system", "content": "Anything"}, {"role": "user", "content": "Hello"}]
    body = json.dumps({"model": "gpt-4o", "messages": said, "temperature": 0}).encode()
    status, _, whole = await asked(target, "POST", CHAT, body, "loose")
    message = json.loads(whole)["choices"][0]["message"]
    assert (status, message["content"]) == (200, "Hello! How can I help you?")
    streaming = json.dumps({"model": "gpt-4o", "messages": said, "stream": True}).encode()
    _, headers, stream = await asked(target, "POST", CHAT, streaming, "loose")
    assert headers[0] == (b"content-type", b"text/event-stream; charset=utf-8")
    chunks = [json.loads(line[6:]) for line in stream.split(b"\n\n")[:-2]]
    words = [chunk["choices"][0]["delta"].get("content") for chunk in chunks]
    assert words == ["", "Hello! How", " can I hel", "p you?", None]
    timed = [record.response for record, _, _ in held(target) if record.response][1]
    assert timed.gaps_us == (120_000, 30_000, 20_000, 20_000, 20_000, 20_000)
    with pytest.raises(ApiError):
        await asked(target, "POST", CHAT, chat(), "loose")


def test_aimocks_calls_errors_and_sequences(tmp_path: Path) -> None:
    found = brought(saved(tmp_path, "f.json", FIXTURES), tmp_path / "c.jsonl")
    by_words = {}
    for record, body, answer in found:
        said = json.loads(body)
        words = said["messages"][-1]["content"] if "messages" in said else said["input"]
        if not said.get("stream"):
            by_words.setdefault(words, []).append((record, said, json.loads(answer)))
    ((_, said, called),) = by_words["weather"]
    assert (said["model"], said["messages"][0]["content"]) == ("gpt-5", "a\nb")
    (call,) = called["choices"][0]["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"city": "Oslo"}
    assert called["choices"][0]["finish_reason"] == "tool_calls"
    ((record, _, refused),) = by_words["too much"]
    assert record.response is not None
    assert (record.response.status, refused["error"]["message"]) == (429, "slow down")
    assert (b"retry-after", b"7") in record.response.headers
    ((record, _, vectors),) = by_words["sea"]
    assert (record.request.target, vectors["data"][0]["embedding"]) == ("/v1/embeddings", [0.5, -1])
    again = [answer["choices"][0]["message"]["content"] for _, _, answer in by_words["again"]]
    assert again == ["first", "second"]


STORED = (
    {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"},
                  {"role": "assistant", "content": "4", "weight": 1}], "model": "gpt-4.1"},
    {"id": "chatcmpl-9", "object": "chat.completion", "created": 1_750_000_000, "model": "gpt-4o",
     "messages": [{"role": "user", "content": "Sea?"}], "temperature": 0.5, "metadata": {"a": "b"},
     "choices": [{"index": 0, "message": {"role": "assistant", "content": "Blue."},
                  "finish_reason": "stop"}],
     "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}},
    {"messages": [{"role": "user", "content": "no answer"}]},
)  # fmt: skip


async def test_stored_completions_are_replayed(tmp_path: Path) -> None:
    path, target = tmp_path / "stored.jsonl", tmp_path / "c.fcz"
    path.write_text("\n".join(json.dumps(line) for line in STORED) + "\n\n", "utf-8")
    result = run("import", path, target)
    assert "2 recordings from completions" in result.stdout
    assert "line 3: its last message is no answer" in result.stderr
    lines: list[dict[str, Any]] = list(STORED)
    body = json.dumps({"model": "gpt-4.1", "messages": lines[0]["messages"][:2]}).encode()
    answer = json.loads((await asked(target, "POST", CHAT, body))[2])
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "4"}
    body = json.dumps({"model": "gpt-4o", "messages": lines[1]["messages"], "temperature": 0.5,
                       "metadata": {"a": "b"}}).encode()  # fmt: skip
    answer = json.loads((await asked(target, "POST", CHAT, body))[2])
    assert (answer["id"], answer["usage"]["total_tokens"]) == ("chatcmpl-9", 7)
    assert held(target)[1][0].at == 1_750_000_000


BAD = {
    "no.har": ('{"log": {"entries": [', "no.har:1:22: not JSON"),
    "none.har": ('{"log": {"entries": []}}', "none.har: holds nothing that can be replayed"),
    "url.har": ('{"log": {"entries": [{"request": {"url": "http://:1/"}, "response": {}}]}}',
                "url.har: log.entries[0].request: http://:1 is no server"),
    "type.har": ('{"log": {"entries": [{"request": 5, "response": {}}]}}',
                 "type.har: log.entries[0].request is no object"),
    "text.json": ('{"interactions": [{"request": {"uri": 7}, "response": {}}]}',
                  "text.json: interactions[0].request.uri is no text"),
    "bad.yaml": ("interactions:\n- request: [\n", "bad.yaml:3:1: not YAML"),
    "short.mitm": ("40:7:version;2:20#", "short.mitm: flow 1, byte 0: no flow of mitmproxy (it breaks off)"),
    "old.mitm": ("14:7:version;1:3#}", "old.mitm: flow 1.version is of mitmproxy before 4"),
    "lines.jsonl": ('{"messages": []}\n{"messages"\n', "lines.jsonl:2:12: not JSON"),
    "what.txt": ("hello", "what.txt: in none of the formats har, vcr"),
    "map.json": ('{"request": {"url": "/"}, "response": {"base64Body": "?"}}',
                 "map.json: response.base64Body is no base64"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_input_is_one_line_that_says_where(tmp_path: Path, name: str) -> None:
    text, fault = BAD[name]
    path, target = saved(tmp_path, name, text), tmp_path / "out" / "c.fcz"
    result = run("import", path, target)
    assert result.exit_code == 1
    assert fault in result.output
    assert len(result.output.strip().splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) in (
        [path],
        [tmp_path / "out", path],
        [path, tmp_path / "out"],
    )


def test_what_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    fine = entry()
    fine["response"]["content"] = {"text": base64.b64encode(bytes(200_000)).decode(),
                                   "encoding": "base64", "size": 200_000}  # fmt: skip
    fine["response"]["headers"] = [{"name": "content-type", "value": "image/png"}]
    broken = entry()
    broken["request"]["method"] = "NO METHOD"
    path = saved(tmp_path, "c.har", {"log": {"entries": [fine, broken]}})
    for target in (tmp_path / "c.fcz", tmp_path / "c.jsonl"):
        result = run("import", path, target)
        assert "log.entries[1]: 'NO METHOD' is no method" in result.output
    assert list(tmp_path.iterdir()) == [path]


def test_a_format_is_guessed_by_content_and_can_be_named(tmp_path: Path) -> None:
    shutil.copy(SAMPLES / "mitmproxy.har", tmp_path / "odd.bin")
    assert len(brought(tmp_path / "odd.bin", tmp_path / "a.jsonl")) == 6
    result = run("import", tmp_path / "odd.bin", tmp_path / "b.jsonl", "--from", "hoverfly")
    assert "odd.bin: meta is missing" in result.output
    result = run("import", tmp_path / "odd.bin", tmp_path / "a.jsonl")
    assert "is there already" in result.output
    assert "ends in none of" in run("import", tmp_path / "odd.bin", tmp_path / "c.txt").output


SMALL = {
    "har": json.dumps({"log": {"entries": [entry()]}}).encode(),
    "vcr": (SAMPLES / "vcr_httpx.yaml").read_bytes(),
    "mitmproxy": (SAMPLES / "flows.mitm").read_bytes()[:2370],
    "wiremock": (SAMPLES / "wiremock/mappings").joinpath(
        "v1_models-7b3b0bb1-77e7-4c65-a051-3712ad7ec86e.json").read_bytes(),
    "hoverfly": json.dumps(simulation()).encode(),
    "aimock": json.dumps(FIXTURES).encode(),
    "completions": "\n".join(json.dumps(line) for line in STORED).encode(),
}  # fmt: skip


ODD = (b"null", b"-1", b"1e999", b"[]", b"{}", b'""', b"true", b"\\ud800", b"9" * 20)


@pytest.mark.parametrize("name", READABLE)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damaged_files_are_refused_or_read_and_nothing_else(
    tmp_path: Path, name: str, data: st.DataObject
) -> None:
    text = SMALL[name]
    start = data.draw(st.integers(0, len(text) - 1))
    size = data.draw(st.integers(0, 12))
    put = data.draw(st.one_of(st.binary(max_size=6), st.sampled_from(ODD)))
    path, target = tmp_path / f"x{FORMATS[name].suffixes[0]}", tmp_path / "x.fcz"
    path.write_bytes(text[:start] + put + text[start + size :])
    try:
        bring_in(path, target, name)
    except CassetteError as error:
        told = str(error)
        assert not target.exists()
    else:
        told = str(path)
        held(target)
        shutil.rmtree(target)
    assert str(path) in told
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("form", [".fcz", ".jsonl"])
def test_what_its_user_calls_secret_is_scrubbed_as_when_it_is_recorded(
    tmp_path: Path, form: str
) -> None:
    body = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "zebra-77 of jane@example.com"}]}'

    har = {"log": {"entries": [{
        "startedDateTime": "2025-01-01T00:00:00Z", "time": 5,
        "request": {"method": "POST", "url": f"https://api.openai.com{CHAT}", "headers": [
            {"name": "content-type", "value": "application/json"}],
            "postData": {"mimeType": "application/json", "text": body.decode()}},
        "response": {"status": 200, "headers": [
            {"name": "content-type", "value": "application/json"}, {"name": "x-who", "value": "jane-7"}],
            "content": {"text": '{"said": "zebra-78, jane@example.com"}'}},
    }]}}  # fmt: skip
    target = tmp_path / f"c{form}"
    rules = ("--scrub-pii", "--scrub-header", "x-who", "--scrub-pattern", "zebra-[0-9]+")
    [(record, asked_for, said)] = brought(saved(tmp_path, "a.har", har), target, *rules)

    assert len(asked_for) == len(body)
    assert len(said) == len('{"said": "zebra-78, jane@example.com"}')
    assert not {word for word in ("zebra", "jane") if word in repr((record, asked_for, said))}
    assert run("verify", "--secrets", target, *rules).exit_code == 0
    assert "1 patterns" in run("verify", "--secrets", target).stderr
    library = opened(target)
    assert library.find(raw_key("POST", CHAT, JSON, body), 0) is not None
    library.close()
    assert (
        run("import", tmp_path / "a.har", tmp_path / "b.jsonl", "--scrub-pattern", "(").exit_code
        == 1
    )

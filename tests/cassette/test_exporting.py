"""Recordings in other programs' formats: nothing is lost on the way there and back, and the programs
themselves read them."""

from __future__ import annotations

import base64
import gzip
import json
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests
import vcr
import yaml
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakeai_proxy.cassette.codings import codings
from fakeai_proxy.cassette.draft import Draft, Heard, recoded
from fakeai_proxy.cassette.exporting import put_out
from fakeai_proxy.cassette.format import Interaction
from fakeai_proxy.cassette.importing import bring_in
from fakeai_proxy.cassette.tape import Tape
from fakeai_proxy.cli.cassette import cassette
from fakeai_proxy.exchange import Headers
from fakeai_proxy.simulate.arrivals import read_trace
from tests.cassette.made import cassette_of, held, opened

JSON: Headers = ((b"content-type", b"application/json"),)
SSE: Headers = ((b"Content-Type", b"text/event-stream"), (b"X-Odd", b"\xe9"), (b"x-odd", b"2"))
PICTURE = bytes(range(256)) * 400


def run(*args: object) -> Result:
    return CliRunner().invoke(cassette, [str(arg) for arg in args])


def nothing(text: str) -> Sequence[int]:
    raise AssertionError("no tokens are counted for this format")


def draft(number: int, **more: Any) -> Draft:
    fields: dict[str, Any] = {
        "upstream": "https://api.openai.com", "method": "POST", "target": "/v1/chat/completions",
        "headers": (*JSON, (b"authorization", b"Bearer sk-proj-" + b"Zz9" * 14)),
        "body": Tape(b'{"model":"gpt-4o","messages":[{"role":"user","content":"%d"}]}' % number),
        "heard": Heard(200, JSON, "OK", 20, Tape(b'{"n": %d}' % number), [8], [50]),
    }  # fmt: skip
    return Draft(f"{number:016x}", **{"at": 1.75e9 + number / 4, **fields, **more})


def recorded() -> list[Draft]:
    frames = [b'data: {"choices":[{"index":0,"delta":{"content":"%d"}}]}\n\n' % k for k in range(3)]
    stream = Heard(200, SSE, "", 200_000, Tape(b"".join(frames)), [60, 90, 3 * len(frames[0]) - 150],
                   [200_000, 7, 31_415])  # fmt: skip
    zipped = gzip.compress(b'{"a": "\xc3\xa9"}', mtime=0)
    coded = ((b"content-encoding", b"gzip"), *JSON)
    cut = Heard(200, SSE, "", 5, Tape(b"data: 1\n\nda"), [9, 2], [5, 6], "reset")
    return [
        draft(1),
        draft(2, heard=stream, session="one"),
        draft(3, heard=Heard(201, coded, "Fine", 3, Tape(zipped), [len(zipped)], [4])),
        draft(4, method="GET", target="/p?a=1&a=2&x=%2F", headers=(), body=Tape(),
              heard=Heard(200, ((b"content-type", b"image/png"),), "", 1, Tape(PICTURE),
                          [400, len(PICTURE) - 400], [1, 2])),
        draft(5, heard=cut),
        draft(6, heard=None, complete=False),
        draft(7, upstream="", target="/caf\u00e9?\udcff", body=Tape(b"\r\n\xff"),
              heard=Heard(429, ((b"content-type", b"text/plain; charset=latin-1"),), "",
                          1, Tape("\u00e9".encode()), [2], [1])),
    ]  # fmt: skip


def facts(record: Interaction, *bodies: bytes) -> tuple[object, ...]:
    """All that a recording is, but for the view of whose credential it was."""
    response = record.response
    said = response and (response.status, response.reason, response.headers, response.end,
                         response.cuts, response.gaps_us, response.head_us)  # fmt: skip
    request = record.request
    return (record.id, record.at, record.session, record.upstream, request.method, request.target,
            request.headers, request.complete, record.key, record.raw_key, said, bodies)  # fmt: skip


def test_a_har_gives_back_all_that_was_recorded(tmp_path: Path) -> None:
    first = cassette_of(tmp_path / "a.fcz", recorded())
    archive, second = tmp_path / "a.har", tmp_path / "b.fcz"
    assert run("export", first, archive, "--to", "har").stdout.endswith("7 recordings as har\n")
    assert run("import", archive, second).exit_code == 0
    assert [facts(*one) for one in held(second)] == [facts(*one) for one in held(first)]
    assert {one[0].extra["imported"].get("schedule") for one in held(second)} == {None}
    assert run("verify", "--secrets", second).exit_code == 0


def test_a_har_shows_what_a_browser_wants_to_see(tmp_path: Path) -> None:
    path = tmp_path / "a.har"
    run("export", cassette_of(tmp_path / "a.jsonl", recorded()), path, "--to", "har")
    log = json.loads(path.read_bytes())["log"]
    assert log["version"] == "1.2"
    zipped = log["entries"][2]
    assert json.loads(zipped["response"]["content"]["text"]) == {"a": "é"}
    assert gzip.decompress(base64.b64decode(zipped["response"]["_body"])) == b'{"a": "\xc3\xa9"}'
    for entry in log["entries"]:
        assert entry["time"] == pytest.approx(
            sum(max(0, entry["timings"][name]) for name in entry["timings"]))  # fmt: skip
        assert set(entry) >= {"startedDateTime", "time", "request", "response", "cache", "timings"}
        assert set(entry["request"]) >= {"method", "url", "httpVersion", "cookies", "headers",
                                         "queryString", "headersSize", "bodySize"}  # fmt: skip
        assert set(entry["response"]) >= {"status", "statusText", "httpVersion", "cookies", "headers",
                                          "content", "redirectURL", "headersSize", "bodySize"}  # fmt: skip
    assert log["entries"][3]["request"]["queryString"] == [
        {"name": "a", "value": "1"}, {"name": "a", "value": "2"}, {"name": "x", "value": "/"},
    ]  # fmt: skip


def test_an_edited_har_keeps_its_rhythm(tmp_path: Path) -> None:
    path = tmp_path / "a.har"
    run("export", cassette_of(tmp_path / "a.jsonl", recorded()[1:2]), path, "--to", "har")
    text = path.read_text("utf-8")
    path.write_text(text.replace(r"\"content\":\"1\"", r"\"content\":\"one and a half\""), "utf-8")
    bring_in(path, tmp_path / "b.jsonl")
    ((record, _, body),) = held(tmp_path / "b.jsonl")
    assert record.response is not None
    assert b"one and a half" in body
    assert sum(record.response.cuts) == len(body)
    assert record.response.gaps_us == (200_000, 7, 31_415)
    path.write_text(text.replace('"_gaps_us": [', '"_gaps_us": [1, '), "utf-8")
    result = run("import", path, tmp_path / "c.jsonl")
    assert "log.entries[0].response._gaps_us has 4 gaps for 3 cuts" in result.output


def test_a_made_up_schedule_stays_marked(tmp_path: Path) -> None:
    source = Path(__file__).parent / "samples" / "vcr.yaml"
    bring_in(source, tmp_path / "a.jsonl")
    run("export", tmp_path / "a.jsonl", tmp_path / "a.har", "--to", "har")
    bring_in(tmp_path / "a.har", tmp_path / "b.jsonl")
    marks = [record.extra["imported"] for record, _, _ in held(tmp_path / "b.jsonl")]
    assert marks == [{"from": "har", "schedule": "synthetic"}] * 6


_NAMES = st.sampled_from([b"X-A", b"x-a", b"X-B", b"Retry-After", b"x-ratelimit-limit"])
_VALUES = st.binary(max_size=12).map(
    lambda value: bytes(byte for byte in value if byte not in b"\r\n\0")
)
_KINDS = st.sampled_from([b"application/json", b"text/event-stream", b"text/plain; charset=latin-1",
                          b"text/plain;charset=utf-16", b"audio/mpeg", b"x"])  # fmt: skip
_BODIES = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=30).map(lambda text: text.encode("utf-8", "replace")),
    st.sampled_from([b"", b"data: a\n\ndata: b\r\n\r\n", b'{"a": [1, "\\u00e9"]}', b"=", b"~", b"null",
                     b"- a\n- b\n", b"\xef\xbb\xbf{}", b"\xc2\x85", b"1e3", b" ", b"\n", b"\r"]),
)  # fmt: skip
_TARGETS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"),
                   max_size=12).map(lambda text: "/" + text)  # fmt: skip


@st.composite
def drafts(draw: st.DrawFn, number: int, whole: bool = False) -> Draft:
    body = draw(_BODIES)
    headers = [
        (b"content-type", draw(_KINDS)),
        *draw(st.lists(st.tuples(_NAMES, _VALUES), max_size=4)),
    ]
    if draw(st.booleans()):
        body = gzip.compress(body, mtime=0)
        headers.append((b"Content-Encoding", b"gzip"))
    places = sorted(draw(st.lists(st.integers(0, len(body)), max_size=3)))
    borders = [0, *places, len(body)] if body else [0]
    cuts = [after - before for before, after in pairwise(borders)]
    gaps = [draw(st.integers(0, 10**9)) for _ in cuts]
    end = "eof" if whole else draw(st.sampled_from(["eof", "reset", "timeout"]))
    heard = Heard(draw(st.integers(200, 599)), tuple(headers), draw(st.sampled_from(["", "OK", "é"])),
                  draw(st.integers(0, 10**9)), Tape(body), cuts, gaps, end)  # fmt: skip
    asked = draw(st.lists(st.tuples(st.sampled_from([b"Accept", b"accept", b"User-Agent"]), _VALUES),
                          max_size=3))  # fmt: skip
    return draft(
        number,
        at=draw(st.floats(0, 4e9)),
        upstream=draw(
            st.sampled_from(["https://api.openai.com", "http://[::1]:8000", "https://x:81"])
        ),
        method=draw(st.sampled_from(["GET", "POST", "patch", "HEAD"])),
        target=draw(_TARGETS),
        headers=((b"content-type", draw(_KINDS)), *asked),
        body=Tape(draw(_BODIES)),
        heard=heard,
    )


_NO_WAITS = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def there_and_back(folder: Path, made: list[Draft], name: str) -> list[list[Any]]:
    """What the cassette holds before and after."""
    first, file, second = folder / "a.jsonl", folder / "file", folder / "b.jsonl"
    for path in (first, file, second):
        path.unlink(missing_ok=True)
    library = opened(cassette_of(first, made))
    put_out(library, file, name, nothing)
    library.close()
    bring_in(file, second, name)
    return [held(first), held(second)]


@_NO_WAITS
@given(data=st.data())
def test_any_recording_survives_a_har(tmp_path: Path, data: st.DataObject) -> None:
    made = [data.draw(drafts(number)) for number in range(data.draw(st.integers(1, 3)))]
    before, after = there_and_back(tmp_path, made, "har")
    assert [facts(*one) for one in after] == [facts(*one) for one in before]


def _vcr_facts(record: Interaction, *bodies: bytes) -> tuple[object, ...]:
    def grouped(headers: Headers) -> list[tuple[bytes, list[bytes]]]:
        names = dict.fromkeys(name for name, _ in headers)
        return [(name, [value for other, value in headers if other == name]) for name in names]

    response, request = record.response, record.request
    assert response is not None
    asked, answered = bodies
    headers = response.headers
    if codings(headers):
        answered = gzip.decompress(answered)
        headers = recoded(headers, answered)
    return (record.upstream, request.method, request.target, grouped(request.headers), record.key,
            response.status, response.reason, grouped(headers), asked, answered)  # fmt: skip


@_NO_WAITS
@given(data=st.data())
def test_any_whole_recording_survives_vcrpys_form(tmp_path: Path, data: st.DataObject) -> None:
    made = [data.draw(drafts(number, whole=True)) for number in range(data.draw(st.integers(1, 3)))]
    before, after = there_and_back(tmp_path, made, "vcr")
    assert [_vcr_facts(*one) for one in after] == [_vcr_facts(*one) for one in before]


def test_vcrpy_itself_replays_what_was_exported(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    result = run("export", cassette_of(tmp_path / "a.fcz", recorded()), path, "--to", "vcr")
    assert "5 recordings as vcr" in result.stdout
    assert "left out: 2 interrupted" in result.stderr
    base = "https://api.openai.com"
    with vcr.use_cassette(str(path), record_mode="none"):
        session = requests.Session()
        whole = session.post(f"{base}/v1/chat/completions", json={"any": 1})
        stream = session.post(f"{base}/v1/chat/completions", json={})
        zipped = session.post(f"{base}/v1/chat/completions", json={})
        picture = session.get(f"{base}/p?a=1&a=2&x=%2F")
    assert whole.json() == {"n": 1}
    assert stream.content.count(b"data: ") == 3
    assert (zipped.status_code, zipped.json()) == (201, {"a": "é"})
    assert picture.content == PICTURE
    assert "Zz9" not in path.read_text("utf-8")
    assert yaml.safe_load(path.read_bytes())["version"] == 1


def test_vcrpys_json_needs_no_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    source = cassette_of(tmp_path / "a.fcz", recorded())
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "yaml", None)
        result = run("export", source, path, "--to", "vcr")
        assert (
            "pip install 'fakeai-proxy[vcr]'"
            in run("export", source, tmp_path / "a.yaml", "--to", "vcr").output
        )
        assert run("import", path, tmp_path / "back.jsonl").exit_code == 0
    assert (
        "left out: 2 with bodies that are no text, which vcrpy keeps in YAML only" in result.stderr
    )
    assert next(one[2] for one in held(tmp_path / "back.jsonl")) == b'{"n": 1}'
    with vcr.use_cassette(str(path), record_mode="none", serializer="json"):
        answer = requests.post("https://api.openai.com/v1/chat/completions", json={}, timeout=9)
    assert answer.json() == {"n": 1}


LONG = " ".join(f"word{number}" for number in range(2000))


def conversation(number: int, text: str, usage: dict[str, int] | None, session: str = "") -> Draft:
    body = {"model": "gpt-4o", "messages": [{"role": "system", "content": LONG},
                                            {"role": "user", "content": text}]}  # fmt: skip
    answer: dict[str, Any] = {
        "choices": [{"message": {"role": "assistant", "content": "one two three"}}]
    }
    if usage:
        answer["usage"] = usage
    data = json.dumps(answer).encode()
    heard = Heard(200, JSON, "", 1000, Tape(data), [len(data)], [250_000])
    return draft(number, body=Tape(json.dumps(body).encode()), heard=heard, session=session)


def test_an_exported_trace_is_one_that_simulate_reads(tmp_path: Path) -> None:
    made = [
        conversation(1, "first", {"prompt_tokens": 2100, "completion_tokens": 40}),
        conversation(3, "second " + LONG, None, "s"),
        conversation(2, "first", {"prompt_tokens": 9000, "completion_tokens": 7}),
        draft(4, method="GET", target="/v1/models", body=Tape()),
    ]
    source, path = cassette_of(tmp_path / "a.fcz", made), tmp_path / "trace.jsonl"
    result = run("export", source, path, "--to", "mooncake")
    assert "3 recordings as mooncake" in result.stdout
    assert "left out: 1 without a prompt and tokens" in result.stderr
    first, second, third = read_trace(path)
    assert [one.at for one in (first, second, third)] == [0.0, 0.25, 0.5]
    assert (first.prompt_tokens, first.output_tokens) == (2100, 40)
    assert (second.prompt_tokens, second.output_tokens) == (9000, 7)
    assert third.output_tokens == 3
    assert third.prompt_tokens > 8000
    assert [len(one.prefix) for one in (first, second)] == [5, 18]
    assert len(third.prefix) == -(-third.prompt_tokens // 512)
    assert first.prefix == second.prefix[:5], "equal prompts, of which more was counted once"
    assert first.prefix[:3] == third.prefix[:3], "the system prompt, whole blocks of it"
    assert set(second.prefix[9:]).isdisjoint(third.prefix[9:])


@pytest.mark.parametrize("name", ["aiperf", "guidellm"])
def test_traces_for_benchmark_tools_have_their_fields(tmp_path: Path, name: str) -> None:
    made = [conversation(1, "a", None), conversation(3, "b", None, "s")]
    path = tmp_path / "trace.jsonl"
    run("export", cassette_of(tmp_path / "a.fcz", made), path, "--to", name)
    one, two = [json.loads(line) for line in path.read_text().splitlines()]
    assert (one["output_length"], len(one["hash_ids"])) == (3, -(-one["input_length"] // 512))
    if name == "aiperf":
        assert (two["timestamp"], two["session_id"]) == (500, "s")
        assert "session_id" not in one
    else:
        assert (two["timestamp"], two["duration"], two["conversation_id"]) == (0.5, 0.25, "s")
        assert one["conversation_id"] == f"{1:016x}"


def test_nothing_is_overwritten_and_nothing_half_written(tmp_path: Path) -> None:
    source, path = cassette_of(tmp_path / "a.fcz", recorded()[3:4]), tmp_path / "out"
    path.write_text("mine")
    assert "is there already" in run("export", source, path, "--to", "har").output
    assert path.read_text() == "mine"
    result = run("export", source, tmp_path / "trace", "--to", "mooncake")
    assert (result.exit_code, "mooncake" in result.output) == (1, True)
    blob = next((source / "blobs").rglob("*.zst"))
    blob.write_bytes(b"damaged")
    result = run("export", source, tmp_path / "b.har", "--to", "har")
    assert (result.exit_code, str(blob) in result.output) == (1, True)
    assert {one.name for one in tmp_path.iterdir()} == {"a.fcz", "out"}

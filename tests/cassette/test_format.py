"""Records come back exactly, whatever bytes they hold."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeai_proxy.cassette.bodies import Blob, from_form, to_form
from fakeai_proxy.cassette.format import (
    Drop,
    Head,
    Interaction,
    Open,
    RecordedRequest,
    RecordedResponse,
    Unknown,
    decode,
    decode_reply,
    encode,
)
from fakeai_proxy.errors import CassetteError

_json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
_json_bodies = st.builds(
    lambda value, indent, is_ascii, tail: (
        json.dumps(value, indent=indent, ensure_ascii=is_ascii).encode("utf-8", "replace") + tail
    ),
    _json_values,
    st.sampled_from([None, 1, 2, 4, 12]),
    st.booleans(),
    st.sampled_from([b"", b"\n", b" \r\n"]),
)
_sse_bodies = st.lists(
    st.sampled_from([b"data: {}", b"\n\n", b"\r\n\r\n", b"\n", b": x", b"\xff", b"data: [DONE]"])
).map(b"".join)
bodies = st.binary(max_size=400) | _json_bodies | _sse_bodies | st.text().map(str.encode)
headers = st.lists(
    st.tuples(st.binary(min_size=1, max_size=20), st.binary(max_size=40))
    | st.just((b"Content-Type", b"text/event-stream"))
    | st.just((b"x-dup", b"1")),
    max_size=6,
).map(tuple)
extras = st.dictionaries(st.text(min_size=1).map("x_".__add__), _json_values.filter(
    lambda value: json.loads(json.dumps(value)) == value), max_size=2)  # fmt: skip


@given(bodies, st.booleans())
def test_a_body_comes_back_from_its_form(body: bytes, sse: bool) -> None:
    assert from_form(json.loads(json.dumps(to_form(body, sse)))) == body


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (b'{"a":1,"b":[1.5,"\xc3\xa9"]}', "json"),
        (b'{"a": 1, "b": []}', "json"),
        (b'{\n  "a": 1\n}\n', "json"),
        (b'{"a": "\\u00e9"}', "json"),
        (b'{"a":1.50}', "text"),
        (b'{"a":1,"a":2}', "text"),
        (b'{"a":NaN}', "text"),
        (b'{"a" :1}', "text"),
        (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "text"),
        (b'{"n":' + b"9" * 5000 + b"}", "text"),
        (b"plain", "text"),
        (b"\xff\x00", "base64"),
    ],
)
def test_a_body_is_shown_as_readably_as_is_exact(body: bytes, form: str) -> None:
    assert form in to_form(body)
    assert from_form(to_form(body)) == body


def test_a_stream_is_shown_frame_by_frame() -> None:
    assert to_form(b"data: 1\n\ndata: 2\n\n", sse=True) == {"frames": ["data: 1", "data: 2", ""]}


_responses = st.builds(
    RecordedResponse,
    status=st.integers(100, 599),
    headers=headers,
    body=bodies | st.builds(Blob, st.just("ab" * 32), st.integers(0, 1 << 40)),
    cuts=st.lists(st.integers(0, 1 << 30), max_size=5).map(tuple),
    gaps_us=st.lists(st.integers(0, 1 << 50), max_size=5).map(tuple),
    head_us=st.integers(0, 1 << 50),
    end=st.sampled_from(["eof", "reset", "timeout", "client_gone", "upstream_error"]),
    reason=st.text(max_size=10),
    withheld=st.text(max_size=10),
    extra=extras,
)
_requests = st.builds(
    RecordedRequest,
    method=st.sampled_from(["GET", "POST", "odd"]),
    target=st.sampled_from(["/v1/x?a=1&a=2", "/\udcff\u00e9", "*"]),
    headers=headers,
    body=bodies,
    complete=st.booleans(),
    withheld=st.text(max_size=5),
    extra=extras,
)
interactions = st.builds(
    Interaction,
    id=st.binary(min_size=8, max_size=8).map(bytes.hex),
    at=st.floats(0, 4e9),
    upstream=st.sampled_from(["", "https://api.openai.com"]),
    request=_requests,
    response=st.none() | _responses,
    raw_key=st.binary(min_size=16, max_size=16),
    key=st.binary(min_size=16, max_size=16),
    simhash=st.integers(0, (1 << 64) - 1),
    session=st.text(max_size=5),
    seq=st.integers(0, 1 << 40),
    auth=extras,
    view=extras,
    extra=extras,
)


@settings(max_examples=200)
@given(interactions)
def test_an_interaction_comes_back_from_its_line(interaction: Interaction) -> None:
    line = encode(interaction)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line) == interaction


def test_the_small_records_come_back_too() -> None:
    for record in (
        Head("tool 1", 12.5, b"salt", extra={"later": [1]}),
        Open("00" * 8, 1.5, "https://h", RecordedRequest("GET", "/", ((b"a", b"\xff"),))),
        Drop("11" * 8, "recorder_backpressure"),
        Unknown("mark", {"name": "of a later version"}),
    ):
        assert decode(encode(record)) == record


def test_a_lone_surrogate_survives() -> None:
    body = b'{"a": "\\ud800"}'
    record = Interaction("00" * 8, 0.0, "", RecordedRequest("POST", "/", (), body), None, b"", b"")
    assert decode(encode(record)) == record


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"{}", b'{"kind": "close"}', b'{"kind":"head","version":99}', b"\xff",
             b'{"kind":"close","id":"1","request":{"method":"G","target":"/","headers":[],'
             b'"body":{"later":1}},"response":null}'],
)  # fmt: skip
def test_what_is_no_record_is_refused(line: bytes) -> None:
    with pytest.raises(CassetteError):
        decode(line)


_plain_json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 1 << 70) | st.floats(allow_nan=False,
        allow_infinity=False) | st.text() | st.sampled_from(['"', "\\", ',"request":{"method":']),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.text() | st.sampled_from(["response", "request", "status", "body", "json"]), inner,
        max_size=4),
    max_leaves=20,
)  # fmt: skip
_laid_out = st.builds(
    lambda value, separators, is_ascii: json.dumps(
        {"a": value}, separators=separators, ensure_ascii=is_ascii
    ).encode("utf-8", "replace"),
    _plain_json,
    st.sampled_from([(",", ":"), (", ", ": "), (",", ": ")]),
    st.booleans(),
)


@given(interactions, _laid_out | bodies, _laid_out | bodies, st.booleans())
@settings(max_examples=300)
def test_a_reply_is_read_without_its_request_as_it_is_with_it(
    record: Interaction, asked: bytes, told: bytes, whole: bool
) -> None:
    request = replace(record.request, body=asked)
    response = record.response
    if response is not None:
        cuts = (len(told),) if whole else response.cuts
        response = replace(response, body=told, cuts=cuts)
    record = replace(record, request=request, response=response)
    line = encode(record)
    full = decode(line)
    assert isinstance(full, Interaction)
    reply = decode_reply(line)
    if response is None:
        assert reply is None
    else:
        assert reply is None or reply == (full.response, full.view, full.at, full.auth)


def test_a_reply_that_looks_like_a_record_is_not_taken_for_one() -> None:
    inner = b'{"a":{"b":1}},"request":{"method":"x"}'
    body = b'{"response":{"status":200,"cuts":[1],"body":{"json":%b},"c":{"d":1}}' % inner
    response = RecordedResponse(201, (), body, (len(body),), (5,))
    request = RecordedRequest("POST", "/", (), body)
    line = encode(Interaction("0" * 16, 0.0, "", request, response, b"", b""))
    assert decode_reply(line) == (response, {}, 0.0, {})
    edited = line.replace(
        b'"cuts":[%d]' % len(body), b'"cuts":[%d]' % len(b'{"response":{"status":200,')
    )
    reply = decode_reply(edited)
    assert reply is not None
    assert reply[0].body == body


def test_a_record_with_its_request_first_is_left_to_the_whole_reading() -> None:
    fields = json.loads(encode(Interaction(
        "0" * 16, 0.0, "", RecordedRequest("POST", "/", (), b"{}"),
        RecordedResponse(200, (), b"{}", (2,), (5,)), b"", b"")))  # fmt: skip
    fields["response"] = fields.pop("response")
    line = json.dumps(fields, separators=(",", ":")).encode()
    assert decode_reply(line) is None
    assert decode_reply(b'{"kind":"drop"}') is None

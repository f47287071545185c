"""Messages of WebSockets: on the wire, in a record, and without secrets."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeai_proxy.cassette import sealing
from fakeai_proxy.cassette.blobs import BlobStore
from fakeai_proxy.cassette.findings import verify_secrets
from fakeai_proxy.cassette.format import Interaction, decode, decode_reply, encode
from fakeai_proxy.cassette.messages import Message, from_fields, to_fields
from fakeai_proxy.cassette.redaction import Redactor
from fakeai_proxy.cassette.rfc6455 import FramingError, Reader, framed, unmasked
from fakeai_proxy.cassette.scrubbing import Scrub
from fakeai_proxy.errors import CassetteError
from tests.cassette import sockets
from tests.cassette.made import SALT, cassette_of, held

MESSAGES = st.builds(
    Message,
    st.sampled_from(["client", "server"]),
    st.sampled_from(["text", "binary", "ping", "pong"]),
    st.integers(0, 10**9),
    st.one_of(
        st.binary(max_size=60),
        st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace")),
        st.sampled_from([b'{"type": "a", "b": [1.0, 2]}', b'{"a":1}', b"", b"{"]),
    ),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(MESSAGES, st.lists(st.integers(0, 60), max_size=3)), max_size=5), st.data()
)
def test_what_is_framed_is_read_again_however_it_arrives(
    said: list[tuple[Message, list[int]]], data: st.DataObject
) -> None:
    wire, expected = b"", []
    for message, borders in said:
        cuts: tuple[int, ...] = ()
        if message.op in ("text", "binary") and borders:
            places = [0, *sorted(min(border, len(message.data)) for border in borders)]
            places.append(len(message.data))
            cuts = tuple(after - before for before, after in pairwise(places))
        wire += framed(message.op, message.data, cuts)
        expected.append((message.op, message.data, cuts))
    reader, found = Reader(), []
    while wire:
        size = data.draw(st.integers(1, len(wire)))
        found += [tuple(whole) for whole in reader.feed(wire[:size])]
        wire = wire[size:]
    assert found == expected


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_001])
def test_a_masked_message_of_any_length_is_read(size: int) -> None:
    data, mask = bytes(place % 251 for place in range(size)), b"\x01\x82\x03\xff"
    plain = framed("binary", data)
    head = plain[: len(plain) - size]
    wire = head[:1] + bytes((head[1] | 0x80,)) + head[2:] + mask + unmasked(data, mask)
    [whole] = Reader().feed(wire)
    assert whole.data == data


@pytest.mark.parametrize(
    "wire",
    [b"\xc1\x00", b"\x80\x00", b"\x01\x01a\x01\x01b", b"\x83\x00", b"\x82\x7f" + b"\x7f" * 8],
)
def test_what_is_no_frame_is_refused(wire: bytes) -> None:
    with pytest.raises(FramingError):
        Reader().feed(wire)


@settings(deadline=None)
@given(MESSAGES)
def test_a_message_comes_back_from_its_fields(message: Message) -> None:
    assert from_fields(to_fields(message)) == message


@pytest.mark.parametrize("data", [b"", b"\x03", b"\x03\xe8", b"\x0f\xa1\xc3\xa9", b"\x0f\xa1\xff"])
def test_a_close_comes_back_and_its_code_is_readable(data: bytes) -> None:
    message = Message("server", "close", 3, data)
    fields = to_fields(message)
    readable = len(data) >= 2 and 255 not in data[2:]
    assert fields.get("code") == (int.from_bytes(data[:2], "big") if readable else None)
    assert from_fields(fields) == message


@pytest.mark.parametrize(
    "fields",
    [{"dir": "up", "op": "text"}, {"dir": "client", "op": "jump"},
     {"dir": "client", "op": "text", "data": {"blob": "0", "bytes": 1}}],
)  # fmt: skip
def test_what_is_no_message_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(CassetteError):
        from_fields(fields)


def only(path: Path) -> Interaction:
    [(record, _, _)] = held(path)
    return record


def test_a_record_keeps_every_message_and_shows_json_as_json(tmp_path: Path) -> None:
    said = sockets.conversation()
    record = only(cassette_of(tmp_path / "c.jsonl", [sockets.draft(said)]))
    assert record.response is not None
    assert list(record.response.messages) == said
    line = encode(record)
    assert decode(line) == record
    assert decode_reply(line) == (record.response, record.view, record.at, record.auth)
    assert b'"data":{"json":{"type":"session.created"' in line
    assert b'"op":"close","dt_us":5000,"code":1000,"reason":"bye"' in line
    assert record.view["usage"] == {"prompt_tokens": 7, "completion_tokens": 4}


def test_what_is_unknown_of_a_message_is_kept(tmp_path: Path) -> None:
    record = only(cassette_of(tmp_path / "c.jsonl", [sockets.draft(sockets.conversation())]))
    line = encode(record).replace(b'{"dir":', b'{"mood":"fine","dir":')
    assert encode(decode(line)).count(b'"mood":"fine"') == len(sockets.conversation())


def test_a_sealed_socket_is_the_same(tmp_path: Path) -> None:
    drafts = [sockets.draft(sockets.conversation(f"number {place}"), place) for place in range(3)]
    path = cassette_of(tmp_path / "c.fcz", drafts)
    before = held(path)
    sealing.seal(path)
    assert held(path) == before


def test_scrubbing_finds_what_stands_in_messages_and_across_them(tmp_path: Path) -> None:
    key = b"sk-ant-api03-" + b"Q" * 30
    said = [
        sockets.event("server", 1, "delta", delta=key[:9].decode()),
        sockets.event("client", 1, "x", key=key.decode()),
        sockets.event("server", 1, "delta", delta=key[9:].decode()),
        sockets.frame("client", "binary", 1, b"\xff" + key),
        sockets.frame("server", "close", 1, b"\x0f\xa0" + key),
    ]
    record = only(cassette_of(tmp_path / "c.jsonl", [sockets.draft(said)]))
    assert record.response is not None
    assert b"Q" * 20 not in encode(record)
    assert [len(one.data) for one in record.response.messages] == [len(one.data) for one in said]
    dirty = replace(record, response=replace(record.response, messages=tuple(said)))
    found = {finding.where for finding in verify_secrets(dirty)}
    assert {"client messages", "server messages", "server messages, over several frames"} <= found
    scrub = Scrub(Redactor(SALT), BlobStore(tmp_path / "blobs"))
    assert scrub(dirty) == record
    assert scrub(record) is record

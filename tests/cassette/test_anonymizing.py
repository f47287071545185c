"""Other words, and everything else as it was."""

from __future__ import annotations

import json
import re
from contextlib import closing
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.cassette.anonymizing import PROTOCOL, Words
from fakeai_proxy.cassette.draft import Draft, Heard
from fakeai_proxy.cassette.format import Interaction
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.tape import Tape
from tests.cassette.test_library import JSON, TARGET, opened
from tests.cli.test_cassette_packing import PICTURE, held, run, said

SSE = ((b"content-type", b"text/event-stream"), (b"x-request-id", b"req_secret77"))
CALL = {"id": "call_Secret99", "type": "function",
        "function": {"name": "find_patient", "arguments": '{"surname": "Hopper", "ward": 12}'}}  # fmt: skip
TURNS = [
    {
        "role": "system",
        "content": "You care for Grace Hopper, née Murray, born 1906-12-09.\nBe brief.",
    },
    {"role": "user", "content": "Where is Grace? 東京 or Zürich \U0001f600"},
]
TOOLS = [{"type": "function", "function": {"name": "find_patient", "parameters": {
    "type": "object", "properties": {"surname": {"type": "string"}}, "required": ["surname"]}}}]  # fmt: skip
#: Words that nobody may find in the copy.
PRIVATE = ("Grace", "Hopper", "Murray", "patient", "brief", "Zürich", "東京", "1906", "Secret99",
           "secret77", "internal-host", "nightly")  # fmt: skip


def record(path: Path) -> None:
    library = opened(path, record=True)
    _append(library, 1, TURNS, _stream(["Gra", "ce ", "Hop", "per is in ward ", "12."]), SSE)
    answered = [*TURNS, {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "call_Secret99", "content": "ward 12"}]  # fmt: skip
    whole = json.dumps({"id": "chatcmpl-Secret99", "object": "chat.completion", "model": "gpt-4o",
                        "choices": [{"index": 0, "finish_reason": "stop", "message": {
                            "role": "assistant", "content": "Grace Hopper is in ward 12.",
                            "tool_calls": [CALL]}}],
                        "usage": {"prompt_tokens": 91, "completion_tokens": 7}})  # fmt: skip
    _append(library, 2, answered, [whole.encode()], JSON)
    drawn = Heard(200, ((b"content-type", b"image/png"),), cuts=[len(PICTURE)], gaps_us=[5],
                  body=Tape(PICTURE))  # fmt: skip
    draft = Draft(f"{3:016x}", 3.0, "https://internal-host.example:8443", "GET",
                  "/files?owner=Hopper", (), session="nightly", heard=drawn)  # fmt: skip
    assert library.append(draft).result(timeout=30)
    library.close()


def _stream(pieces: list[str]) -> list[bytes]:
    frame = '{"id":"chatcmpl-Secret99","object":"chat.completion.chunk","model":"gpt-4o","choices":[%s]}'
    deltas = [json.dumps({"index": 0, "delta": {"content": piece}}) for piece in pieces]
    return [b"data: %b\n\n" % (frame % delta).encode() for delta in deltas] + [b"data: [DONE]\n\n"]


def _append(
    library: Library, number: int, turns: list[Any], pieces: list[bytes], headers: Any
) -> None:
    heard = Heard(200, headers, cuts=[len(one) for one in pieces], gaps_us=[9000] * len(pieces))
    for piece in pieces:
        heard.body.add(piece)
    asked = json.dumps({"model": "gpt-4o", "messages": turns, "tools": TOOLS}, ensure_ascii=False)
    draft = Draft(f"{number:016x}", float(number), "https://api.openai.com", "POST", TARGET, JSON,
                  body=Tape(asked.encode()), heard=heard)  # fmt: skip
    assert library.append(draft).result(timeout=30)


def _json(record: Interaction) -> Any:
    assert isinstance(record.request.body, bytes)
    return json.loads(record.request.body)


def shape(value: Any) -> Any:
    """Names, types, lengths in bytes, and all that is no text."""
    if isinstance(value, dict):
        return {name: child if name.encode() in PROTOCOL else shape(child)
                for name, child in value.items()}  # fmt: skip
    if isinstance(value, list):
        return [shape(child) for child in value]
    return len(value.encode()) if isinstance(value, str) else value


def test_the_words_are_others_and_everything_else_is_as_it_was(tmp_path: Path) -> None:
    path, copy = tmp_path / "c.fcz", tmp_path / "copy.jsonl"
    record(path)
    assert "3 recordings" in said("anonymize", path, copy)
    text = copy.read_text("utf-8")
    assert [word for word in PRIVATE if word.lower() in text.lower()] == []
    before, after = held(path), held(copy)
    for (one, body), (other, changed) in zip(before, after, strict=True):
        assert one.response is not None
        assert other.response is not None
        assert len(body) == len(changed)
        assert (one.response.cuts, one.response.gaps_us) == (
            other.response.cuts,
            other.response.gaps_us,
        )
        assert one.view.get("usage") == other.view.get("usage")
        assert len(one.upstream) == len(other.upstream)
    for place in (0, 1):
        assert shape(_json(before[place][0])) == shape(_json(after[place][0]))
    assert after[2][1] == bytes(len(PICTURE))
    assert after[0][0].upstream == "https://api.openai.com"


def test_what_referred_to_each_other_still_does(tmp_path: Path) -> None:
    path, copy = tmp_path / "c.fcz", tmp_path / "copy.fcz"
    record(path)
    said("anonymize", path, copy)
    (first, stream), (second, whole), _ = held(copy)
    turns = _json(second)["messages"]
    assert turns[:2] == _json(first)["messages"]
    call = turns[2]["tool_calls"][0]
    assert call["id"] == turns[3]["tool_call_id"]
    assert call["function"]["name"] == _json(second)["tools"][0]["function"]["name"]
    [named] = _json(second)["tools"][0]["function"]["parameters"]["properties"]
    assert named in json.loads(call["function"]["arguments"])
    # A word that came in pieces is the same as in one.
    pieces = re.findall(rb'"content": ?"([^"]*)"', stream)
    answer = json.loads(whole)["choices"][0]["message"]["content"]
    assert b"".join(pieces).decode() == answer


def test_placeholders_stay_such_and_tell_no_longer_whose_they_were(tmp_path: Path) -> None:
    path, copy = tmp_path / "c.fcz", tmp_path / "copy.jsonl"
    secrets = ((b"Authorization", b"Bearer sk-proj-" + b"A1b2C3d4" * 9), (b"Cookie", b"s=fj39dk20"))
    asked = Tape(b'{"note": "ask sk-ant-api03-%b, she knows"}' % (b"Zz9Yy8" * 15))
    with closing(opened(path, record=True)) as library:
        assert library.append(
            Draft(
                "0" * 16,
                1.0,
                "https://api.openai.com",
                "POST",
                TARGET,
                JSON + secrets,
                body=asked,
                heard=Heard(200, JSON),
            )
        ).result(timeout=30)
    said("anonymize", path, copy)
    assert "no secrets" in said("verify", "--secrets", copy)
    [(before, _)], [(after, _)] = held(path), held(copy)
    tags = [re.findall(r"\.([0-9a-f]{12})", repr(one.request)) for one in (before, after)]
    assert len(tags[0]) == len(tags[1]) >= 2
    assert not set(tags[0]) & set(tags[1])


def test_two_copies_have_different_words_and_the_original_stays(tmp_path: Path) -> None:
    path = tmp_path / "c.fcz"
    record(path)
    before = held(path)
    said("anonymize", path, tmp_path / "one.fcz")
    said("anonymize", path, tmp_path / "two.fcz")
    assert held(tmp_path / "one.fcz")[1][1] != held(tmp_path / "two.fcz")[1][1]
    assert held(path) == before
    assert run("anonymize", path, path).exit_code == 1


@given(st.text(max_size=60))
def test_any_text_keeps_its_length_and_stays_text(text: str) -> None:
    data = json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass")
    changed = Words(b"salt").text(data[1:-1])
    assert len(changed) == len(data) - 2
    if "surrogate" not in repr(data) and not any(0xD800 <= ord(one) <= 0xDFFF for one in text):
        assert isinstance(json.loads(b'"' + changed + b'"'), str)

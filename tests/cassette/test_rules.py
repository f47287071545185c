"""What users have scrubbed besides credentials, at the same lengths, and found again all the same."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeai_proxy.cassette.draft import Draft, Heard
from fakeai_proxy.cassette.findings import verify_secrets
from fakeai_proxy.cassette.leniency import Leniency
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.manifest import Manifest
from fakeai_proxy.cassette.matching import raw_key
from fakeai_proxy.cassette.near import Near
from fakeai_proxy.cassette.redaction import Redactor
from fakeai_proxy.cassette.rules import Rules
from fakeai_proxy.cassette.settings import CassetteSettings
from fakeai_proxy.cassette.tape import Tape
from fakeai_proxy.clock import SystemClock
from fakeai_proxy.config import Config
from fakeai_proxy.errors import ConfigError
from tests.cli.test_cassette import run

PERSONAL = {
    "email": "jane.doe+llm@mail.example.co.uk",
    "phone": "+44 20 7946 0958",
    "us phone": "(555) 010-4477",
    "card": "4111 1111 1111 1111",
    "card without spaces": "5555555555554444",
    "iban": "DE89 3704 0044 0532 0130 00",
    "ssn": "536-22-8726",
    "ip": "203.0.113.77",
}
PII = Redactor(b"salt", Rules.made(personal=True))
JSON = ((b"content-type", b"application/json"),)


@pytest.mark.parametrize("name", sorted(PERSONAL))
def test_personal_data_is_hidden_in_text_and_json(name: str) -> None:
    text = PERSONAL[name]
    for body in (f"write to {text}, please", json.dumps({"a": f"line\n{text}\nend", "b": text})):
        clean = PII.scrub(body.encode(), ())
        assert text.encode() not in clean
        assert len(clean) == len(body)
        assert PII.scrub(clean, ()) is clean
        if body.startswith("{"):
            assert set(json.loads(clean)) == {"a", "b"}
            assert json.loads(clean)["a"].startswith("line\n")
        assert Redactor(b"salt").scrub(body.encode(), ()) == body.encode()


@pytest.mark.parametrize("name", sorted(PERSONAL))
def test_personal_data_is_hidden_wherever_a_stream_is_cut(name: str) -> None:
    whole = f"so: {PERSONAL[name]} it is"
    for cut in range(1, len(whole)):
        frames = [json.dumps({"choices": [{"index": 0, "delta": {"content": piece}}]})
                  for piece in (whole[:cut], whole[cut:])]  # fmt: skip
        body = "".join(f"data: {frame}\n\n" for frame in frames).encode()
        clean = PII.scrub(body, (), lines=True)
        told = [json.loads(line[6:]) for line in clean.split(b"\n\n") if line]
        text = "".join(frame["choices"][0]["delta"]["content"] for frame in told)
        assert PERSONAL[name][4:] not in text
        assert text.startswith("so: ")
        assert len(clean) == len(body)


def test_numbers_that_are_nobodys_stay() -> None:
    body = (
        b'{"created":1750000000,"n":4111111111111112,"v":"1.2.3","id":"chatcmpl-123","t":0.1234567890123,'
        b'"at":"2026-06-15T15:06:40Z","ip":"127.0.0.1","x":"DE00 3704 0044 0532 0130 00","e":"a@b"}'
    )
    assert PII.scrub(body, ()) is body


def test_a_number_stays_a_number() -> None:
    clean = PII.scrub(b'{"card": 4111111111111111, "n": 1}', ())
    assert json.loads(clean) == {"card": 1000000000000000, "n": 1}


def test_a_pattern_hides_what_it_matches_and_a_group_of_it_its_group() -> None:
    redactor = Redactor(b"s", Rules.made((r"ACME-\S+", r"(?i)customer (\w+)")))
    clean = redactor.scrub(b'{"a": "ACME-77/x", "b": "Customer Jane, ACME-1"}', ())
    told = json.loads(clean)
    assert set(told) == {"a", "b"}
    assert "ACME" not in told["a"]
    assert told["b"].startswith("Customer ")
    assert "Jane" not in told["b"]
    assert redactor.scrub(clean, ()) == clean


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text('ab\\"\n\té ', max_size=8), min_size=1, max_size=4),
    st.sampled_from([r"\d{3,}", r"[a-z]+-\d+", r"\S*77", r".{1,9}", r'"b.*', r"\w+"]),
    st.lists(st.integers(1, 60), min_size=1, max_size=5),
)
def test_whatever_a_pattern_matches_json_stays_json(
    texts: list[str], pattern: str, sizes: list[int]
) -> None:
    """But for patterns that name quotes themselves."""
    redactor = Redactor(b"s", Rules.made((pattern,)))
    body = json.dumps([f"{text}x-77 4077{text}" for text in texts]).encode()
    pieces = [
        body[a:b] for a, b in pairwise(sorted({0, len(body), *(s % len(body) for s in sizes)}))
    ]
    for clean in (redactor.scrub(body, ()), b"".join(redactor.scrub_pieces(pieces, ()))):
        assert len(clean) == len(body)
        if clean == redactor.scrub(body, ()) and '"' not in pattern:
            assert len(json.loads(clean)) == len(texts)


@pytest.mark.parametrize("pattern", ["(", "a*"])
def test_a_pattern_that_is_none_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match="scrub-pattern"):
        Config.load(flags={"scrub_pattern": (pattern,)})


def test_a_comma_is_part_of_a_pattern() -> None:
    config = Config.load(environ={"FAKEAI_PROXY_SCRUB_PATTERN": r"x\d{2,3}"})
    assert config.scrub_pattern == (r"x\d{2,3}",)


BODY = b'{"model": "m", "messages": [{"role": "user", "content": "I am jane@example.com, id call_a1b2c3d4"}]}'


def _recorded(path: Path) -> None:
    chosen = CassetteSettings(cassette=(path,), scrub_pii=True, scrub_pattern=("zebra-\\d+",),
                              scrub_header=("x-who",))  # fmt: skip
    library = Library.open(chosen, SystemClock(), record=True)
    answer = b'{"said": "jane@example.com has zebra-7"}'
    heard = Heard(
        200, (*JSON, (b"X-Who", b"jane")), body=Tape(answer), cuts=[len(answer)], gaps_us=[1]
    )
    one = Draft("0" * 16, 1.0, "https://api.openai.com", "POST", "/v1/chat/completions", JSON,
                body=Tape(BODY), heard=heard)  # fmt: skip
    assert library.append(one).result(timeout=30)
    library.close()


@pytest.mark.parametrize("name", ["c.fcz", "c.jsonl"])
def test_what_was_asked_is_found_by_the_same_question(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    _recorded(path)
    library = Library.open(CassetteSettings(cassette=(path,)), SystemClock())
    wanted = raw_key("POST", "/v1/chat/completions", JSON, BODY)
    entry = library.find(wanted, 0)
    assert entry is not None
    record = library.load(entry)
    assert record.response is not None
    text = repr(record)
    assert "jane" not in text
    assert "zebra" not in text
    assert record.response.headers[1][1].startswith(b"REDACTED.header.")
    # And by one with other ids, which is compared with what was recorded.
    near = Near(library, Leniency("agent"))
    other = BODY.replace(b"a1b2c3d4", b"z9z9z9z9")
    _, found = near.find("POST", "/v1/chat/completions", JSON, other, 0)
    assert [one.label.id for one in found] == [entry.label.id]
    _, found = near.find("POST", "/v1/chat/completions", JSON, other.replace(b"jane", b"john"), 0)
    assert not found
    library.close()


def test_the_cassette_says_by_what_rules_it_was_recorded(tmp_path: Path) -> None:
    path = tmp_path / "c.fcz"
    _recorded(path)
    policy = Manifest.read(path).extra["scrub"]
    assert policy["pii"] is True
    assert policy["headers"] == ["x-who"]
    assert len(policy["patterns"]) == 1
    assert "zebra" not in (path / "manifest.json").read_text()
    result = run("verify", "--secrets", path)
    assert result.exit_code == 0
    assert "1 patterns" in result.stderr
    result = run("verify", "--secrets", path, "--scrub-pattern", "zebra-\\d+")
    assert (result.exit_code, result.stderr) == (0, "")


def test_what_was_recorded_without_rules_is_found_and_scrubbed_by_them(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    library = Library.open(CassetteSettings(cassette=(path,)), SystemClock(), record=True)
    heard = Heard(200, (*JSON, (b"X-Who", b"jane")), body=Tape(b"{}"), cuts=[2], gaps_us=[1])
    one = Draft("0" * 16, 1.0, "", "POST", "/v1/x", JSON, body=Tape(BODY), heard=heard)
    assert library.append(one).result(timeout=30)
    assert verify_secrets(library.load(library.index.entries[0])) == []
    library.close()
    assert run("verify", "--secrets", path).exit_code == 0
    rules = ("--scrub-pii", "--scrub-header", "x-who", "--scrub-pattern", "call_[a-z0-9]{3,}")
    said = run("verify", "--secrets", path, *rules)
    assert said.exit_code == 1
    assert {line.split(": ")[1].split()[0] for line in said.stdout.splitlines()[:3]} == {
        "email", "custom", "X-Who",
    }  # fmt: skip
    assert run("scrub", path, *rules).stdout == "1 of 1 recording had something to hide\n"
    assert run("verify", "--secrets", path, *rules).exit_code == 0
    assert "jane" not in path.read_text()
    assert run("verify", "--secrets", path, "--scrub-pattern", "(").exit_code == 1

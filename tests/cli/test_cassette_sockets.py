"""The cassette commands on recorded WebSockets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cassette import sockets
from tests.cassette.made import cassette_of, held
from tests.cli.test_cassette import run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return cassette_of(tmp_path / "c.fcz", [sockets.draft(sockets.conversation())])


ID = f"{0:016x}"


def test_it_is_listed_and_counted(path: Path) -> None:
    [row] = [json.loads(line) for line in run("ls", path, "--json").stdout.splitlines()]
    assert row["request"] == f"WS https://api.openai.com{sockets.TARGET}"
    assert (row["status"], row["end"], row["model"]) == (101, "eof", "gpt-realtime")
    assert row["seconds"] == 0.572
    stats = json.loads(run("stats", path, "--json").stdout)
    assert (stats["sockets"], stats["completion_tokens"]) == (1, 4)
    assert stats["reply_bytes"] == row["bytes"] > 0


def test_it_is_shown_as_a_conversation_with_its_times(path: Path) -> None:
    out = run("show", path, ID).stdout
    assert "websockets 'wss://api.openai.com/v1/realtime?model=gpt-realtime'" in out
    lines = out.splitlines()
    assert '  0.250000  < {"type": "session.created"' in out
    assert '  0.350000  > {"type": "response.create"' in out
    assert "(684 characters of base64)" in out
    assert "  0.557000  > binary, 3 bytes" in lines
    assert "  0.572000  < close 1000 bye" in lines
    assert lines[-1] == "  0.572000  end: eof"


def test_it_is_played_and_searched(path: Path) -> None:
    assert run("play", path, ID, "--speed", "inf").stdout == "Owls hunt at night. \n"
    raw = run("play", path, ID, "--speed", "inf", "--raw").stdout
    assert '> {"type": "response.create"' in raw
    out = run("grep", "hunt at", path).stdout
    assert out.startswith(f"{ID}\tserver text\t")
    assert "client message 2" in run("grep", "owls", path).stdout


def test_what_differs_between_two_is_told(path: Path, tmp_path: Path) -> None:
    said = sockets.conversation(answer="Owls sleep by day.")
    other = cassette_of(tmp_path / "d.fcz", [sockets.draft(said)])
    told = run("diff", path, other)
    assert "hunt at night." in told.stdout
    assert "text" in told.stdout
    asked = [*said[:1], sockets.event("client", 1, "response.cancel"), *said[1:]]
    more = cassette_of(tmp_path / "e.fcz", [sockets.draft(asked)])
    assert "the client said response.cancel, response.create" in run("diff", other, more).stdout
    assert run("diff", path, path).exit_code == 0


def test_it_is_packed_verified_and_put_into_other_words(path: Path, tmp_path: Path) -> None:
    assert run("seal", path).exit_code == 0
    assert run("verify", path, "--secrets").exit_code == 0
    packed = tmp_path / "p.jsonl"
    assert run("pack", path, packed).exit_code == 0
    assert held(packed) == held(path)
    other = tmp_path / "o.fcz"
    assert run("anonymize", path, other).exit_code == 0
    [(before, _, _)], [(after, _, _)] = held(path), held(other)
    assert before.response is not None
    assert after.response is not None
    pairs = list(zip(before.response.messages, after.response.messages, strict=True))
    assert all(len(one.data) == len(two.data) for one, two in pairs)
    assert all((one.op, one.dt_us) == (two.op, two.dt_us) for one, two in pairs)
    said = b"".join(two.data for _, two in pairs)
    assert b"Owls" not in said
    assert b"response.output_text.delta" in said
    assert after.view["usage"] == before.view["usage"]
    left_out = run("export", path, tmp_path / "x.json", "--to", "vcr").output
    assert "nothing that vcr has a form for" in left_out

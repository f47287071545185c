"""`cassette ls`, `show` and `verify` on real cassettes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fakeai_proxy.cassette.draft import Draft, Heard
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.settings import CassetteSettings
from fakeai_proxy.cassette.tape import Tape
from fakeai_proxy.cli.cassette import cassette
from fakeai_proxy.clock import SystemClock

ASKED = (
    (b"Authorization", b"Bearer sk-proj-" + b"A1" * 20),
    (b"Content-Type", b"application/json"),
    (b"Host", b"api.openai.com"),
)
FRAMES = [b'data: {"model":"m"}\n\n', b"data: [DONE]\n\n"]


def run(*args: object) -> Result:
    return CliRunner().invoke(cassette, [str(arg) for arg in args])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """One whole stream, one broken JSON reply, one that never ended."""
    made = tmp_path / "c.fcz"
    library = Library.open(
        CassetteSettings(cassette=(made,), seal="never"), SystemClock(), record=True
    )
    stream = Heard(200, ((b"content-type", b"text/event-stream"),), "OK", 250_000,
                   cuts=[len(frame) for frame in FRAMES], gaps_us=[500_000, 125_000])  # fmt: skip
    broken = Heard(200, ((b"content-type", b"application/json"),), body=Tape(b'{"a'), cuts=[3],
                   gaps_us=[7], end="reset")  # fmt: skip
    for frame in FRAMES:
        stream.body.add(frame)
    for number, heard in enumerate((stream, broken, None)):
        draft = Draft(f"{number:016x}", 1.75e9, "https://api.openai.com", "POST",
                      "/v1/chat/completions", ASKED, body=Tape(b'{"model": "it\'s"}'),
                      heard=heard)  # fmt: skip
        library.begin(draft)
        if heard:
            library.append(draft).result(timeout=30)
    library.close()
    return made


def test_ls_is_plain_in_a_pipe_and_says_what_was_interrupted(path: Path) -> None:
    result = run("ls", path)
    assert result.exit_code == 0
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert [row[4] for row in rows] == ["eof", "reset", "interrupted"]
    assert rows[0] == [
        f"{0:016x}", "2025-06-15T15:06:40Z", "POST https://api.openai.com/v1/chat/completions",
        "200", "eof", "it's", str(sum(map(len, FRAMES))), "0.625",
    ]  # fmt: skip
    assert "2 of 3 were interrupted" in result.stderr


def test_ls_json_gives_an_object_a_line(path: Path) -> None:
    rows = [json.loads(line) for line in run("ls", path, "--json").stdout.splitlines()]
    assert [row["id"] for row in rows] == [f"{number:016x}" for number in range(3)]


def test_ls_says_a_torn_tail_and_leaves_it_alone(path: Path) -> None:
    [file] = path.glob("live-*")
    data = file.read_bytes()[:-3]
    file.write_bytes(data)
    assert "torn: " in run("ls", path).stderr
    assert file.read_bytes() == data


def test_show_gives_a_curl_line_and_the_stream_with_its_times(path: Path) -> None:
    out = run("show", path, f"{0:016x}").stdout
    assert "curl -X POST https://api.openai.com/v1/chat/completions" in out
    assert '-H "Authorization: Bearer $OPENAI_API_KEY"' in out
    assert """--data-raw '{"model": "it'"'"'s"}'""" in out
    assert "Host:" not in out
    assert '  0.500000  data: {"model":"m"}' in out
    assert "  0.625000  data: [DONE]" in out
    assert "end: eof" in out


def test_show_takes_the_beginning_of_an_id_if_there_is_one_such(tmp_path: Path, path: Path) -> None:
    assert "end: reset" in run("show", path, f"{1:016x}").stdout
    assert "interrupted" in run("show", path, f"{2:016x}").stdout
    assert run("show", path, "0000").exit_code == 1
    assert run("show", path, "beef").exit_code == 1


def test_verify_is_content_with_a_sound_cassette(path: Path) -> None:
    result = run("verify", path, "--secrets")
    assert (result.exit_code, result.stdout) == (0, "2 recordings, no damage and no secrets\n")


def test_verify_finds_damage(path: Path) -> None:
    [file] = path.glob("live-*")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert run("verify", path).exit_code == 1


def test_verify_finds_secrets_that_someone_put_in(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    request = {"method": "POST", "target": "/", "headers": [], "body": {"text": "hf_" + "a" * 34}}
    record = {"kind": "close", "id": "00", "request": request, "response": None}
    path.write_text(json.dumps(record) + "\n")
    assert run("verify", path).exit_code == 0
    result = run("verify", path, "--secrets")
    assert result.exit_code == 1
    assert "00: huggingface in request body: hf_aaa... (37 bytes)" in result.stdout


def test_what_is_no_cassette_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text("{}\n{}\n")
    result = run("ls", tmp_path / "c.jsonl")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")

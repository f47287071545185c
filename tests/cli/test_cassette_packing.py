"""`cassette seal`, `pack`, `unpack`, `merge`, `split`, `rekey`, `gc`, `scrub`, `grep` and `stats`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fakeai_proxy.cassette.draft import Draft, Heard
from fakeai_proxy.cassette.format import Interaction, encode
from fakeai_proxy.cassette.library import Library, settings_for
from fakeai_proxy.cassette.segments import lock
from fakeai_proxy.cassette.settings import CassetteSettings
from fakeai_proxy.cassette.tape import Tape
from fakeai_proxy.cli.cassette import cassette
from fakeai_proxy.clock import SystemClock

JSON = ((b"content-type", b"application/json"),)
SSE = ((b"content-type", b"text/event-stream"),)
BINARY = ((b"content-type", b"application/octet-stream"),)
PICTURE = bytes(range(256)) * 400


def run(*args: object) -> Result:
    return CliRunner().invoke(cassette, [str(arg) for arg in args])


def said(*args: object) -> str:
    result = run(*args)
    assert result.exit_code == 0, result.output
    return result.stdout


def make(path: Path, start: int = 0, count: int = 6) -> Path:
    library = Library.open(
        CassetteSettings(cassette=(path,), seal="never"), SystemClock(), record=True
    )
    for number in range(start, start + count):
        words = [b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % word
                 for word in (b"light", b"house", b" %d" % number)]  # fmt: skip
        heard = Heard(
            200, SSE, cuts=[len(word) for word in words], gaps_us=[200_000, 10_000, 10_000]
        )
        for word in words:
            heard.body.add(word)
        asked = b'{"model": "m%d", "n": %d}' % (number % 2, number)
        draft = Draft(f"{number:016x}", 1.75e9 + 90_000 * number, "https://api.openai.com", "POST",
                      "/v1/chat/completions", JSON, session=f"s{number % 3}", body=Tape(asked),
                      heard=heard)  # fmt: skip
        library.begin(draft)
        assert library.append(draft).result(timeout=30)
    heard = Heard(200, BINARY, cuts=[len(PICTURE)], gaps_us=[5], body=Tape(PICTURE))
    drawn = Draft(f"{start + 900:016x}", 1.76e9, "https://files.example.com", "GET",
                  f"/picture/{start}", (), heard=heard)  # fmt: skip
    assert library.append(drawn).result(timeout=30)
    library.begin(Draft(f"{start + 901:016x}", 1.76e9, "", "GET", "/never", ()))
    library.close()
    return path


def held(path: Path) -> list[tuple[Interaction, bytes]]:
    """The interactions, and the bytes of their replies' bodies."""
    library = Library.open(settings_for([path]), SystemClock(), repair=False)
    found = []
    for entry in library.index.entries:
        record = library.load(entry)
        assert record.response is not None
        body = record.response.body
        pieces = [body] if isinstance(body, bytes) else library.blob(entry, body)
        found.append((record, b"".join(pieces)))
    library.close()
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make(tmp_path / "c.fcz")


def _same(one: Path, other: Path) -> bool:
    lines = [[(encode(record), body) for record, body in held(path)] for path in (one, other)]
    return lines[0] == lines[1]


@pytest.mark.parametrize("form", [".fcz", ".jsonl", ".jsonl.zst"])
def test_a_copy_in_any_form_holds_the_same(path: Path, tmp_path: Path, form: str) -> None:
    target = tmp_path / f"copy{form}"
    assert "8 recordings" in said("pack", path, target)
    assert _same(path, target)
    back = tmp_path / "back.fcz"
    said("pack", target, back)
    assert _same(path, back)
    assert "exit" not in said("verify", back)


def test_unpacked_is_a_line_each_that_git_shows(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "plain.jsonl"
    said("unpack", path, target)
    kinds = [json.loads(line)["kind"] for line in target.read_text("utf-8").splitlines()]
    assert kinds == ["head", *["close"] * 7, "open"]
    assert run("unpack", path, tmp_path / "x.fcz").exit_code == 1


def test_what_is_there_is_not_overwritten(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "there.jsonl"
    target.write_text("mine\n")
    result = run("pack", path, target)
    assert (result.exit_code, target.read_text()) == (1, "mine\n")
    assert "already" in result.output


def test_merging_puts_one_after_the_other_and_splitting_takes_them_apart(
    path: Path, tmp_path: Path
) -> None:
    other = make(tmp_path / "other.jsonl", 100)
    both = tmp_path / "both.fcz"
    said("merge", path, other, both)
    assert [encode(record) for record, _ in held(both)] == [
        encode(record) for source in (path, other) for record, _ in held(source)
    ]
    apart = tmp_path / "apart"
    out = said("split", both, "--by", "model", apart)
    assert out.count(" recordings") == 3
    names = {file.name: len(held(file)) for file in apart.iterdir()}
    assert names == {"m0.fcz": 6, "m1.fcz": 6, "none.fcz": 2}
    assert {body for _, body in held(apart / "none.fcz")} == {PICTURE}
    for way, count in (("session", 4), ("host", 2), ("day", 13), ("route", 3)):
        folder = tmp_path / way
        said("split", both, "--by", way, folder)
        assert len(list(folder.iterdir())) == count, way


def test_seal_says_what_it_saved(path: Path) -> None:
    assert "8 recordings sealed" in said("seal", path)
    assert said("seal", path) == "nothing to seal\n"
    assert len(held(path)) == 7


def test_gc_removes_what_is_of_no_use_and_nothing_else(path: Path) -> None:
    before = [encode(record) for record, _ in held(path)]
    stray = path / "blobs" / "ab" / ("ab" * 32 + ".zst")
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"nobody names me")
    assert "7 recordings kept, 1 without an end and 1 file of bodies removed" in said("gc", path)
    assert not stray.exists()
    assert [encode(record) for record, _ in held(path)] == before
    assert held(path)[-1][1] == PICTURE


def test_rekey_gives_other_keys_only_to_those_that_need_them(path: Path, tmp_path: Path) -> None:
    plain = tmp_path / "old.jsonl"
    said("unpack", path, plain)
    right = held(plain)
    lines = plain.read_text("utf-8").splitlines()
    spoiled = json.loads(lines[2])
    spoiled["key"], spoiled["raw_key"] = "11" * 16, "22" * 16
    plain.write_text("\n".join([*lines[:2], json.dumps(spoiled), *lines[3:]]) + "\n", "utf-8")
    assert held(plain)[1][0].key == b"\x11" * 16
    assert said("rekey", plain) == "1 of 8 recordings got other keys\n"
    assert [record.key for record, _ in held(plain)] == [record.key for record, _ in right]


SECRET = "sk-proj-" + "Zz9" * 14


def test_scrub_removes_what_an_older_version_did_not_know(path: Path, tmp_path: Path) -> None:
    plain = tmp_path / "leaky.jsonl"
    said("unpack", path, plain)
    leaky = plain.read_text("utf-8").replace('"n":3', f'"key":"{SECRET}"').replace("house", SECRET)
    plain.write_text(leaky, "utf-8")
    before = held(plain)
    assert run("verify", "--secrets", plain).exit_code == 1
    assert said("scrub", plain) == "6 of 8 recordings had something to hide\n"
    assert SECRET not in plain.read_text("utf-8")
    assert run("verify", "--secrets", plain).exit_code == 0
    after = held(plain)
    assert [record.key for record, _ in after] == [record.key for record, _ in before]
    assert [len(body) for _, body in after] == [len(body) for _, body in before]
    assert said("scrub", plain) == "0 of 8 recordings had something to hide\n"


@pytest.mark.parametrize("command", ["rekey", "gc", "scrub"])
def test_nothing_is_rewritten_while_somebody_records(path: Path, command: str) -> None:
    live = next(path.glob("live-*"))
    before = live.read_bytes()
    descriptor = os.open(live, os.O_RDWR)
    assert lock(descriptor)
    result = run(command, path)
    os.close(descriptor)
    assert result.exit_code == 1
    assert "recording into it" in result.output
    assert live.read_bytes() == before


def test_grep_finds_what_lies_scattered_over_frames(path: Path) -> None:
    said("seal", path)
    rows = [line.split("\t") for line in said("grep", "-F", "lighthouse 4", path).splitlines()]
    assert rows == [[f"{4:016x}", "reply text", "lighthouse 4"]]
    assert len(said("grep", "-i", '"MODEL": "m1"', path).splitlines()) == 3
    assert run("grep", "not there", path).exit_code == 1
    assert "regular expression" in run("grep", "(", path).output


def test_stats_counts(path: Path) -> None:
    told = json.loads(said("stats", "--json", path))
    assert told["recordings"] == 7
    assert told["models"] == {"m0": 3, "m1": 3, "none": 1}
    assert told["statuses"] == {"200": 7}
    assert told["sessions"] == 4
    assert (told["streams"], told["unfinished"]) == (6, 1)
    assert told["ttft_s"] == {"p50": 0.2, "p95": 0.2}
    assert "chat/completions 6" in said("stats", path)

"""What every command about cassettes says of a path that is none."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fakeai_proxy.app import App
from fakeai_proxy.cassette.places import refused
from fakeai_proxy.cli.cassette import cassette
from fakeai_proxy.config import Config
from fakeai_proxy.errors import CassetteError

#: Every command that reads a cassette, PATH standing for it.
COMMANDS = (
    "ls PATH", "show PATH 1", "play PATH 1", "grep x PATH", "stats PATH", "diff PATH GOOD",
    "diff GOOD PATH", "recheck PATH", "verify PATH", "verify --secrets PATH", "scrub PATH",
    "anonymize PATH TARGET", "edit PATH 1", "fork PATH 1 TARGET", "cat PATH", "seal PATH",
    "pack PATH TARGET", "unpack PATH TARGET", "merge PATH GOOD TARGET", "merge GOOD PATH TARGET",
    "split PATH --by model TARGET", "rekey PATH", "gc PATH", "export PATH TARGET --to har",
    "serve PATH",
)  # fmt: skip
#: `cat` reads any one file, `seal` directories only.
HAVE_WORDS_OF_THEIR_OWN = {
    ("cat PATH", "missing.fcz"),
    ("cat PATH", "plain.fcz"),
    ("cat PATH", "notes.txt"),
    ("seal PATH", "other.jsonl"),
    ("seal PATH", "words.jsonl.zst"),
}
SHIPPED = "cassettes/quickstart.jsonl"


def invoke(command: str, path: Path) -> Result:
    places = {"PATH": str(path), "GOOD": SHIPPED, "TARGET": str(path.with_name("target.jsonl"))}
    return CliRunner().invoke(cassette, [places.get(word, word) for word in command.split()])


def made(path: Path) -> Path:
    """What is told apart by its name."""
    match path.name:
        case "empty.fcz" | "folder.jsonl":
            path.mkdir()
        case "photos.fcz":
            path.mkdir()
            (path / "whale.png").write_bytes(b"PNG")
        case "other.jsonl":
            path.write_text('{"a": 1}\n')
        case "missing.fcz":
            pass
        case _:
            path.write_bytes(b"no cassette\n")
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_no_cassette_is_one_line_that_says_what_to_do(command: str, tmp_path: Path) -> None:
    for name, words in (
        ("empty.fcz", "an empty directory; there is nothing in it. To record one: fakeai-proxy --mode"),
        ("missing.fcz", "there is no such cassette. To record one: fakeai-proxy --mode record"),
        ("photos.fcz", "a directory, but no cassette (it has no manifest.json)"),
        ("folder.jsonl", "a directory; a cassette that is one is NAME.fcz"),
        ("plain.fcz", "a file; NAME.fcz is a directory, a file is NAME.jsonl or NAME.jsonl.zst"),
        ("notes.txt", "a cassette is NAME.fcz/, NAME.jsonl or NAME.jsonl.zst. Of other programs'"),
        ("other.jsonl", "not a record of a cassette (it has no 'kind'). If it is another program's"),
        ("words.jsonl.zst", "it is damaged, or not compressed by zstd"),
    ):  # fmt: skip
        if (command, name) in HAVE_WORDS_OF_THEIR_OWN:
            continue
        path = made(tmp_path / name)
        before = sorted(tmp_path.rglob("*"))
        result = invoke(command, path)
        assert result.exit_code in (1, 2), (name, result.output)
        assert isinstance(result.exception, SystemExit), (name, result.exception)
        [line] = [one for one in result.output.splitlines() if one.startswith("Error")]
        assert words in line, (name, result.output)
        assert sorted(tmp_path.rglob("*")) == before, name


@pytest.mark.parametrize("mode", ["record", "auto"])
def test_what_cannot_be_recorded_into_is_told_before_anybody_asks(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.fcz"
    assert CliRunner().invoke(cassette, ["pack", SHIPPED, str(path)]).exit_code == 0

    def failing(**where: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path / "tmp1"))

    monkeypatch.setattr("fakeai_proxy.cassette.places.TemporaryFile", failing)
    config = Config.load(
        flags={"mode": mode, "cassette": (path,), "upstream": "http://127.0.0.1:9"}
    )
    with pytest.raises(CassetteError, match=r"c\.fcz: nothing can be written here, for the disk"):
        App(config)
    App(Config.load(flags={"mode": "replay", "cassette": (path,)}))


def test_failures_of_the_disk_say_what_may_be_done() -> None:
    def said(number: int, name: str | None) -> str:
        return refused(OSError(number, os.strerror(number), name), Path("demo.fcz"))

    assert said(errno.EROFS, "demo.fcz/.sealing").startswith(
        "demo.fcz: nothing can be written here"
    )
    under_way = "there/.x.har.0123456789abcdef.part"
    assert said(errno.EACCES, under_way).startswith("there/x.har: there is no permission for it")
    assert said(errno.EACCES, "there/.0123456789abcdef.part").startswith("there: there is no perm")
    assert said(errno.ENOSPC, None) == "demo.fcz: the disk is full; make room and try again"
    assert said(errno.ELOOP, "x").startswith("x: Too many")

"""`--json` of every command: what it has done, as one JSON object."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from fakeai_proxy.cli.main import root
from tests.cli.test_cassette_packing import make

#: They become something else (a server, a program), or print what only a person, a shell or a file
#: can use: a reply as it was played, lines for a shell, a cassette as JSON Lines.
WITHOUT = {
    "run", "scenarios run", "cassette serve", "cassette play", "cassette cat", "completion",
}  # fmt: skip


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")
        else:
            yield path + name, command


def test_every_command_has_json_for_programs() -> None:
    found = dict(commands(root))
    assert set(found) > WITHOUT
    for name, command in found.items():
        options = [
            option for param in command.get_params(click.Context(command)) for option in param.opts
        ]
        assert ("--json" in options) is (name not in WITHOUT), name


def told(*arguments: object) -> Any:
    done = CliRunner().invoke(root, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output or done.exception
    return json.loads(done.stdout)


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKEAI_PROXY_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def test_what_is_done_with_cassettes_is_told(tmp_path: Path) -> None:
    tape = make(tmp_path / "a.fcz")
    made = told("cassette", "seal", tape, "--json")
    assert (made["recordings"] > 0, made["before_bytes"] > made["after_bytes"]) == (True, True)
    assert told("cassette", "seal", tape, "--json")["recordings"] == 0
    copied = told("cassette", "pack", tape, tmp_path / "b.jsonl.zst", "--json")
    assert copied["cassette"] == str(tmp_path / "b.jsonl.zst")
    assert (
        told("cassette", "unpack", tape, "b.jsonl", "--json")["recordings"] == copied["recordings"]
    )
    both = told("cassette", "merge", tape, "b.jsonl", "c.fcz", "--json")
    assert both["recordings"] >= copied["recordings"]
    parts = told("cassette", "split", tape, "--by", "model", "parts", "--json")["recordings"]
    assert sum(parts.values()) == 7
    assert all(Path(part).exists() for part in parts)
    assert told("cassette", "rekey", tape, "--json")["kept"] >= 7
    assert told("cassette", "scrub", tape, "--json")["changed"] == 0
    assert told("cassette", "gc", tape, "--json")["kept"] == 7
    assert told("cassette", "anonymize", tape, "d.fcz", "--json")["recordings"] == 7
    put = told("cassette", "export", tape, "e.har", "--to", "har", "--json")
    assert (put["file"], put["recordings"]) == ("e.har", 7)
    back = told("cassette", "import", "e.har", "f.jsonl", "--json")
    assert (back["from"], back["recordings"] + len(back["left_out"])) == ("har", 7)
    forked = told("cassette", "fork", tape, "s1:1", "g.fcz", "--json")
    assert (forked["session"], forked["turns"], forked["edited"]) == ("s1", 1, False)


def test_what_is_made_and_checked_elsewhere_is_told(tmp_path: Path) -> None:
    file = told("ca", "path", "--json")["file"]
    assert told("ca", "export", "--json")["pem"] == Path(file).read_text()
    assert told("ca", "export", "root.pem", "--json") == {"file": "root.pem"}
    assert "api.openai.com" in told("ca", "create", "--json")["signs_for"]
    assert told("env", "--json")["NODE_EXTRA_CA_CERTS"] == file
    assert set(told("env", "--unset", "--json").values()) == {None}
    made = told("profiles", "new", "mine", "--json")
    assert made == {"file": "mine.toml", "from": "quick"}
    checked = told("profiles", "check", "mine.toml", "h100", "--json")["profiles"]
    assert [one["folder"] for one in checked] == ["fleets", "gpus"]
    calm, flaky = told("scenarios", "check", "calm", "flaky-network", "--json")["scenarios"]
    assert (calm["checked"], bool(flaky["phases"])) == ("calm", True)
    assert Path(told("mitm-addon", "--json")["script"]).is_file()
    key = told("keys", "create", "--json")["id"]
    assert told("keys", "delete", key, "--json")["deleted"] is True

"""What the command line says of itself, and that programs can read what it prints."""

from __future__ import annotations

import json
import re

import pytest

from fakeai_proxy.cli.main import EXAMPLES
from fakeai_proxy.cli.options import OTHERS, SECTIONS, setting_options
from fakeai_proxy.config import Config
from tests.cli.conftest import Run


def test_every_setting_stands_once_under_a_heading(run: Run) -> None:
    said = run("--help", env={"COLUMNS": "100"}).stdout
    for section in SECTIONS:
        assert f"\n{section}:\n" in said
    assert OTHERS not in said
    for name in Config.model_fields:
        flag = "--" + name.replace("_", "-")
        assert len(re.findall(rf"^  {flag}\b(?!-)", said, re.M)) == 1, flag
    assert {option.name for option in setting_options()} == {*Config.model_fields, "config_file"}


def test_help_ends_with_examples(run: Run) -> None:
    said = run("--help", env={"COLUMNS": "100"}).stdout
    shown = said[said.index("\nExamples:\n") :]
    assert all(f"fakeai-proxy {line}" in shown for line in EXAMPLES)


def test_a_command_shows_its_own_options_and_where_the_others_are(run: Run) -> None:
    said = run("keys", "create", "--help").stdout
    assert "--expires-in" in said
    assert "--max-connections" not in said
    assert "fakeai-proxy --help" in said


def test_a_mistake_in_a_command_leads_to_its_own_help(run: Run) -> None:
    assert "(fakeai-proxy scenarios check --help lists" in run("scenarios", "check").stderr
    assert "(fakeai-proxy --help lists" in run("--bogus").stderr
    assert "limits: there is no 'bad'. Known: anthropic, " in run("--limits", "bad").stderr


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (("faults", "show", "cut"), "parameters"),
        (("scenarios", "show", "brown-out"), "phases"),
        (("profiles", "show", "quick"), "ttft_p50_ms"),
        (("ca", "show"), "sha256"),
    ],
)
def test_what_is_shown_is_json_for_programs(run: Run, command: tuple[str, ...], key: str) -> None:
    assert json.loads(run(*command, "--json").stdout)[key]


def test_keys_are_json_for_programs(run: Run, tmp_path: object) -> None:
    where = ("--data", str(tmp_path))
    made = json.loads(run("keys", "create", "--json", *where).stdout)
    assert made["key"].startswith("sk-")
    listed = json.loads(run("keys", "ls", "--json", *where).stdout)
    assert [one["id"] for one in listed] == [made["id"]]
    assert made["key"] not in str(listed)

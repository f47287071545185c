"""`faults`: all of them are listed, and what is shown of one can be used."""

from __future__ import annotations

import json
import tomllib

import pytest
from click.testing import CliRunner

from fakeai_proxy.cli.faults import faults
from fakeai_proxy.shaping.faults.parsing import asked, rule_of
from fakeai_proxy.shaping.faults.table import FAULTS
from tests.cli.conftest import Run


def test_every_fault_is_listed_with_its_meaning(run: Run) -> None:
    lines = run("faults", "ls").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(FAULTS)
    assert all(
        line.endswith(fault.meaning) for line, fault in zip(lines, FAULTS.values(), strict=True)
    )


def test_the_list_is_json_for_programs(run: Run) -> None:
    listed = json.loads(run("faults", "ls", "--json").stdout)
    assert [one["name"] for one in listed] == list(FAULTS)
    cut = next(one for one in listed if one["name"] == "cut")
    assert cut["points"] == ["reply"]
    assert cut["parameters"]["share"]["default"] == 0.5


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_shown_of_a_fault_can_be_used(name: str) -> None:
    shown = CliRunner().invoke(faults, ["show", name], standalone_mode=False).output
    fault = FAULTS[name]
    assert all(f"\n  {key}" in shown for key in fault.params.model_fields)
    [table] = tomllib.loads(shown[shown.index("[[fault]]") :])["fault"]
    assert rule_of(table).text == rule_of(fault.example).text
    if not fault.at_door:
        header = shown.partition("x-fakeai-fault: ")[2].partition("'")[0]
        assert [rule.fault.name for rule in asked(header)] == [name]


def test_a_fault_that_there_is_not_is_one_line(run: Run) -> None:
    done = run("faults", "show", "cutt")
    assert done.returncode == 2
    assert "Did you mean cut?" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_bad_rule_is_one_line_that_names_the_flag(run: Run) -> None:
    done = run("--fault", "cut:aftr=2")
    assert done.returncode == 2
    assert "--fault: cut: there is no parameter 'aftr'. Did you mean after?" in done.stderr

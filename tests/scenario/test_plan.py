"""A scenario is checked as a whole when it is loaded; a mistake names its key."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.profiles.scenario import scenario_names
from fakeai_proxy.shaping.scenario.plan import Plan
from fakeai_proxy.shaping.scenario.telling import changes

HEAD = 'description = "A test\'s own"\nsource = "made up for a test"\nillustrative = true\n'


@pytest.mark.parametrize("name", scenario_names())
def test_every_shipped_scenario_loads_and_every_phase_can_be_told(name: str) -> None:
    plan = Plan.load(name)
    assert plan.scenario.name == name
    assert name == "calm" or any(changes(phase) for phase in plan.phases)


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ('[[phase]]\nname = "a"\nfaults = ["503", "ctu:p=0.1"]', r"phase\.0\.faults\.1", "mean cut"),
        ('[[phase]]\nname = "a"\nfaults = ["cut:aftr=3"]', r"phase\.0\.faults\.0", "mean after"),
        ('[[phase]]\nname = "a"\nfaults = [{ fault = "cut", p = 2 }]', r"phase\.0\.faults\.0", "p=2"),
        ('[[phase]]\nname = "a"\nlimits = { use = ["opnai:1"] }', r"limits\.use", "openai"),
        ('[[phase]]\nname = "a"\nlimits = { use = ["openai:9"] }', r"limits\.use", "free, 1, 2"),
        ('[[phase]]\nname = "a"\nlimits = { scale = 1.5 }', r"phase\.0\.limits\.scale", "1.5"),
        ('[[phase]]\nname = "a"\nfleet = [{ do = "explode" }]', r"phase\.0\.fleet\.0", "kill"),
        ('[[phase]]\nname = "a"\nfleet = [{ do = "slow" }]', r"phase\.0\.fleet\.0\.slow\.factor", ""),
        ('[[phase]]\nname = "a"\nfleet = [{ do = "scale" }]', r"fleet\.0\.scale", "replicas or factor"),
        ('[[phase]]\nname = "a"\nfleet = [{ do = "kill", count = 1, share = 0.5 }]', r"kill", "not both"),
        ('[[phase]]\nname = "a"\nduration = "5 parsecs"', r"phase\.0\.duration", "1m30s"),
        ('[[phase]]\nname = "a"\nat = "25:00"', r"phase\.0\.at", "00:00 and 23:59:59"),
        ('[[phase]]\nname = "a"\nduration = "5s"\nramp = "6s"', r"phase\.0", "longer than the phase"),
        ('[[phase]]\nname = "a"\nfault = ["503"]', r"phase\.0\.fault", ""),
        ("phase = []", "phase", ""),
        ('[[phase]]\nname = "a"\n[[phase]]\nname = "b"', r"phase\.0\.duration", "how long"),
    ],
)  # fmt: skip
def test_a_mistake_names_its_key(text: str, key: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(HEAD + text)
    with pytest.raises(ConfigError, match=key) as caught:
        Plan.load(str(file))
    assert said in str(caught.value)
    assert str(caught.value).startswith("scenario ")


def test_an_unknown_name_tells_those_there_are() -> None:
    with pytest.raises(
        ConfigError, match=r"scenario: there is no 'brwn-out'. Known: brown-out, calm"
    ):
        Plan.load("brwn-out")


def test_a_scenario_without_a_source_does_not_load(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('description = "x"\nillustrative = true\n[[phase]]\nname = "a"\n')
    with pytest.raises(ConfigError, match="source"):
        Plan.load(str(file))

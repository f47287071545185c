"""The tables of the README and of docs/, made from the program. `python -m tests.documents` writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import click
from pydantic_core import PydanticUndefined

from fakeai_proxy.app import App
from fakeai_proxy.cassette.formats import FORMATS
from fakeai_proxy.config import ENVIRONMENT_PREFIX, Config
from fakeai_proxy.profiles import (
    HostedProfile,
    back_end_names,
    load_back_end,
)
from fakeai_proxy.resilience.trial import load_course
from fakeai_proxy.services import ROOMS
from fakeai_proxy.shaping.faults.rule import Conditions
from fakeai_proxy.shaping.faults.table import FAULTS
from tests import compatibility

README = Path(__file__).resolve().parent.parent / "README.md"
CASSETTE = README.parent / "cassettes" / "quickstart.jsonl"
#: Where a table may be, between marks with its name.
PAGES = (README, *sorted((README.parent / "docs").glob("*.md")))
#: A mode is an expression over the sources; `sources/__init__.py` builds exactly these.
EXPRESSIONS = {
    "synth": "Synth()",
    "record": "Recorder(Upstream())",
    "replay": "Player(on_miss=Miss())",
    "auto": "Player(on_miss=Recorder(Upstream()))",
    "hybrid": "Player(on_miss=Synth())",
    "diff": "Differ(Player(on_miss=Miss()), Upstream())",
    "pass": "Upstream()",
}


def _table(*rows: tuple[str, ...]) -> str:
    head, *body = rows
    lines = [head, tuple("---" for _ in head), *body]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in lines
    )


def modes() -> str:
    description = Config.model_fields["mode"].description or ""
    said = dict(part.split(": ", 1) for part in description.rstrip(".").split("; "))
    return _table(
        ("mode", "what it does", "as an expression"),
        *((f"`{name}`", said[name], f"`{EXPRESSIONS[name]}`") for name in EXPRESSIONS),
    )


def endpoints() -> str:
    """A row a service, and every path for those who look for one."""
    services, paths = [], []
    for name, room in ROOMS.items():
        methods: dict[str, list[str]] = {}
        for operation in room.operations:
            methods.setdefault(operation.path, []).append(operation.method)
        heads = dict.fromkeys(re.sub(r"/\{.*", "", path) for path in methods)
        shortest = [one for one in heads if not any(one.startswith(f"{other}/") for other in heads)]
        services.append((name, str(len(room.operations)), " ".join(f"`{one}`" for one in shortest)))
        paths += [(f"`{path}`", ", ".join(sorted(set(of)))) for path, of in methods.items()]
    return "\n".join(
        (
            _table(("service", "operations", "below"), *services),
            "",
            "<details><summary>Every path</summary>",
            "",
            _table(("path", "methods"), *paths),
            "",
            "</details>",
        )
    )


def _values(annotation: Any) -> Iterator[str]:
    if get_origin(annotation) is tuple:
        yield "NAME..."
    elif all(isinstance(value, str) for value in get_args(annotation)) and get_args(annotation):
        yield from get_args(annotation)


def options() -> str:
    rows = []
    for name, field in Config.model_fields.items():
        flag = f"`--{name.replace('_', '-')}`"
        values = " ".join(_values(field.annotation))
        default = field.default
        if isinstance(default, tuple):
            default = ",".join(map(str, default))
        shown = "" if default in (None, "", PydanticUndefined) else f"`{default}`".lower()
        rows.append((f"{flag} {values}".strip(), f"`{ENVIRONMENT_PREFIX}{name.upper()}`", shown,
                     (field.description or "").rstrip(".")))  # fmt: skip
    return _table(("flag", "environment", "default", "meaning"), *rows)


def commands() -> str:
    from fakeai_proxy.cli.main import root

    def walk(command: click.Command, path: str) -> Iterator[tuple[str, str]]:
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                assert below is not None
                yield from walk(below, f"{path} {name}")
        else:
            yield f"`{path}`", _first_sentence(command.help or "")

    return _table(("command", "what it does"), *walk(root, "fakeai-proxy"))


def _first_sentence(text: str) -> str:
    return " ".join(re.split(r"(?<=\w|\))\. |\.?\n\n", text, maxsplit=1)[0].split()).rstrip(".")


def profiles() -> str:
    rows = []
    for name in back_end_names():
        profile = load_back_end(name)
        numbers = "simulated"
        if isinstance(profile, HostedProfile):
            numbers = "illustrative" if profile.illustrative else "measured"
        assert profile is not None
        rows.append((f"`{name}`", profile.description, numbers))
    return _table(("name", "what it is like", "numbers"), *rows)


def faults() -> str:
    return _table(
        ("fault", "what happens", "parameters", "example"),
        *(
            (f"`{fault.name}`", fault.meaning,
             ", ".join(f"`{name}`" for name in fault.params.model_fields), f"`{fault.example}`")
            for fault in FAULTS.values()
        ),
    )  # fmt: skip


def conditions() -> str:
    return _table(
        ("condition", "meaning"),
        *(
            (f"`{name}`", (field.description or "").rstrip("."))
            for name, field in Conditions.model_fields.items()
        ),
    )


def scenarios() -> str:
    from fakeai_proxy.profiles.scenario import scenario_names
    from fakeai_proxy.shaping.scenario.plan import Plan

    plans = [Plan.load(name) for name in scenario_names()]
    return _table(
        ("scenario", "what happens", "its phases"),
        *(
            (f"`{plan.scenario.name}`", plan.scenario.description,
             ", ".join(phase.name for phase in plan.phases) + (", again" if plan.scenario.repeat else ""))
            for plan in plans
        ),
    )  # fmt: skip


def formats() -> str:
    return _table(
        ("format", "in", "out", "what it is"),
        *((f"`{name}`", "yes" if form.read else "", "yes" if form.write else "", form.about)
          for name, form in FORMATS.items()),
    )  # fmt: skip


def trials() -> str:
    return _table(
        ("trial", "what goes wrong"),
        *((f"`{trial.name}`", trial.meaning) for trial in load_course().trial),
    )


def pages() -> str:
    """Of all modes."""
    modes = Config(), Config(mode="diff", cassette=(CASSETTE,), upstream="https://api.openai.com")
    found = {(route.method, route.path): route
             for config in modes for route in App(config).pages.routes}  # fmt: skip
    routes = found.values()
    return _table(
        ("method", "path", "what it is"),
        *((route.method, f"`{route.path}`", route.summary.rstrip(".")) for route in routes),
    )


TABLES: dict[str, Callable[[], str]] = {
    "modes": modes,
    "endpoints": endpoints,
    "options": options,
    "commands": commands,
    "profiles": profiles,
    "faults": faults,
    "scenarios": scenarios,
    "conditions": conditions,
    "pages": pages,
    "trials": trials,
    "formats": formats,
    "operations": lambda: compatibility.operations(_table),
    "beyond": lambda: compatibility.beyond(_table),
    "clients": lambda: compatibility.clients(_table),
}


def tables_of(text: str) -> list[str]:
    """Their names."""
    return [name for name in TABLES if f"<!-- {name} -->" in text]


def rewritten(text: str) -> str:
    """`text` with every table between its marks made anew."""
    for name in tables_of(text):
        made = TABLES[name]()
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.S)
        text, count = marked.subn(lambda match, made=made: match[1] + made + "\n" + match[2], text)  # type: ignore[misc]
        assert count == 1, f"the table {name} does not end, or is there twice"
    return text


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(rewritten(page.read_text("utf-8")), "utf-8")

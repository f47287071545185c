"""Whatever is shipped is used: programs, the plugin or what users import lead to every module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from fakeai_proxy.cli.main import COMMANDS
from fakeai_proxy.services import JOBS, ROOMS
from fakeai_proxy.services.dialect import DIALECTS

PACKAGE = Path(__file__).resolve().parent.parent / "fakeai_proxy"
#: Where programs, pytest, mitmproxy and users begin.
ENTRIES = ("", "__main__", "pytest_plugin", "capture.mitmproxy_script", "client", "embedded.server")


def name_of(path: Path) -> str:
    """Below the package, "" for itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in PACKAGE.rglob("*.py")}
#: What tables name as text, and is imported when it is first used.
NAMED = {
    *(f"cli.{place.partition(':')[0]}" for place, _ in COMMANDS.values()),
    *(f"services.{room.module}" for room in ROOMS.values()),
    *(f"services.{module}" for module in (*JOBS.values(), *DIALECTS.values())),
    "generate.speech.espeak_child",  # a program of its own, by its path
}


def imported(name: str) -> Iterator[str]:
    """What the module imports anywhere in it, as names below the package."""
    for node in ast.walk(ast.parse(MODULES[name].read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value  # import_module("fakeai_proxy. ...")


def reached() -> set[str]:
    waiting, seen = [*ENTRIES, *NAMED], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in MODULES:
            continue
        seen.add(name)
        waiting += [one.removeprefix("fakeai_proxy").lstrip(".") for one in imported(name)
                    if one == "fakeai_proxy" or one.startswith("fakeai_proxy.")]  # fmt: skip
        waiting.append(name.rpartition(".")[0])
    return seen


def test_every_module_can_be_reached() -> None:
    assert sorted(set(MODULES) - reached()) == []


def test_what_tables_name_is_there() -> None:
    assert sorted(NAMED - set(MODULES)) == []

"""The rules of the house, executable. CONTRIBUTING.md gives their reasons."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakeai_proxy.services import ROOMS

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "fakeai_proxy"
MODULES = sorted(PACKAGE.rglob("*.py"))

FILE_LINES_MAX = 420
FUNCTION_LINES_MAX = 60

#: Who may import whom inside the package; a key is a top-level module or folder.
LEAVES = {"errors", "clock", "dice", "profiles"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "clock": set(),
    "dice": set(),
    "profiles": {"errors"},
    "body": {"errors"},
    "reloading": {"errors", "clock"},
    "exchange": {"errors", "body"},
    "dialogue": {"errors", "exchange"},
    "headers": {"exchange"},
    "roles": {"exchange"},
    "fleet": LEAVES | {"exchange"},
    "generate": {"dice", "errors", "profiles"},
    "store": {"errors", "clock"},
    "providers": {"exchange", "errors"},
    "shared": {"errors", "clock"},
    "cassette": {"dialogue", "exchange", "headers", "body", "errors", "providers", "profiles"},
    "services": {
        "dialogue",
        "exchange",
        "errors",
        "clock",
        "dice",
        "profiles",
        "generate",
        "store",
    },
    "jobs": {
        "roles",
        "exchange",
        "body",
        "errors",
        "clock",
        "providers",
        "services",
        "store",
        "pipeline",
    },
    "sources": LEAVES
    | {"roles", "dialogue", "exchange", "headers", "body", "providers", "generate", "services"}
    | {"cassette", "store"},
    "resilience": LEAVES | {"exchange"},
    "simulate": LEAVES | {"exchange", "fleet"},
    "shaping": LEAVES | {"roles", "exchange", "body", "providers", "fleet", "shared"},
    "observe": LEAVES | {"exchange", "body", "providers", "fleet", "shaping", "cassette", "shared"},
    "client": {"errors", "observe"},
    "pipeline": {"roles", "exchange", "errors", "clock", "providers", "shaping"},
    "proxy": {
        "roles",
        "dialogue",
        "exchange",
        "headers",
        "body",
        "errors",
        "clock",
        "dice",
        "providers",
        "shaping",
        "pipeline",
    },
}
#: The top of the building: these may import everything.
TOP = {
    "config", "app", "company", "own_pages", "stage", "telling", "watched", "recorded_run",
    "cli", "embedded", "capture", "pytest_plugin", "__init__", "__main__",
}  # fmt: skip

BANNED_NAMES = re.compile(
    r"(^|_)(util|utils|helper|helpers|manager|common|misc|legacy|enhanced|advanced|v2|new)(_|$)",
    re.I,
)
#: Who may import what from outside, where that is restricted.
ONLY_IN = {
    "time": {"clock.py"},
    "random": {"dice.py"},
    "aiohttp.web": {"proxy/", "app.py"},
    "sqlite3": {"store/"},
    "asyncpg": {"store/postgresql/"},
    "mitmproxy": {"capture/"},
}


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(tree: ast.AST) -> Iterator[tuple[str, str, int]]:
    """(module, name or "", line) of every import outside `if TYPE_CHECKING`."""
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, "", node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield node.module, alias.name, node.lineno


def import_faults(room: str, source: str) -> list[str]:
    """What `source`, as a module of `room`, imports against the table."""
    faults = []
    if room in TOP:
        return faults
    for module, name, line in _imports(ast.parse(source)):
        if module == "fakeai_proxy":
            if name == "__version__":
                continue
            target = name
        elif module.startswith("fakeai_proxy."):
            target = module.split(".")[1]
        else:
            continue
        if target != room and target not in ALLOWED[room]:
            faults.append(f"line {line}: {room} may not import {target}")
    return faults


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_keeps_the_rules(path: Path) -> None:
    source = path.read_text("utf-8")
    tree = ast.parse(source)
    place = path.relative_to(PACKAGE).as_posix()
    faults = import_faults(_room(path), source)
    if source.count("\n") > FILE_LINES_MAX:
        faults.append(f"{source.count(chr(10))} lines: split it by meaning")
    if source.strip() and ast.get_docstring(tree) is None:
        faults.append("says nowhere what it is for")
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            if BANNED_NAMES.search(node.name):
                faults.append(f"line {node.lineno}: {node.name} says nothing")
            lines = (node.end_lineno or 0) - node.lineno
            if not isinstance(node, ast.ClassDef) and lines > FUNCTION_LINES_MAX:
                faults.append(f"line {node.lineno}: {node.name} has {lines} lines")
    if BANNED_NAMES.search(path.stem):
        faults.append("its name says nothing")
    faults += _restricted(tree, place)
    assert not faults, "\n".join([place, *faults])


CATCH_ALL = ("proxy/gateway.py", "services/responder.py")


def _restricted(tree: ast.AST, place: str) -> list[str]:
    faults = []
    for module, name, line in _imports(tree):
        full = f"{module}.{name}" if name else module
        for banned, places in ONLY_IN.items():
            typing_only = (banned, name) == ("random", "Random")
            if banned not in (module, full) or typing_only:
                continue
            if not any(place.startswith(allowed) for allowed in places):
                faults.append(f"line {line}: {banned} belongs to {', '.join(sorted(places))}")
    for node in ast.walk(tree):
        # The gateway answers whatever goes wrong; a responder is the user's code, not ours.
        if isinstance(node, ast.ExceptHandler) and place not in CATCH_ALL:
            caught = ast.unparse(node.type) if node.type else "everything"
            if caught in ("Exception", "BaseException", "everything"):
                faults.append(f"line {node.lineno}: only the gateway catches {caught}")
    return faults


def test_the_import_rule_catches_a_room_that_looks_up() -> None:
    assert import_faults("services", "from fakeai_proxy.proxy import wire\n")
    assert not import_faults("services", "from fakeai_proxy.errors import ApiError\n")


def test_the_import_table_has_no_circle() -> None:
    left = {room: set(targets) & set(ALLOWED) for room, targets in ALLOWED.items()}
    while left:
        free = {room for room, targets in left.items() if not targets}
        assert free, f"a circle among {sorted(left)}"
        left = {room: targets - free for room, targets in left.items() if room not in free}


def test_every_room_of_the_api_is_in_the_table_of_contents() -> None:
    shared = {
        "answer",
        "assisting",
        "items",
        "azure",
        "bulk",
        "dialect",
        "filing",
        "form",
        "media",
        "operation",
        "paging",
        "prompt_safety",
        "records",
        "resources",
        "delivery",
        "graders",
        "job",
        "keyring",
        "extraction",
        "ledger",
        "metering",
        "responder",
        "tuned",
        "webhooks",
        "router",
        "wire",
        "validation",
        "complaint",
        "catalogue",
        "fleet_models",
        "extras",
        "claude",
        "__init__",
    }
    on_disk = {
        entry.name.removesuffix(".py")
        for entry in (PACKAGE / "services").iterdir()
        if entry.name != "__pycache__"
    } - shared
    assert on_disk == set(ROOMS), "add the room to ROOMS in services/__init__.py"


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_lies_under_the_segments_that_its_line_says(name: str) -> None:
    segments = {operation.path.split("/")[1] for operation in ROOMS[name].operations}
    assert segments == set(ROOMS[name].under)


def test_no_test_sleeps_or_reads_a_real_clock() -> None:
    faults = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        if any(part.startswith(".") for part in path.relative_to(ROOT).parts):
            continue  # an environment of packages
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            real = re.search(r"\b(asyncio|time)\.(sleep|time|monotonic|perf_counter)\(", line)
            if real and path.name != "test_tidy.py" and "# real time:" not in line:
                faults.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert not faults, "\n".join(faults)


def test_nothing_committed_names_a_machine_or_a_registry() -> None:
    pattern = re.compile(
        r"/(root|home|work|tmp)/\w+/|https?://(?!localhost)[\w.-]*(pypi|npmjs|registry)"
    )
    faults = []
    for path in sorted(ROOT.rglob("*")):
        if path.suffix in (".py", ".md", ".toml", ".json", ".sh", "") and path.is_file():
            relative = path.relative_to(ROOT)
            if any(part.startswith(".") or part == "node_modules" for part in relative.parts[:-1]):
                continue
            if path.name in ("test_tidy.py", ".git"):
                continue
            for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
                if pattern.search(line):
                    faults.append(f"{relative}:{number}: {line.strip()[:100]}")
    assert not faults, "\n".join(faults)

"""What marks and pytest's configuration ask for: which cassette a test has, and how it is served."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

MARK, FIXTURE = "cassette", "fakeai"
CASSETTES, ALLOW_HOSTS, SETTINGS = "fakeai_cassettes", "fakeai_allow_hosts", "fakeai_settings"
#: Modes in which a test may run; to record is the command line's business.
MODES = ("replay", "hybrid", "synth")

_NAME_CHARS_MAX = 120
_UNSAFE = re.compile(r"[^A-Za-z0-9._=,+@\[\]-]+")


@dataclass(frozen=True, slots=True)
class Asked:
    """`settings` are keywords of `fakeai_proxy.serve`. `shared`: other tests may have the same one."""

    path: Path
    shared: bool
    settings: dict[str, Any]
    proxy: bool
    allow_hosts: tuple[str, ...]
    nodeid: str

    def command(self, record: str) -> str:
        return f"pytest --fakeai-record={record} {shlex.quote(self.nodeid)}"


def asked(item: pytest.Item) -> Asked | None:
    """None for a test that has nothing to do with us. Fails for a mark that cannot be meant."""
    marks = list(item.iter_markers(MARK))
    if not marks and FIXTURE not in getattr(item, "fixturenames", ()):
        return None
    settings = _configured(item.config)
    for mark in reversed(marks):
        settings |= mark.kwargs
    name = next((mark.args[0] for mark in marks if mark.args), None)
    if not isinstance(name, str | None) or any(len(mark.args) > 1 for mark in marks):
        pytest.fail("cassette: a mark takes one name, a string", pytrace=False)
    proxy = bool(settings.pop("proxy", False))
    allowed = settings.pop("allow_hosts", ())
    mode = settings.setdefault("mode", "replay")
    if mode not in MODES:
        pytest.fail(
            f"cassette: mode={mode!r} is none of {', '.join(MODES)}; to record: "
            f"pytest --fakeai-record=once {shlex.quote(item.nodeid)}",
            pytrace=False,
        )
    if "cassette" in settings:
        pytest.fail("cassette: the name comes first: @pytest.mark.cassette('name')", pytrace=False)
    return Asked(
        cassette_path(item, name),
        name is not None,
        settings,
        proxy,
        (*item.config.getini(ALLOW_HOSTS), *((allowed,) if isinstance(allowed, str) else allowed)),
        item.nodeid,
    )


def cassette_path(item: pytest.Item, name: str | None) -> Path:
    """`cassettes/MODULE/TEST[params].jsonl` beside the module, or below the configured folder the way
    modules lie below the root."""
    module, root = item.path, item.config.rootpath
    folder = item.config.getini(CASSETTES)
    if folder:
        within = module.parent.relative_to(root) if module.is_relative_to(root) else Path()
        base = root / str(folder) / within
    else:
        base = module.parent / "cassettes"
    test = name if name is not None else ".".join(_names(item))
    return base / safe(module.stem) / f"{safe(test)}.jsonl"


def _names(item: pytest.Item) -> Sequence[str]:
    """The test within its classes."""
    classes = [node.name for node in item.listchain() if isinstance(node, pytest.Class)]
    return [*classes, item.name]


def safe(name: str) -> str:
    """A file name on any system; what had to be changed still tells names apart."""
    plain = _UNSAFE.sub("_", name).strip(".")
    if plain == name and len(name) <= _NAME_CHARS_MAX:
        return name
    digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=3).hexdigest()
    return f"{plain[:_NAME_CHARS_MAX]}-{digest}"


def _configured(config: pytest.Config) -> dict[str, Any]:
    """`name = value` lines, for all cassettes; lists with commas."""
    found: dict[str, Any] = {}
    lines = config.getini(SETTINGS)
    if not lines:
        return found
    from fakeai_proxy.config import is_list, split_list

    for line in lines:
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals:
            pytest.fail(f"{SETTINGS}: {line!r} is not NAME = VALUE", pytrace=False)
        found[name] = split_list(value) if is_list(name) else value
    return found

"""Pages that can be followed: links lead somewhere, command lines are understood, flags exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from fakeai_proxy.cli.main import root
from fakeai_proxy.pytest_plugin import pytest_addoption
from tests.documents import PAGES, README

ROOT = README.parent
LINKED = [
    *PAGES,
    *(ROOT / name for name in ("ARCHITECTURE.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
_ELSEWHERE = ("http://", "https://", "mailto:")
#: What ends a command on its line.
_ENDS = re.compile(r"&&|;|\||&$| >>? ")
#: Flags of other programs: mitmproxy's, aiperf's, those of benchmarks/fidelity.py.
FOREIGN = {"--set", "--custom-dataset-type", "--shipped", "--leave-out"}


def by_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """Without blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", prose(page), re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", LINKED, ids=by_name)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"`[^`\n]*`(?!\])", "", prose(page))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(_ELSEWHERE):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target} is not there"
        if anchor:
            assert anchor in anchors(file), f"{file.name} has no heading {anchor}"


def command_lines(text: str) -> Iterator[list[str]]:
    """Words of each call of fakeai-proxy in blocks of shell, without the program's name."""
    indented = "\n".join(re.findall(r"^    (fakeai-proxy .*)$", text, re.M))
    for block in (indented, *re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)):
        for line in block.replace("\\\n", " ").splitlines():
            inner = re.findall(r"\$\((fakeai-proxy [^)]*)\)", line)
            bare = re.sub(r'"?\$\([^)]*\)"?', "IT", line)
            for said in [*inner, *_ENDS.split(bare)]:
                words = shlex.split(said, comments=True)
                while words and re.match(r"[A-Z_]+=", words[0]):
                    words.pop(0)
                if words and words[0] == "fakeai-proxy":
                    yield words[1:]


def understood(words: list[str], command: click.Command = root, path: str = "fakeai-proxy") -> None:
    """Raises click.UsageError. Files that a page makes up need not exist."""
    context = click.Context(command, info_name=path)
    options, left, _ = command.make_parser(context).parse_args(list(words))
    for param in command.get_params(context):
        value = options.get(str(param.name))
        if isinstance(param.type, click.Choice) and isinstance(value, str):
            param.type.convert(value, param, context)
    if isinstance(command, click.Group) and left:
        name, *rest = left
        below = command.get_command(context, name)
        assert below is not None, f"{path} has no command {name}"
        understood(rest, below, f"{path} {name}")
    else:
        assert not left, f"{path} does not take {left}"


@pytest.mark.parametrize("page", LINKED, ids=by_name)
def test_every_command_line_is_understood(page: Path) -> None:
    for words in command_lines(page.read_text("utf-8")):
        try:
            understood(words)
        except click.UsageError as error:
            pytest.fail(f"fakeai-proxy {' '.join(words)}: {error.format_message()}")


def test_a_command_line_that_is_wrong_is_found() -> None:
    for line in ("--mod synth", "cassette lss x", "cassette ls --nothing x", "run --x"):
        with pytest.raises((click.UsageError, AssertionError)):
            understood(line.split())


@cache
def flags() -> frozenset[str]:
    """Of all commands, and of our plugin for pytest."""
    found: set[str] = set()

    def walk(command: click.Command) -> None:
        context = click.Context(command)
        for param in command.get_params(context):
            found.update([*param.opts, *param.secondary_opts])
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                assert below is not None
                walk(below)

    class Heard:
        """What the plugin tells pytest."""

        def getgroup(self, *_: str) -> Heard:
            return self

        def addoption(self, *names: str, **_: object) -> None:
            found.update(names)

        def addini(self, *_: object) -> None:
            pass

    walk(root)
    pytest_addoption(Heard())  # type: ignore[arg-type]  # the three that it calls
    return frozenset(found)


@pytest.mark.parametrize("page", LINKED, ids=by_name)
def test_every_flag_that_is_named_exists(page: Path) -> None:
    named = {
        flag
        for code in re.findall(r"`([^`\n]+)`", prose(page))
        for flag in re.findall(r"(?<![\w-])--[a-z][\w-]*", code)
    }
    assert named - flags() - FOREIGN == set()

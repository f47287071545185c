"""Documentation that cannot lie."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fakeai_proxy.sources import MODES
from tests.documents import EXPRESSIONS, PAGES, README, TABLES, rewritten, tables_of

ROOT = README.parent


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tables_of_a_page_are_what_the_program_says(page: Path) -> None:
    text = page.read_text("utf-8")
    assert text == rewritten(text), "run `python -m tests.documents`"


def test_every_table_has_one_page() -> None:
    placed = [name for page in PAGES for name in tables_of(page.read_text("utf-8"))]
    assert sorted(placed) == sorted(TABLES)


def test_every_mode_has_its_expression() -> None:
    assert set(EXPRESSIONS) == set(MODES)


@pytest.mark.parametrize(
    "page",
    [*PAGES, ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"],
    ids=lambda page: page.name,
)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    named = set(re.findall(r"`((?:[\w]+/)*[\w]+\.(?:py|toml))(?:::\w+)?`", text))
    missing = [
        name
        for name in named
        if not any((base / name).exists() for base in (ROOT, ROOT / "fakeai_proxy"))
    ]
    assert not missing

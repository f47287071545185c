"""Documentation that cannot lie."""

from __future__ import annotations

import re

import pytest

from fakeai_proxy.sources import MODES
from tests.documents import EXPRESSIONS, README, rewritten

ROOT = README.parent


def test_the_tables_of_the_readme_are_what_the_program_says() -> None:
    text = README.read_text("utf-8")
    assert text == rewritten(text), "run `python -m tests.documents`"


def test_every_mode_has_its_expression() -> None:
    assert set(EXPRESSIONS) == set(MODES)


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_every_file_that_a_page_names_exists(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    named = set(re.findall(r"`((?:[\w]+/)*[\w]+\.(?:py|toml))(?:::\w+)?`", text))
    missing = [
        name
        for name in named
        if not any((base / name).exists() for base in (ROOT, ROOT / "fakeai_proxy"))
    ]
    assert not missing

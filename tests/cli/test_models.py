"""`models`: every model is listed, and what is shown can be served."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fakeai_proxy.profiles.model_files import cards_in, shipped_cards
from tests.cli.conftest import Run

CARDS = {card.id: card for card in shipped_cards()}


def test_every_model_is_listed_with_limits_and_prices(run: Run) -> None:
    lines = run("models", "ls").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [*CARDS]
    line = next(line for line in lines if line.startswith("gpt-4o-mini "))
    assert line.split()[1:] == [
        "openai", "chat", "128,000", "16,384", "text+image+file", "0.15", "0.6", "2023-10-01",
    ]  # fmt: skip


def test_the_list_can_be_narrowed_and_is_json_for_programs(run: Run) -> None:
    found = json.loads(run("models", "ls", "--json", "--vendor", "qwen", "--kind", "rerank").stdout)
    assert [each["id"] for each in found] == ["Qwen/Qwen3-Reranker-0.6B"]
    shown = json.loads(run("models", "show", "gpt-4o", "--json").stdout)
    assert shown["pricing"]["output_per_million"] == 10
    assert shown["supports_vision"]
    assert shown["training_cutoff"] == "2023-10-01"


@pytest.mark.parametrize("name", ["gpt-4o", "gpt-6-sol", "dall-e-3", "Qwen/Qwen3-8B", "o4-mini"])
def test_what_is_shown_is_a_file_of_ones_own(run: Run, tmp_path: Path, name: str) -> None:
    own = tmp_path / "own.toml"
    own.write_text(run("models", "show", name).stdout)
    assert cards_in([own]) == [CARDS[name]]
    own.write_text(own.read_text().replace(f'"{name}"', '"mine"', 1))
    listed = run("models", "ls", "--models", str(own)).stdout.splitlines()
    assert listed[1].startswith("mine ")
    assert len(listed) == len(CARDS) + 2


def test_what_is_unknown_is_said(run: Run) -> None:
    failed = run("models", "show", "gpt-4o-minni")
    assert failed.returncode == 2
    assert "there is no model 'gpt-4o-minni'. Near: gpt-4o-mini" in failed.stderr
    failed = run("models", "ls", "--vendor", "acme")
    assert "Known: anthropic, deepseek" in failed.stderr

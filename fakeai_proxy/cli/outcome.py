"""What a command has done: a text for people, or one JSON object for programs, as `--json` says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any

import click


@dataclass(frozen=True, slots=True)
class Outcome:
    text: str
    facts: Mapping[str, object]
    status: int = 0


def tells_outcome(command: Callable[..., Outcome]) -> Callable[..., int]:
    """Gives a command `--json`. The innermost decorator of its function, which returns what it has done."""

    @click.option("--json", "as_json", is_flag=True, help="What was done, as one JSON object.")
    @wraps(command)
    def told(*values: Any, as_json: bool, **named: Any) -> int:
        done = command(*values, **named)
        click.echo(json.dumps(done.facts, ensure_ascii=False) if as_json else done.text)
        return done.status

    return told

"""The options of commands that say what else is secret besides credentials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from fakeai_proxy.cassette.rules import Rules
from fakeai_proxy.cassette.settings import CassetteSettings

Command = TypeVar("Command", bound=Callable[..., Any])


def scrub_options(command: Command) -> Command:
    """The same as when it is recorded."""
    for name, words, kind in (
        ("scrub_pii", "Personal data: e-mail, phone, card, IBAN, SSN, IP addresses.", "flag"),
        ("scrub_header", "What this header says. Repeatable.", "NAME"),
        ("scrub_pattern", "What this regular expression matches. Repeatable.", "REGEX"),
    ):
        flag = kind == "flag"
        option = click.option(
            f"--{name.replace('_', '-')}", name, is_flag=flag, multiple=not flag, help=words,
            metavar=None if flag else kind,
        )  # fmt: skip
        command = option(command)
    return command


def rules_of(asked: Mapping[str, Any]) -> Rules:
    """What was given to these options."""
    try:
        return Rules.of(CassetteSettings(**asked))
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise click.ClickException(f"--scrub-pattern: {message}") from None

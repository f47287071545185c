"""Command-line options made from the fields of `Config`, so that no setting lacks its flag.

Values stay the strings that were typed: `Config` alone converts and judges them, whether they come
from a file, the environment or here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem
    from pydantic.fields import FieldInfo

    from fakeai_proxy.config import Config

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_METAVARS: dict[object, str] = {int: "N", float: "X", Path: "PATH", str: "TEXT"}
#: Where the type says less than people want to know.
_VALUES = {
    "listen": "HOST:PORT", "profile": "NAME|FILE|none", "upstream": "URL", "upstream_proxy": "URL",
    "proxy_auth": "USER:PASSWORD", "cassette": "PATH", "intercept": "HOST", "allow_host": "HOST",
    "model": "NAME", "models": "FILE.toml", "fault": "NAME:K=V", "faults": "FILE.toml",
    "scrub_header": "NAME", "scrub_pattern": "REGEX", "match_pattern": "REGEX",
    "limits": "NAME[:TIER]|FILE|none", "journal_file": "FILE.jsonl", "scenario": "NAME|FILE.toml",
    "verdict": "FORM|FILE.json", "strict": "all|miss|...",
    "max_age": "SPAN", "rerecord": "ID", "otel": "URL|env",
}  # fmt: skip


#: What --help groups the settings by, and whose settings each group has.
SECTIONS = {
    "What answers": ("ServerSettings",),
    "Upstreams": ("UpstreamSettings",),
    "Cassettes": ("CassetteSettings",),
    "Pace": ("PacingSettings",),
    "Limits, faults, scenarios": ("LimitSettings", "FaultSettings", "ScenarioSettings"),
    "Models and answers of our own": (
        "CatalogueSettings", "SynthSettings", "DialectSettings", "AzureSettings", "AuthSettings",
        "WebhookSettings",
    ),
    "State and processes": ("StoreSettings", "SharedSettings"),
    "Ports, proxy, TLS": ("FrontDoorSettings", "PolicySettings"),
    "Control, metrics, logs": ("AdminSettings", "JournalSettings", "DcgmSettings", "LogSettings"),
}  # fmt: skip
#: Whose settings no group has.
OTHERS = "Others"


class Setting(click.Option):
    """`section` is the heading that it stands under."""

    section = ""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from fakeai_proxy.cli.completion import values

        assert self.name is not None, "every setting has one"
        return values(self.name, incomplete) or super().shell_complete(ctx, incomplete)


def setting_options() -> list[Setting]:
    """`--config` and one option for each setting."""
    from fakeai_proxy.config import Config

    config = Setting(
        ["--config", "config_file"],
        type=click.Path(path_type=Path),
        help="Read settings from this TOML file. [env FAKEAI_PROXY_CONFIG]",
        metavar="FILE.toml",
    )
    config.section = next(iter(SECTIONS))
    section_of = {name: title for title, names in SECTIONS.items() for name in names}
    options = [config]
    for kind in reversed(Config.__mro__):
        for name in vars(kind).get("__annotations__", ()):
            if name in Config.model_fields:
                option = _option(name, Config.model_fields[name])
                option.section = section_of.get(kind.__name__, OTHERS)
                options.append(option)
    order = [*SECTIONS, OTHERS]
    return sorted(options, key=lambda one: order.index(one.section))


def _option(name: str, field: FieldInfo) -> Setting:
    flag = "--" + name.replace("_", "-")
    kind = _without_none(field.annotation)
    arguments: dict[str, Any] = {"help": _help(name, field), "default": None}
    if kind is bool:
        return Setting([f"{flag}/--no-{flag[2:]}", name], **arguments)
    if get_origin(kind) is Literal:
        arguments["type"] = click.Choice([str(choice) for choice in get_args(kind)])
    elif get_origin(kind) is tuple:
        value = _VALUES.get(name, "TEXT")
        several = "" if name.endswith("_pattern") else f"[,{value}...]"
        arguments |= {"multiple": True, "metavar": f"{value}{several}"}
    else:
        arguments["metavar"] = _VALUES.get(name) or _METAVARS.get(kind, "TEXT")
    return Setting([flag, name], **arguments)


def _without_none(annotation: object) -> object:
    if get_origin(annotation) in (Union, UnionType):
        return next(kind for kind in get_args(annotation) if kind is not NoneType)
    return annotation


def _help(name: str, field: FieldInfo) -> str:
    from fakeai_proxy.config import ENVIRONMENT_PREFIX

    default = field.get_default()
    shown = "" if default in (None, ()) else f"default {_spelled(default)}; "
    several = " Repeatable." if get_origin(field.annotation) is tuple else ""
    return f"{field.description}{several} [{shown}env {ENVIRONMENT_PREFIX}{name.upper()}]"


def _spelled(default: object) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


def with_settings(command: Decorated) -> Decorated:
    """Give a sub-command the same options as the program itself, whose --help lists them."""
    assert isinstance(command, click.Command)
    for option in setting_options():
        option.hidden = True
        command.params.append(option)
    command.epilog = "Every setting of the server is an option here, too: fakeai-proxy --help."
    return command


def given(ctx: click.Context) -> dict[str, object]:
    """The settings that were typed, on this command or on those around it; the inner one wins."""
    from fakeai_proxy.config import Config, pieces_of

    flags = given(ctx.parent) if ctx.parent else {}
    for name, value in ctx.params.items():
        if value is None or value == () or name not in (*Config.model_fields, "config_file"):
            continue
        several = isinstance(value, tuple)
        flags[name] = (
            tuple(p for part in value for p in pieces_of(name, part)) if several else value
        )
    return flags


def load(ctx: click.Context, defaults: Mapping[str, object] | None = None) -> Config:
    """The settings in force. Raises ConfigError."""
    from fakeai_proxy.config import Config

    flags = given(ctx)
    named = os.environ.get("FAKEAI_PROXY_CONFIG")
    file = flags.pop("config_file", None) or (Path(named) if named else None)
    assert file is None or isinstance(file, Path)
    return Config.load(file, os.environ, {**(defaults or {}), **flags})

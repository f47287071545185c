"""Rules as people write them: `cut:p=0.03,after=20`, `503`, TOML tables. Mistakes name what is known."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.shaping.faults.kinds import AnyFault, Params
from fakeai_proxy.shaping.faults.rule import Conditions, Rule
from fakeai_proxy.shaping.faults.table import FAULTS

#: What is known of a connection before a request is: the only conditions for faults at the door.
AT_DOOR = frozenset(("host", "client", "mode", "p", "every", "run", "first", "per", "from_s", "until_s",
                     "phase", "also"))  # fmt: skip


def rules_of(given: Iterable[Any]) -> tuple[Rule, ...]:
    """Rules from texts and tables. A text may have been split at its commas, as lists of settings are:
    what begins with PARAMETER= belongs to what came before it. Raises ConfigError."""
    if isinstance(given, str | Mapping):
        given = (given,)
    whole: list[Any] = []
    for one in given:
        if isinstance(one, str):
            for piece in filter(None, (piece.strip() for piece in one.split(","))):
                _join(whole, piece)
        else:
            whole.append(one)
    return tuple([_rule(one) for one in whole])


def _join(whole: list[Any], piece: str) -> None:
    name, equals, _ = piece.partition("=")
    if equals and ":" not in name and whole and isinstance(whole[-1], str):
        whole[-1] += ("," if ":" in whole[-1] else ":") + piece
    else:
        whole.append(piece)


def read_file(file: Path) -> tuple[Rule, ...]:
    """The tables [[fault]] of a TOML file. Raises ConfigError."""
    try:
        tables = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"faults: {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"faults: {file}: {error}") from None
    others = sorted(set(tables) - {"fault"})
    if others:
        raise ConfigError(f"faults: {file}: there are tables [[fault]] only, not {others[0]}.")
    try:
        return rules_of(tables.get("fault", ()))
    except ConfigError as error:
        raise ConfigError(f"faults: {file}: {error}") from None


@lru_cache(maxsize=256)
def asked(text: str) -> tuple[Rule, ...]:
    """What a request's header asks for: all of it happens. Raises ConfigError."""
    rules = rules_of((text,))
    for rule in rules:
        if rule.fault.at_door:
            raise ConfigError(f"{rule.fault.name}: it acts before a request is known.")
        if rule.conditions.model_fields_set:
            raise ConfigError(f"{rule.text}: a request that asks for a fault sets no conditions.")
    return rules


def rule_of(given: Any) -> Rule:
    """One rule. Raises ConfigError."""
    rules = rules_of((given,))
    if len(rules) != 1:
        raise ConfigError(f"one fault is wanted, not {len(rules)}.")
    return rules[0]


def _rule(given: Any) -> Rule:
    if isinstance(given, Rule):
        # Of its own: it will count.
        return replace(given, id="", applied=0, tests=())
    if isinstance(given, int) and not isinstance(given, bool):
        given = str(given)
    if isinstance(given, str):
        given = _table(given)
    if not isinstance(given, Mapping):
        raise ConfigError("a fault is NAME:PARAMETER=VALUE,... or a table with the key fault.")
    values = dict(given)
    name = str(values.pop("fault", ""))
    if name.isdigit():
        name, values = "status", {"code": name, **values}
    fault = FAULTS.get(name)
    if fault is None:
        raise ConfigError(no_such(name))
    mine = {key: value for key, value in values.items() if key in fault.params.model_fields}
    rest = {key: value for key, value in values.items() if key not in mine}
    for key in rest:
        if key not in Conditions.model_fields:
            raise ConfigError(_no_such_parameter(fault, key))
        if fault.at_door and key not in AT_DOOR:
            raise ConfigError(
                f"{name}: it acts before a request is known, so {key} cannot be asked; "
                f"{', '.join(sorted(AT_DOOR))} can."
            )
    params, conditions = _valid(name, fault.params, mine), _valid(name, Conditions, rest)
    assert isinstance(params, Params)
    assert isinstance(conditions, Conditions)
    said, when = _spelled(params), _spelled(conditions)
    text = name + (":" if said or when else "") + ",".join(filter(None, (said, when)))
    return Rule(fault, params, conditions, text, name + (":" if said else "") + said)


def _table(text: str) -> dict[str, str]:
    name, _, rest = text.partition(":")
    values = {"fault": name.strip()}
    for piece in filter(None, rest.split(",")):
        key, equals, value = piece.partition("=")
        if not equals:
            raise ConfigError(f"{name}: '{piece}' is not PARAMETER=VALUE.")
        values[key.strip().replace("-", "_")] = value.strip()
    return values


def _valid(name: str, kind: type[BaseModel], values: Mapping[str, Any]) -> BaseModel:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = first["loc"][0] if first["loc"] else ""
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{name}: {key}={values.get(str(key))}: {message}.") from None


def _spelled(values: BaseModel) -> str:
    return ",".join(
        [
            f"{key}={_word(getattr(values, key))}"
            for key in type(values).model_fields
            if key in values.model_fields_set
        ]
    )


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def no_such(name: str) -> str:
    """What is said of a fault that there is not."""
    near = difflib.get_close_matches(name, FAULTS, 1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"there is no fault '{name}'.{hint} Faults are {', '.join(FAULTS)}, or a status."


def _no_such_parameter(fault: AnyFault, key: str) -> str:
    own = ", ".join(fault.params.model_fields) or "no parameters of its own"
    near = difflib.get_close_matches(key, (*fault.params.model_fields, *Conditions.model_fields), 1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return (
        f"{fault.name}: there is no parameter '{key}'.{hint} It has {own}; every fault has "
        f"{', '.join(Conditions.model_fields)}."
    )

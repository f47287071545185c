"""`fakeai-proxy faults`: what can go wrong on purpose."""

from __future__ import annotations

import json

import click
from pydantic_core import PydanticUndefined

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.shaping.faults.kinds import AnyFault, Params
from fakeai_proxy.shaping.faults.parsing import AT_DOOR, no_such
from fakeai_proxy.shaping.faults.rule import Conditions
from fakeai_proxy.shaping.faults.table import FAULTS


@click.group()
def faults() -> None:
    """What --fault, --faults and the header x-fakeai-fault accept."""


@faults.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON array, for programs.")
def ls(as_json: bool) -> int:
    """List the faults."""
    if as_json:
        click.echo(json.dumps([_summary(fault) for fault in FAULTS.values()], indent=2))
        return 0
    wide = max(map(len, FAULTS))
    for fault in FAULTS.values():
        click.echo(f"{fault.name:<{wide}}  {'+'.join(fault.points):<10}  {fault.meaning}")
    return 0


@faults.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def show(name: str, as_json: bool) -> int:
    """Print what the fault NAME does, its parameters, the conditions that it may have, and an example."""
    fault = FAULTS.get(name)
    if fault is None:
        raise ConfigError(f"faults show: {no_such(name)}")
    if as_json:
        click.echo(json.dumps(_summary(fault), indent=2))
        return 0
    click.echo(
        f"{fault.name}: {fault.meaning}.\nActs {', '.join(_POINTS[one] for one in fault.points)}."
    )
    conditions = {
        key: field
        for key, field in Conditions.model_fields.items()
        if not fault.at_door or key in AT_DOOR
    }
    for title, fields in (("Parameters", fault.params.model_fields), ("Conditions", conditions)):
        if fields:
            click.echo(f"\n{title}:")
            wide = max(map(len, fields))
            for key, field in fields.items():
                default = field.default
                shown = "" if default in (None, PydanticUndefined) else f" [{json.dumps(default)}]"
                click.echo(f"  {key:<{wide}}  {field.description}{shown}")
    click.echo(f"\nExample:\n  fakeai-proxy --fault {fault.example}")
    if not fault.at_door:
        click.echo(f"  curl -H 'x-fakeai-fault: {_unconditional(fault)}' ...")
    click.echo(f"\n{_toml(fault)}")
    return 0


_POINTS = {
    "before": "instead of the back end",
    "reply": "on the reply",
    "wire": "on the line to the client",
    "door": "before a request is known",
}


def _summary(fault: AnyFault) -> dict[str, object]:
    return {
        "name": fault.name,
        "meaning": fault.meaning,
        "points": fault.points,
        "example": fault.example,
        "parameters": _described(fault.params),
    }


def _described(params: type[Params]) -> dict[str, dict[str, object]]:
    return {
        key: {"description": field.description, "default": field.get_default()}
        for key, field in params.model_fields.items()
    }


def _given(fault: AnyFault) -> list[tuple[str, str]]:
    """The example's parameters and conditions."""
    rest = fault.example.partition(":")[2]
    pairs = [piece.partition("=") for piece in rest.split(",")] if rest else []
    return [(key, value) for key, _, value in pairs]


def _unconditional(fault: AnyFault) -> str:
    own = [f"{key}={value}" for key, value in _given(fault) if key in fault.params.model_fields]
    return fault.name + (":" if own else "") + ",".join(own)


def _toml(fault: AnyFault) -> str:
    lines = ["[[fault]]", f'fault = "{fault.name}"']
    for key, value in _given(fault):
        number = value.replace(".", "", 1).isdigit() or value in ("true", "false")
        lines.append(f"{key} = {value if number else json.dumps(value)}")
    return "\n".join(lines)

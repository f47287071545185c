"""Finds and reads the TOML of a profile, by the name it is shipped under or as a file."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from fakeai_proxy.errors import ConfigError

_Shape = TypeVar("_Shape", bound=BaseModel)


class Data(BaseModel):
    """A table of a profile: no key that is not known, no number that is none."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, allow_inf_nan=False)


def shipped(folder: str) -> Traversable:
    """`profiles` or `cassettes`, in the wheel or in the checkout."""
    packed = resources.files("fakeai_proxy") / "_shipped" / folder
    return packed if packed.is_dir() else Path(__file__).resolve().parents[2] / folder


def names(kind: str) -> list[str]:
    """The shipped profiles of a kind: the files of `profiles/KIND/`."""
    folder = shipped("profiles") / kind
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    )


def load(shape: type[_Shape], kind: str, name: str, noun: str = "profile") -> _Shape:
    """The profile of that name or file as a `shape`, which has a `name`. Raises ConfigError."""
    values = tables(kind, name, noun)
    named = {"name": Path(name).name.removesuffix(".toml"), **values}
    return shaped(shape, name, named, noun)


def tables(kind: str, name: str, noun: str = "profile") -> dict[str, Any]:
    """What the TOML of that name or file says. Raises ConfigError."""
    try:
        return tomllib.loads(text(kind, name, noun))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{noun} {name}: it is no TOML: {error}") from None


def shaped(
    shape: type[_Shape], name: str, values: dict[str, object], noun: str = "profile"
) -> _Shape:
    """`values` as a `shape`. Raises ConfigError that names the key."""
    try:
        return shape.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        given = "" if first["type"] == "value_error" else f", not {str(first['input'])[:60]}"
        place = f"{where}: " if where else ""
        raise ConfigError(f"{noun} {name}: {place}{message}{given}") from None


def missing(noun: str, name: str, known: Sequence[str], beside: str) -> ConfigError:
    """Why there is nothing of that name or file; `beside` ends the list of those that are known."""
    path = Path(name)
    if name and path.is_dir():
        return ConfigError(f"{noun} {name}: it is a folder; name the TOML file in it.")
    if path.suffix == ".toml" or path.parent != Path():
        shipped_too = f" '{path.stem}' alone is the shipped one." if path.stem in known else ""
        return ConfigError(f"{noun} {name}: there is no such file.{shipped_too}")
    near = get_close_matches(name, known, 1)
    meant = f" Did you mean {near[0]}?" if near else ""
    return ConfigError(f"{noun}: there is no '{name}'. Known: {', '.join(known)}{beside}.{meant}")


def text(kind: str, name: str, noun: str = "profile") -> str:
    """The TOML of a profile by its name or file. Raises ConfigError."""
    known = names(kind)
    if name in known:
        return (shipped("profiles") / kind / f"{name}.toml").read_text("utf-8")
    if not Path(name).is_file():
        none = ", none" if noun in ("profile", "limits") else ""
        raise missing(noun, name, known, f"{none}, or a TOML file")
    try:
        return Path(name).read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"{noun} {name}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{noun} {name}: no UTF-8 text ({error.reason})") from None

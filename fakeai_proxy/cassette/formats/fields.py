"""What other programs' files say, read with care: whatever is not as it should be is told with the
file and the place in it."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from fakeai_proxy.cassette.places import refused
from fakeai_proxy.errors import CassetteError

_NUMBER_MAX = 1e15
_BOM = b"\xef\xbb\xbf"
_MISSING: Any = object()


class Fields:
    """A JSON object at `trail` in a file."""

    __slots__ = ("path", "trail", "value")

    def __init__(self, value: object, path: Path, trail: str = "") -> None:
        self.path, self.trail = path, trail
        if not isinstance(value, dict):
            raise self.wrong("", "is no object")
        self.value: dict[str, Any] = value

    @property
    def place(self) -> str:
        return f"{self.path}: {self.trail}" if self.trail else str(self.path)

    def wrong(self, name: str, fault: str) -> CassetteError:
        where = ".".join(part for part in (self.trail, name) if part)
        return CassetteError(
            ": ".join(part for part in (str(self.path), where) if part) + f" {fault}"
        )

    def has(self, name: str) -> bool:
        return self.value.get(name) is not None

    def any(self, name: str) -> Any:
        return self.value.get(name)

    def text(self, name: str, default: str = _MISSING) -> str:
        value = self._get(name, default)
        if not isinstance(value, str):
            raise self.wrong(name, "is no text")
        return value

    def number(self, name: str, default: float = _MISSING) -> float:
        value = self._get(name, default)
        if not _is_number(value):
            raise self.wrong(name, "is no number")
        return float(value)

    def numbers(self, name: str) -> list[float]:
        values = self.items(name)
        if not all(map(_is_number, values)):
            raise self.wrong(name, "has something else than numbers")
        return values

    def integer(self, name: str, default: int = _MISSING) -> int:
        value = self._get(name, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(name, "is no whole number")
        return value

    def integers(self, name: str) -> list[int]:
        """Whole numbers from 0 on."""
        values = self.items(name)
        if not all(type(value) is int and value >= 0 for value in values):
            raise self.wrong(name, "has something else than whole numbers")
        return values

    def base64(self, name: str) -> bytes:
        try:
            return base64.b64decode(self.text(name), validate=True)
        except (binascii.Error, ValueError):
            raise self.wrong(name, "is no base64") from None

    def items(self, name: str) -> list[Any]:
        value = self._get(name, [])
        if not isinstance(value, list):
            raise self.wrong(name, "is no list")
        return value

    def object(self, name: str, default: dict[str, Any] = _MISSING) -> Fields:
        return Fields(self._get(name, default), self.path, f"{self.trail}.{name}".strip("."))

    def objects(self, name: str) -> Iterator[Fields]:
        trail = f"{self.trail}.{name}".strip(".")
        for number, value in enumerate(self.items(name)):
            yield Fields(value, self.path, f"{trail}[{number}]")

    def _get(self, name: str, default: Any) -> Any:
        value = self.value.get(name)
        if value is not None:
            return value
        if default is _MISSING:
            raise self.wrong(name, "is missing")
        return default


def _is_number(value: object) -> bool:
    """Of a size that times and lengths have."""
    return type(value) in (int, float) and abs(value) < _NUMBER_MAX  # type: ignore[arg-type]  # is one


def read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes().removeprefix(_BOM)
    except OSError as error:
        raise CassetteError(refused(error, path)) from None


def parse_json(data: bytes) -> Any:
    """Raises ValueError, RecursionError."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:  # a lone surrogate, which is legal, or a fault
        return json.loads(data)


def parsed(data: bytes, path: Path, line: int = 1) -> Any:
    """`data` begins at `line` of the file. Raises CassetteError."""
    try:
        return parse_json(data)
    except json.JSONDecodeError as error:
        at = f"{path}:{error.lineno + line - 1}:{error.colno}"
        raise CassetteError(f"{at}: not JSON ({error.msg})") from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise CassetteError(f"{path}:{line}: not JSON ({error})") from None


def read_json(path: Path) -> Any:
    return parsed(read_bytes(path), path)


def read_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """The values of a file of JSON lines, with the numbers of their lines."""
    for number, line in enumerate(read_bytes(path).split(b"\n"), 1):
        if line.strip():
            yield number, parsed(line, path, number)

"""Answers that the user has put ready: a table of patterns, or a function of Python.

Asked before anything is made up; what it has no answer to is made up as ever. Its file is read again when
it has changed, and an edit that cannot be read leaves the last good one in force.
"""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import logging
import re
import threading
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fakeai_proxy import errors
from fakeai_proxy.errors import ConfigError

log = logging.getLogger("fakeai_proxy")


@dataclass(frozen=True)
class Ask:
    """What a responder is given. `api` is the operation (createChatCompletion), `prompt` the last thing
    that the user said, `request` the body as it was sent; `rng` draws the same for the same request."""

    api: str
    model: str
    prompt: str
    rng: Random
    read: Callable[[], dict[str, Any]] = field(default=dict, repr=False)

    @cached_property
    def request(self) -> dict[str, Any]:
        return self.read()

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Of chat and messages; the items of a response."""
        said = self.request.get("messages") or self.request.get("input") or []
        return [{"role": "user", "content": said}] if isinstance(said, str) else said


@dataclass(frozen=True, slots=True)
class Canned:
    """An answer that was put ready. `calls` are names of tools with their arguments as JSON."""

    content: str = ""
    refusal: str = ""
    calls: Sequence[tuple[str, str]] = ()
    finish_reason: str = ""


Respond = Callable[[Ask], object]


class Responder:
    """`target` is FILE.toml, FILE.py:function or package.module:function. Raises ConfigError."""

    def __init__(self, target: str) -> None:
        self.target = target
        self._path, self._function = _place_of(target)
        self._read_at = 0
        self._lock = threading.Lock()
        self._respond = self._load()

    def answer(self, ask: Ask) -> Canned | None:
        """Takes as long as the user's function does. Raises ApiError where that fails."""
        self._renew()
        try:
            made = self._respond(ask)
            if inspect.iscoroutine(made):
                made = asyncio.run(made)
            return _canned(made)
        except errors.ApiError:
            raise
        except Exception as error:  # whatever the user's code raises is an answer, too
            log.exception("the responder %s failed", self.target)
            raise errors.responder_failed(
                self.target, f"{type(error).__name__}: {error}"
            ) from error

    @property
    def path(self) -> Path:
        return self._path

    def renew(self) -> None:
        """Read it again. Raises ConfigError, and then the last good one stays in force."""
        with self._lock:
            self._respond = self._load()

    def _renew(self) -> None:
        try:
            changed_at = self._path.stat().st_mtime_ns
        except OSError:
            return  # in the middle of being replaced
        if changed_at == self._read_at:
            return
        with self._lock:
            if changed_at == self._read_at:
                return
            try:
                self._respond = self._load()
                log.info("the responder %s was read again", self.target)
            except ConfigError as error:
                self._read_at = changed_at
                log.warning("%s; the last good one stays in force", error)

    def _load(self) -> Respond:
        try:
            self._read_at = self._path.stat().st_mtime_ns
            source = self._path.read_bytes()
        except OSError as error:
            raise ConfigError(f"responder: {self._path}: {error.strerror}") from None
        if not self._function:
            return _Table(self._path, source).respond
        module = ModuleType(self._path.stem)
        module.__file__ = str(self._path)
        try:
            program = compile(source, str(self._path), "exec", dont_inherit=True)
            exec(program, module.__dict__)  # noqa: S102 - the user's own
        except Exception as error:  # noqa: BLE001 - whatever it raises, it cannot be used
            raise ConfigError(f"responder: {self._path}: {type(error).__name__}: {error}") from None
        found = getattr(module, self._function, None)
        if not callable(found):
            raise ConfigError(f"responder: {self._path} has no function {self._function}")
        respond: Respond = found
        return respond


def _place_of(target: str) -> tuple[Path, str]:
    """The file, and the name of the function in it; "" for a table."""
    where, colon, function = target.rpartition(":")
    if not colon or (len(where) == 1 and function.startswith(("\\", "/"))):
        if not target.endswith(".toml"):
            raise ConfigError(
                f"responder: {target}: expected FILE.toml, FILE.py:function or package.module:function"
            )
        return Path(target), ""
    if where.endswith(".py"):
        return Path(where), function
    try:
        spec = importlib.util.find_spec(where)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        raise ConfigError(f"responder: there is no module {where}; is it on PYTHONPATH?")
    return Path(spec.origin), function


_KEYS = frozenset(("content", "refusal", "tool_calls", "finish_reason"))


def _canned(made: object) -> Canned | None:
    """Raises TypeError for what is no answer."""
    if made is None:
        return None
    if isinstance(made, str):
        return Canned(made)
    if not isinstance(made, Mapping) or not made or not _KEYS.issuperset(made):
        raise TypeError(
            "a responder gives None, a text, or a dictionary with any of content, refusal, tool_calls and "
            f"finish_reason, not {made!r:.200}"
        )
    calls = [
        (str(call["name"]), _text(call.get("arguments", {})))
        for call in made.get("tool_calls") or ()
    ]
    return Canned(
        _text(made.get("content") or ""),
        str(made.get("refusal") or ""),
        tuple(calls),
        str(made.get("finish_reason") or ""),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


# --- tables -------------------------------------------------------------------------------------------


class _Row(BaseModel):
    """The first row that fits answers. `prompt` is a regular expression, `model` a shell pattern."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str = ""
    model: str = "*"
    text: str | tuple[str, ...] = ()
    json_: Any = Field(None, alias="json")
    tool: str = ""
    arguments: dict[str, Any] = Field(default_factory=dict)
    refusal: str = ""
    finish_reason: str = ""


class _Rows(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    answer: tuple[_Row, ...] = Field(min_length=1)


class _Table:
    def __init__(self, path: Path, source: bytes) -> None:
        try:
            rows = _Rows.model_validate(tomllib.loads(source.decode())).answer
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"responder: {path}: {error}") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ConfigError(f"responder: {path}: {where}: {first['msg']}") from None
        self._rows: list[tuple[re.Pattern[str], _Row]] = []
        for number, row in enumerate(rows):
            try:
                self._rows.append((re.compile(row.prompt), row))
            except re.error as error:
                raise ConfigError(f"responder: {path}: answer.{number}.prompt: {error}") from None

    def respond(self, ask: Ask) -> object:
        for pattern, row in self._rows:
            match = pattern.search(ask.prompt) if fnmatchcase(ask.model, row.model) else None
            if match is None:
                continue
            words = {"model": ask.model, "prompt": ask.prompt}
            words.update({name: said or "" for name, said in match.groupdict().items()})
            return _filled(row, words, ask.rng)
        return None


def _filled(row: _Row, words: Mapping[str, str], rng: Random) -> dict[str, object]:
    """The row with `{name}` replaced wherever there is such a word, and nowhere else."""

    def fill(value: Any) -> Any:
        if isinstance(value, str):
            for name, word in words.items():
                value = value.replace(f"{{{name}}}", word)
            return value
        if isinstance(value, dict):
            return {key: fill(inner) for key, inner in value.items()}
        return [fill(inner) for inner in value] if isinstance(value, list) else value

    texts = (row.text,) if isinstance(row.text, str) else row.text
    content = row.json_ if row.json_ is not None else rng.choice(texts) if texts else ""
    calls = [{"name": row.tool, "arguments": fill(row.arguments)}] if row.tool else []
    return {
        "content": fill(content), "refusal": fill(row.refusal), "tool_calls": calls,
        "finish_reason": row.finish_reason,
    }  # fmt: skip

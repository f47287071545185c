"""The operations that vendors' SDKs know, read from their sources. `python -m tests.operations` writes them
to tests/data/operations, with the version they are of; what we answer of them is a table of the docs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "data" / "operations"
#: SDK -> where the paths that it asks begin.
SDKS = {"openai": "", "anthropic": "/v1"}
_VERBS = ("_get", "_post", "_delete", "_patch", "_put", "_get_api_list")


@dataclass(frozen=True, order=True)
class Known:
    """`path` is written as ours are, with `{}` for each parameter."""

    path: str
    method: str

    @classmethod
    def of(cls, method: str, path: str) -> Known:
        return cls(re.sub(r"\{[^}]*\}", "{}", path), method)

    @property
    def group(self) -> str:
        return self.path.split("/")[1]


def listed(sdk: str) -> tuple[str, list[Known]]:
    """The version and what it knows, as they are in the folder."""
    head, *lines = (FOLDER / f"{sdk}.txt").read_text("utf-8").splitlines()
    return head, [Known(path, method) for method, path in (line.split() for line in lines)]


def read(sdk: str) -> Iterator[Known]:
    """From the SDK that is installed."""
    folder = Path(str(import_module(sdk).__file__)).parent / "resources"
    for source in folder.rglob("*.py"):
        for call in ast.walk(ast.parse(source.read_text("utf-8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "attr", "") in _VERBS:
                path = _path(call.args[0])
                if path is not None:
                    yield Known.of(_method(call), path.removeprefix(SDKS[sdk]).partition("?")[0])


def _path(said: ast.expr) -> str | None:
    """None where the SDK has it from an answer."""
    if isinstance(said, ast.Call):  # path_template("/x/{y}", y=...)
        said = said.args[0]
    if isinstance(said, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else "{}" for part in said.values)
        return "".join(str(part) for part in parts)
    return said.value if isinstance(said, ast.Constant) and isinstance(said.value, str) else None


def _method(call: ast.Call) -> str:
    verb: str = getattr(call.func, "attr")  # noqa: B009 - an attribute, as the caller has seen
    if verb != "_get_api_list":
        return verb.removeprefix("_").upper()
    said = (key.value for key in call.keywords if key.arg == "method")
    return next(
        (str(value.value).upper() for value in said if isinstance(value, ast.Constant)), "GET"
    )


if __name__ == "__main__":
    for name in SDKS:
        rows = "".join(f"{one.method} {one.path}\n" for one in sorted(set(read(name))))
        (FOLDER / f"{name}.txt").write_text(f"{version(name)}\n{rows}", "utf-8")

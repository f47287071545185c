"""Other programs' formats: the table of those that are read and written, and how one is told from its
content."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from fakeai_proxy.cassette.formats import (
    aimock,
    completions,
    har,
    hoverfly,
    mitmproxy,
    traces,
    vcr,
    wiremock,
)
from fakeai_proxy.cassette.formats.fields import parse_json, read_bytes, read_json
from fakeai_proxy.cassette.formats.seen import Seen, Skipped
from fakeai_proxy.cassette.formats.told import Encode, Told
from fakeai_proxy.errors import CassetteError

#: Gets the files, and is told how far it is.
Reader = Callable[[Sequence[Path], Callable[[int, int], None]], Iterator[Seen | Skipped]]
#: How many it wrote.
Writer = Callable[[Iterable[Told], BinaryIO, Encode], int]


@dataclass(frozen=True, slots=True)
class Format:
    """`suffixes` are those of its files in a folder. `knows` gets the first bytes of a file, and the
    whole as JSON where it is that. `whole_only`: it has no word for a reply that breaks off."""

    about: str
    read: Reader | None = None
    write: Writer | None = None
    suffixes: tuple[str, ...] = (".json",)
    knows: Callable[[bytes, Any], bool] = lambda start, value: False
    whole_only: bool = True
    #: Whether it has a form for what is said on WebSockets.
    has_sockets: bool = False
    #: Writers of files with another suffix, and what a writer may have no form for.
    write_as: Mapping[str, Writer] = field(default_factory=dict)
    lacking: str = "without a prompt and tokens"


def _has(*names: str) -> Callable[[bytes, Any], bool]:
    return lambda start, value: isinstance(value, dict) and all(name in value for name in names)


FORMATS = {
    "har": Format(
        "HTTP archives (1.2) of browsers, mitmproxy, Charles, Playwright and others",
        har.read, har.write, (".har",), _has("log"), whole_only=False, has_sockets=True,
    ),
    "vcr": Format(
        "cassettes of vcrpy and pytest-recording, YAML (with the extra `vcr`) or NAME.json",
        vcr.read, vcr.write, (".yaml", ".yml", ".json"),
        lambda start, value: _has("interactions")(start, value)
        or (value is None and b"interactions:" in start),
        write_as={".json": vcr.write_json},
        lacking="with bodies that are no text, which vcrpy keeps in YAML only",
    ),
    "aimock": Format("fixtures of aimock, for `--match loose`", aimock.read,
                     knows=_has("fixtures")),
    "mitmproxy": Format(
        "flow files of mitmproxy 4 and later", mitmproxy.read,
        suffixes=(".mitm", ".flow", ".flows", ".dump"),
        knows=lambda start, value: value is None and mitmproxy.begins(start),
    ),
    "wiremock": Format(
        "mappings of WireMock with their `__files`", wiremock.read,
        knows=lambda start, value: _has("mappings")(start, value)
        or _has("request", "response")(start, value),
    ),
    "hoverfly": Format("simulations of Hoverfly (v5)", hoverfly.read, knows=_has("data", "meta")),
    "completions": Format(
        "JSON lines of stored chat completions or of conversations, the last message the answer",
        completions.read, suffixes=(".jsonl",), knows=_has("messages"),
    ),
    "mooncake": Format("a trace: arrivals, lengths, and a hash id for every 512 tokens",
                       write=traces.mooncake),
    "aiperf": Format("the same for aiperf (`--custom-dataset-type mooncake_trace`), with sessions",
                     write=traces.aiperf),
    "guidellm": Format("the same for guidellm (`trace_synthetic`, `mooncake`), in seconds",
                       write=traces.guidellm),
}  # fmt: skip

READABLE = tuple(name for name, form in FORMATS.items() if form.read is not None)
WRITABLE = tuple(name for name, form in FORMATS.items() if form.write is not None)
_START_BYTES = 1 << 16


def guessed(files: Sequence[Path]) -> str:
    """The format that these are in, by their content. Raises CassetteError."""
    for path in files:
        data = read_bytes(path)
        value = _value(data)
        for name in READABLE:
            if FORMATS[name].knows(data[:_START_BYTES], value):
                return name
        if value == {}:
            read_json(path)  # says where it is none
    raise CassetteError(f"{files[0]}: in none of the formats {', '.join(READABLE)}")


def _value(data: bytes) -> Any:
    """The whole as JSON, or its first line; None for something else."""
    if data.lstrip()[:1] != b"{":
        return None
    for text in (data, data.lstrip().partition(b"\n")[0]):
        with contextlib.suppress(ValueError, RecursionError):
            return parse_json(text)
    return {}


def files_of(source: Path, suffixes: Sequence[str]) -> list[Path]:
    """A file, or those of a folder, in the order of their names. Raises CassetteError."""
    if not source.is_dir():
        return [source]
    found = sorted(
        path
        for path in source.rglob("*")
        if path.name.endswith(tuple(suffixes))
        and not any(
            part == "__files" or part.startswith(".") for part in path.relative_to(source).parts
        )
        and path.is_file()
    )
    if not found:
        raise CassetteError(f"{source}: holds no file that ends in {', '.join(suffixes)}")
    return found


ALL_SUFFIXES = tuple(dict.fromkeys(
    suffix for name in READABLE for suffix in FORMATS[name].suffixes
))  # fmt: skip

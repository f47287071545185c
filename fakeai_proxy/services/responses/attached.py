"""Files that input items name by their ids, and what tools name."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

from fakeai_proxy import errors
from fakeai_proxy.services.filing import FILES, read_file
from fakeai_proxy.services.items.history import Item
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.responses import tools
from fakeai_proxy.store import Key

#: platform.openai.com/docs/guides/pdf-files and .../images-vision: of one file.
_BYTES_MAX = 50 << 20
#: Kinds of parts, and where the bytes stand in one that brings them along.
_PLACES = {"input_file": "file_data", "input_image": "image_url"}


def readable(call: Call, items: Sequence[Item]) -> Sequence[Item]:
    """As the model reads them: with the bytes of files in the place of their ids. Raises 404, 413 and
    Unhurried."""
    return [_read(call, item, f"input[{k}]") for k, item in enumerate(items)]


def _read(call: Call, item: Item, path: str) -> Item:
    for name in ("content", "output"):
        parts = item.get(name)
        if isinstance(parts, list) and any(part.get("file_id") for part in parts):
            found = [_part(call, part, f"{path}.{name}[{j}]") for j, part in enumerate(parts)]
            return {**item, name: found}
    return item


def _part(call: Call, part: Item, path: str) -> Item:
    place = _PLACES.get(part["type"])
    if place is None or not part.get("file_id"):
        return part
    _, data = read_file(call, part["file_id"], f"{path}.file_id", _BYTES_MAX)
    whole = {name: value for name, value in part.items() if name != "file_id"}
    if place == "file_data":
        whole = {"filename": part["file_id"], **whole}
    return {**whole, place: f"data:{_kind(place, data)};base64,{b64encode(data).decode()}"}


def _kind(place: str, data: bytes) -> str:
    """As far as it matters to who reads it: a picture's kind is in its bytes."""
    if place == "image_url":
        return "image/*"
    return "application/pdf" if b"%PDF-" in data[:1024] else "application/octet-stream"


def check_named(call: Call, offered: Sequence[tools.Tool]) -> None:
    """The containers and files that tools name are there. Raises 404 and Unhurried."""
    for k, tool in enumerate(offered):
        path = f"tools[{k}]"
        container = None
        if isinstance(tool, tools.CodeInterpreter):
            container = tool.container
        elif isinstance(tool, tools.Shell) and tool.environment is not None:
            container = tool.environment.container_id
        if isinstance(container, tools.AutoContainer):
            for j, name in enumerate(container.file_ids or ()):
                if not _has(call, FILES.key(call, name)):
                    raise errors.no_such_file(name, f"{path}.container.file_ids[{j}]")
        elif container is not None:
            _check_container(call, container)


def _check_container(call: Call, name: str) -> None:
    if not _has(call, Key("container", name, call.project)):
        raise errors.no_such_container(name)


def _has(call: Call, key: Key) -> bool:
    return call.wait_for(lambda: call.store.get(key)) is not None

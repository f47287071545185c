"""What every room may do with files: find them, read them and make them.

Batches, fine-tuning and vector stores work on files as the files room does, and no room imports
another.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import Field

from fakeai_proxy import errors
from fakeai_proxy.exchange import Chunk, Reply
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.resources import Resource
from fakeai_proxy.services.wire import Shape, parsed_object
from fakeai_proxy.store import Blob, Blobs, Row

#: platform.openai.com/docs/api-reference/files/create: one file, and one for the Batch API.
FILE_BYTES_MAX = 512 << 20
BATCH_BYTES_MAX = 200 << 20
#: The same page: how long a batch's file is kept that says nothing itself.
BATCH_EXPIRES_S = 30 * 86_400
#: A line of a JSONL file, which is held in memory.
LINE_BYTES_MAX = 64 << 20
#: How much of a bad line is quoted.
_HINT_CHARS = 20

FILES = Resource(
    kind="file",
    object="file",
    prefix="file-",
    path="/files",
    param="file_id",
    missing=errors.no_such_file,
    deleted="file",
    limit_default=10_000,
    limit_max=10_000,
    filters={"purpose": "purpose"},
)


class ExpiresAfter(Shape):
    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(ge=3600, le=2_592_000)]


PurposeName = Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]


# --- formats ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Purpose:
    """What may be uploaded for it. `extensions` None means anything; `jsonl` that every line is an
    object."""

    extensions: tuple[str, ...] | None = None
    jsonl: bool = False
    #: What it is called in complaints, where .jsonl is the only format.
    api: str = ""
    bytes_max: int = FILE_BYTES_MAX
    expires_s: int | None = None


#: platform.openai.com/docs/assistants/tools/file-search#supported-files and .../code-interpreter.
_DOCUMENTS = (
    "c", "cpp", "cs", "css", "csv", "doc", "docx", "gif", "go", "html", "java", "jpeg", "jpg", "js",
    "json", "jsonl", "md", "pdf", "php", "pkl", "png", "pptx", "py", "rb", "sh", "tar", "tex", "ts",
    "txt", "webp", "xlsx", "xml", "zip",
)  # fmt: skip
PURPOSES: dict[str, Purpose] = {
    "assistants": Purpose(_DOCUMENTS),
    "batch": Purpose(("jsonl",), False, "Batch", BATCH_BYTES_MAX, BATCH_EXPIRES_S),
    "fine-tune": Purpose(("jsonl",), True, "Fine-Tuning"),
    "vision": Purpose(("png", "jpeg", "jpg", "gif", "webp")),
    "user_data": Purpose(),
    "evals": Purpose(None, True),
}


def check_name(purpose: str, filename: str, size_bytes: int) -> None:
    """What can be said before the bytes are read. Raises 400 and 413."""
    rules = PURPOSES[purpose]
    _, dot, extension = filename.rpartition(".")
    extension = extension.lower() if dot else ""
    if size_bytes > rules.bytes_max:
        raise errors.file_too_large(rules.bytes_max, size_bytes)
    if size_bytes == 0:
        raise errors.file_is_empty()
    if rules.extensions is not None and extension not in rules.extensions:
        raise (
            errors.not_jsonl(rules.api)
            if rules.api
            else errors.bad_extension(extension, rules.extensions)
        )


def checked(purpose: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes as they are. Raises 400 at the first line that the purpose does not allow."""
    if not PURPOSES[purpose].jsonl:
        yield from pieces
        return
    number, begun, begun_bytes = 0, [b""], 0
    for piece in pieces:
        first, *later = piece.split(b"\n")
        for line in later:
            number += 1
            _check_line(number, b"".join([*begun, first]))
            begun, begun_bytes, first = [], 0, line
        begun.append(first)
        begun_bytes += len(first)
        if begun_bytes > LINE_BYTES_MAX:
            raise errors.line_is_no_object(number + 1, _start(b"".join(begun)))
        yield piece
    _check_line(number + 1, b"".join(begun))


def _check_line(number: int, line: bytes) -> None:
    text = line.strip().removeprefix(b"\xef\xbb\xbf") if number == 1 else line.strip()
    if text and parsed_object(text) is None:
        raise errors.line_is_no_object(number, _start(text))


def _start(line: bytes) -> str:
    shown = line[: 4 * _HINT_CHARS].decode("utf-8", "replace")[:_HINT_CHARS]
    return shown + ("..." if len(line) > len(shown.encode()) else "")


# --- rows ------------------------------------------------------------------------------------------


def file_row(
    row: Row, filename: str, purpose: str, blob: Blob, expires_s: int | None = None
) -> Row:
    """A begun row (`FILES.begun`) as that of a file with these bytes."""
    document: dict[str, Any] = {
        "bytes": blob.size_bytes, "filename": filename, "purpose": purpose, "status": "processed",
        "status_details": None,
    }  # fmt: skip
    expires_at = None if expires_s is None else int(row.created_at) + expires_s
    document["expires_at"] = expires_at
    return replace(
        row.merged(**document),
        blob=blob.name,
        tags={"purpose": purpose},
        expires_at=None if expires_at is None else float(expires_at),
    )


async def keep_file(
    call: Call, filename: str, purpose: str, pieces: Iterable[bytes], expires_s: int | None = None
) -> Row:
    """A file of the caller's project, of bytes that a thread reads from `pieces`."""
    blob = await call.store.blobs.put(pieces)
    return await FILES.insert(call, lambda row: file_row(row, filename, purpose, blob, expires_s))


def read_file(call: Call, file_id: str, param: str, most_bytes: int) -> tuple[str, bytes]:
    """(filename, bytes) of a file that a request refers to in `param`, for what runs in a thread.
    Raises 404, 413 and Unhurried."""
    row = call.wait_for(lambda: call.store.get(FILES.key(call, file_id)))
    if row is None:
        raise errors.no_such_file(file_id, param)
    if row.document["bytes"] > most_bytes:
        raise errors.file_too_large(most_bytes, row.document["bytes"])
    assert row.blob is not None, "a file has its bytes"
    with call.store.blobs.open_file(row.blob) as file:
        return row.document["filename"], file.read()


# --- content ---------------------------------------------------------------------------------------


def content_reply(blobs: Blobs, blob: str, document: Mapping[str, Any], filename: str) -> Reply:
    """The bytes as they were sent. `document` says how many."""
    safe = "".join(
        c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in filename
    )
    encoded = quote(filename, safe="", errors="replace")
    disposition = f"attachment; filename=\"{safe}\"; filename*=UTF-8''{encoded}"
    headers = (
        (b"content-type", b"application/octet-stream"),
        (b"content-disposition", disposition.encode("ascii")),
        (b"content-length", b"%d" % document["bytes"]),
    )
    return Reply(200, headers, _chunks(blobs, blob))


async def _chunks(blobs: Blobs, blob: str) -> AsyncGenerator[Chunk]:
    async for piece in blobs.chunks(blob):
        yield Chunk(piece)

"""A multipart/form-data body: fields and files as one mapping, as it arrives.

Knows no room and no socket. Files go to memory up to a threshold and to a temporary file beyond it.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import IO, Any, cast

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header
from pydantic import ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema
from pydantic_core.core_schema import is_instance_schema

from fakeai_proxy import errors
from fakeai_proxy.clock import Clock
from fakeai_proxy.services.wire import Shape

#: Above this a file of a form lies on the disk.
SPOOL_BYTES = 1 << 20
#: Fields and files of one form, and the bytes of all its fields that are no files.
PARTS_MAX = 1000
FIELD_BYTES_MAX = 8 << 20
#: Levels of `a[b][c]`.
_DEPTH_MAX = 8


class FormShape(Shape):
    """The shape of a form: its texts become the numbers and truth values that the fields say."""

    model_config = ConfigDict(strict=False)


def _spool() -> IO[bytes]:
    return cast(IO[bytes], tempfile.SpooledTemporaryFile(SPOOL_BYTES))


@dataclass(eq=False)
class Upload:
    """One file of a form. `file` stands at its beginning and is closed when the handler is done."""

    filename: str
    content_type: str
    size: int = 0
    file: IO[bytes] = field(default_factory=_spool)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Upload], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return is_instance_schema(cls)

    def __str__(self) -> str:
        return self.filename

    def read(self) -> bytes:
        """All of it, from the beginning."""
        self.file.seek(0)
        return self.file.read()


class Form:
    """`feed` takes the bytes in order; `values` is what they said. `close` gives the files back."""

    def __init__(self, content_type: str) -> None:
        """Raises 400 where there is no boundary."""
        _, options = parse_options_header(content_type)
        boundary = options.get("boundary")
        if not boundary:
            raise errors.bad_form("the Content-Type header names no boundary.")
        self.values: dict[str, Any] = {}
        self._uploads: list[Upload] = []
        self._parser = PushMultipartParser(boundary, max_segment_count=PARTS_MAX)
        self._hashed = blake2b(digest_size=16)
        self._name = ""
        self._text = bytearray()
        self._text_bytes = 0
        self._upload: Upload | None = None

    def feed(self, piece: bytes) -> None:
        """b"" is the end. Raises 400 and 413."""
        try:
            for event in self._parser.parse(piece):
                if isinstance(event, MultipartSegment):
                    self._begin(event)
                elif event:
                    self._take(event)
                else:
                    self._end()
        except MultipartError as error:
            raise errors.bad_form(f"{error}.") from None

    def fingerprint(self, purpose: str) -> bytes:
        """Equal forms are equal here, whatever their boundaries. Only after the end."""
        self._hashed.update(purpose.encode("utf-8", "surrogateescape"))
        return self._hashed.digest()

    def close(self) -> None:
        for upload in self._uploads:
            upload.file.close()

    def _begin(self, segment: MultipartSegment) -> None:
        self._name = segment.name
        self._upload = None
        named = f"\n{len(segment.name)} {segment.name} {segment.filename}\n"
        self._hashed.update(named.encode("utf-8", "surrogateescape"))
        if segment.filename is not None:
            self._upload = Upload(segment.filename, segment.content_type or "")
            self._uploads.append(self._upload)

    def _take(self, data: bytes | bytearray) -> None:
        self._hashed.update(data)
        if self._upload is not None:
            self._upload.file.write(data)
            self._upload.size += len(data)
            return
        self._text_bytes += len(data)
        if self._text_bytes > FIELD_BYTES_MAX:
            raise errors.body_too_large(FIELD_BYTES_MAX, self._text_bytes)
        self._text += data

    def _end(self) -> None:
        if self._upload is not None:
            self._upload.file.seek(0)
            _put(self.values, self._name, self._upload)
            return
        try:
            text = self._text.decode()
        except UnicodeDecodeError:
            raise errors.bad_form(f"the field '{self._name[:100]}' is not UTF-8.") from None
        self._text = bytearray()
        _put(self.values, self._name, text)


def _put(values: dict[str, Any], name: str, value: object) -> None:
    """Under `a`, in the list `a` for `a[]` and for an `a` that comes again, in the object `a` for
    `a[b]`. Raises 400."""
    head, _, rest = name.partition("[")
    steps = re.findall(r"([^\[\]]*)\]", rest) if rest else []
    if len(steps) > _DEPTH_MAX:
        raise errors.bad_form(f"the field '{name[:100]}' is nested too deep.")
    into: dict[str, Any] = values
    key = head
    for step in steps:
        if step == "":
            found = into.setdefault(key, [])
            if not isinstance(found, list):
                found = into[key] = [found]
            found.append(value)
            return
        inner = into.setdefault(key, {})
        if not isinstance(inner, dict):
            raise errors.bad_form(f"the field '{name[:100]}' is both a value and an object.")
        into, key = inner, step
    if key not in into:
        into[key] = value
    elif isinstance(into[key], list):
        into[key].append(value)
    else:
        into[key] = [into[key], value]


async def read_form(
    content_type: str, pieces: AsyncIterator[bytes], limit_bytes: int, clock: Clock
) -> Form:
    """The form in `pieces`, whose files the caller closes. Raises 400, 413 and 503."""
    form = Form(content_type)
    total = 0
    with ExitStack() as undone:
        undone.callback(form.close)
        async for piece in pieces:
            total += len(piece)
            if total > limit_bytes:
                raise errors.body_too_large(limit_bytes, total)
            if total <= SPOOL_BYTES:
                form.feed(piece)
                continue
            # What goes to the disk may have to wait for it.
            with clock.hold():
                await asyncio.to_thread(_fed, form, piece)
        form.feed(b"")
        undone.pop_all()
    return form


def _fed(form: Form, piece: bytes) -> None:
    try:
        form.feed(piece)
    except OSError as error:
        raise errors.disk_unavailable(error) from None

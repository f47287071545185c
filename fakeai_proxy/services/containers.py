"""Containers: named places with files, which expire when nobody has used them for a while."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from fakeai_proxy import errors
from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.filing import FILE_BYTES_MAX, FILES, content_reply
from fakeai_proxy.services.form import FormShape, Upload
from fakeai_proxy.services.metering import session
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.resources import Resource
from fakeai_proxy.services.wire import Shape
from fakeai_proxy.store import Insert, Missing, Require, Row, Write, pieces_of

#: platform.openai.com/docs/guides/tools-code-interpreter: minutes without use.
_IDLE_MINUTES = 20
_FORM_BYTES = 1 << 20
#: Where files lie inside a container.
_FOLDER = "/mnt/data"
_NAME_CHARS_MAX = 200


class ExpiresAfter(Shape):
    anchor: Literal["last_active_at"]
    minutes: Annotated[int, Field(ge=1, le=1 << 31)]


class NoNetwork(Shape):
    type: Literal["disabled"]


class DomainSecret(Shape):
    domain: str
    name: str
    value: str


class AllowedNetwork(Shape):
    type: Literal["allowlist"]
    allowed_domains: Annotated[list[str], Field(min_length=1)]
    domain_secrets: list[DomainSecret] | None = None


def _network(value: object) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return "allowlist" if kind == "allowlist" else "disabled"


class CreateContainerRequest(Shape):
    name: Annotated[str, Field(min_length=1)]
    file_ids: Annotated[list[str], Field(max_length=1000)] | None = None
    expires_after: ExpiresAfter | None = None
    memory_limit: Literal["1g", "4g", "16g", "64g"] | None = None
    network_policy: (
        Annotated[
            Annotated[NoNetwork, Tag("disabled")] | Annotated[AllowedNetwork, Tag("allowlist")],
            Discriminator(_network),
        ]
        | None
    ) = None
    skills: list[dict[str, Any]] | None = None


class CopyFileRequest(Shape):
    file_id: str


class AddFileRequest(FormShape):
    file: Upload


def _is_expired(row: Row, now: float) -> bool:
    idle_s = row.document["expires_after"]["minutes"] * 60
    return bool(now >= row.document["last_active_at"] + idle_s)


def _show(row: Row, now: float) -> Mapping[str, Any]:
    return {**row.document, "status": "expired" if _is_expired(row, now) else "running"}


CONTAINERS = Resource(
    kind="container",
    object="container",
    prefix="cntr_",
    path="/containers",
    param="container_id",
    missing=errors.no_such_container,
    show=_show,
    id_length=48,
    filters={"name": "name"},
)
CONTAINER_FILES = Resource(
    kind="container.file",
    object="container.file",
    prefix="cfile_",
    path="/containers/{container_id}/files",
    param="file_id",
    missing=errors.no_such_container_file,
    within=CONTAINERS,
    id_length=32,
)


def _active(row: Row, now: float) -> Row:
    """Used: what is done in a container keeps it for a while longer. Raises 404."""
    if _is_expired(row, now):
        raise errors.container_expired()
    return row.merged(last_active_at=int(now))


async def _used(call: Call) -> Row:
    """Raises 404."""
    now = call.wall()
    return await CONTAINERS.changed(call, lambda row: _active(row, now))


async def create_container(call: Call) -> Reply:
    asked: CreateContainerRequest = call.body
    files = [await FILES.row(call, file_id) for file_id in asked.file_ids or ()]

    def make(row: Row) -> Row:
        row = row.merged(
            name=asked.name,
            status="running",
            last_active_at=call.created,
            expires_after={"anchor": "last_active_at", "minutes": _minutes(asked)},
            memory_limit=asked.memory_limit or "1g",
            network_policy=_policy(asked),
        )
        return replace(row, tags={"name": asked.name})

    def also(row: Row) -> Iterable[Write]:
        for place, file in enumerate(files):
            yield Require(file.key)
            begun = CONTAINER_FILES.begun(call, place, parent=row.key.path)
            document = file.document
            yield Insert(
                _file(begun, row.key.id, document["filename"], file.blob, document["bytes"])
            )

    with _file_named():
        reply = CONTAINERS.reply(call, await CONTAINERS.insert(call, make, also))
    reply.usage = (session(),)
    return reply


@contextmanager
def _file_named() -> Iterator[None]:
    """A file that is deleted while it is copied is as one that never was."""
    try:
        yield
    except Missing as error:
        raise errors.no_such_file(error.key.id) from None


def _minutes(asked: CreateContainerRequest) -> int:
    return _IDLE_MINUTES if asked.expires_after is None else asked.expires_after.minutes


def _policy(asked: CreateContainerRequest) -> dict[str, Any]:
    """Without the secrets, which are nobody's to read."""
    policy = asked.network_policy
    if isinstance(policy, AllowedNetwork):
        return {"type": policy.type, "allowed_domains": policy.allowed_domains}
    return {"type": "disabled"}


def _file(row: Row, container_id: str, filename: str, blob: str | None, size_bytes: int) -> Row:
    """A name from outside is the end of a path, never a way through one."""
    name = PurePosixPath(filename.replace("\\", "/").replace("\0", "")).name.strip(".") or "file"
    unique = hashlib.md5(row.key.id.encode(), usedforsecurity=False).hexdigest()
    row = row.merged(
        container_id=container_id,
        bytes=size_bytes,
        path=f"{_FOLDER}/{unique}-{name[-_NAME_CHARS_MAX:]}",
        source="user",
    )
    return replace(row, blob=blob)


async def retrieve_container(call: Call) -> Reply:
    try:
        return CONTAINERS.reply(call, await _used(call))
    except ApiError as error:
        if error.code != "container_expired":
            raise
        return CONTAINERS.reply(call, await CONTAINERS.row(call))


async def create_container_file(call: Call) -> Reply:
    container = await _used(call)
    copied: list[Write] = []
    if isinstance(call.body, AddFileRequest):
        upload = call.body.file
        filename = upload.filename
        if upload.size > FILE_BYTES_MAX:
            raise errors.file_too_large(FILE_BYTES_MAX, upload.size)
        kept = await call.store.blobs.put(pieces_of(upload.file))
        blob, size_bytes = kept.name, kept.size_bytes
    else:
        file = await FILES.row(call, call.body.file_id)
        assert file.blob is not None, "a file has its bytes"
        copied.append(Require(file.key))
        blob, size_bytes, filename = file.blob, file.document["bytes"], file.document["filename"]
    with _file_named():
        row = await CONTAINER_FILES.insert(
            call,
            lambda row: _file(row, container.key.id, filename, blob, size_bytes),
            lambda row: copied,
        )
    return CONTAINER_FILES.reply(call, row)


async def list_container_files(call: Call) -> Reply:
    await _used(call)
    return await CONTAINER_FILES.list_some(call)


async def retrieve_container_file(call: Call) -> Reply:
    await _used(call)
    return await CONTAINER_FILES.retrieve_one(call)


async def delete_container_file(call: Call) -> Reply:
    await _used(call)
    return await CONTAINER_FILES.delete_one(call)


async def download_container_file(call: Call) -> Reply:
    await _used(call)
    row = await CONTAINER_FILES.row(call)
    assert row.blob is not None, "a file has its bytes"
    filename = PurePosixPath(row.document["path"]).name
    return content_reply(call.store.blobs, row.blob, row.document, filename)


_FILE = "/containers/{container_id}/files/{file_id}"
OPERATIONS = (
    Operation("CreateContainer", "POST", "/containers", create_container, CreateContainerRequest),
    *CONTAINERS.operations(list="ListContainers", delete="DeleteContainer"),
    Operation("RetrieveContainer", "GET", "/containers/{container_id}", retrieve_container),
    Operation(
        "CreateContainerFile", "POST", CONTAINER_FILES.path, create_container_file, CopyFileRequest,
        form=AddFileRequest, form_bytes_max=FILE_BYTES_MAX + _FORM_BYTES,
    ),
    Operation("ListContainerFiles", "GET", CONTAINER_FILES.path, list_container_files),
    Operation("RetrieveContainerFile", "GET", _FILE, retrieve_container_file),
    Operation("DeleteContainerFile", "DELETE", _FILE, delete_container_file),
    Operation("RetrieveContainerFileContent", "GET", _FILE + "/content", download_container_file),
)  # fmt: skip

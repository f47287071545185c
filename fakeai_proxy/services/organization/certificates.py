"""Certificates that an organization has uploaded, and where they are active."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import Field

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.keyring import ORGANIZATION
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.organization.audit import entry
from fakeai_proxy.services.organization.managed import Managed, Strict
from fakeai_proxy.services.organization.projects import PROJECTS
from fakeai_proxy.services.paging import envelope
from fakeai_proxy.services.wire import json_reply
from fakeai_proxy.store import Change, Row

#: The vendor's guide to mutual TLS: how many may be active or not at a time.
_TOGETHER_MAX = 10
_PEM_CHARS_MAX = 65_536


class UploadRequest(Strict):
    certificate: Annotated[str, Field(max_length=_PEM_CHARS_MAX)]
    name: Annotated[str, Field(max_length=256)] | None = None


class ModifyRequest(Strict):
    name: Annotated[str, Field(max_length=256)] | None = None


class ToggleRequest(Strict):
    certificate_ids: Annotated[list[str], Field(min_length=1, max_length=_TOGETHER_MAX)]


def _dates(pem: str) -> tuple[int, int]:
    """From when and until when it is good. Raises 400."""
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificate(pem.encode("utf-8", "replace"))
    except ValueError as error:
        why = str(error).partition(".")[0] or "it is no PEM"
        raise errors.not_a_certificate(f"{why}.") from None
    since, until = found.not_valid_before_utc, found.not_valid_after_utc
    return int(since.timestamp()), int(until.timestamp())


def _made(call: Call, row: Row) -> Row:
    asked: UploadRequest = call.body
    valid_at, expires_at = _dates(asked.certificate)
    details = {"valid_at": valid_at, "expires_at": expires_at, "content": asked.certificate}
    # `active` are the places where it is: the organization, projects.
    return row.merged(name=asked.name, certificate_details=details, active=[])


def _show(row: Row, now: float) -> Mapping[str, Any]:
    """One by itself, without its content and where it is active."""
    return _as("certificate", row, ("valid_at", "expires_at"))


def _as(object_name: str, row: Row, details: tuple[str, ...]) -> dict[str, Any]:
    document = row.document
    return {
        "object": object_name, "id": row.key.id, "name": document["name"],
        "created_at": document["created_at"],
        "certificate_details": {name: document["certificate_details"][name] for name in details},
    }  # fmt: skip


CERTIFICATES = Managed(
    kind="certificate",
    object="certificate",
    prefix="cert_",
    path="/organization/certificates",
    param="certificate_id",
    missing=errors.no_such("certificate"),
    show=_show,
    create=UploadRequest,
    make=_made,
    modify=ModifyRequest,
    event="certificate",
)


async def retrieve_certificate(call: Call) -> Reply:
    row = await CERTIFICATES.row(call)
    details: tuple[str, ...] = ("valid_at", "expires_at")
    if "content" in [one for each in call.queried("include") for one in each.split(",")]:
        details = (*details, "content")
    return json_reply(_as("certificate", row, details))


async def delete_certificate(call: Call) -> Reply:
    row = await CERTIFICATES.row(call)
    if row.document["active"]:
        raise errors.certificate_is_active()
    await CERTIFICATES.remove(call)
    return json_reply({"object": "certificate.deleted", "id": row.key.id})


def _place(call: Call) -> str:
    """Where it is to be active."""
    return call.params.get("project_id", ORGANIZATION)


def _listed(row: Row, place: str) -> dict[str, Any]:
    of_project = place != ORGANIZATION
    name = "organization.project.certificate" if of_project else "organization.certificate"
    shown = _as(name, row, ("valid_at", "expires_at"))
    return {**shown, "active": place in row.document["active"]}


async def list_certificates(call: Call) -> Reply:
    place = _place(call)
    if place != ORGANIZATION:
        await PROJECTS.row(call)
    page = await CERTIFICATES.page(call)
    data = [_listed(row, place) for row in page.rows]
    return json_reply(envelope(data, has_more=page.has_more))


def _toggle(active: bool) -> Callable[[Call], Any]:
    async def toggle(call: Call) -> Reply:
        """All of them or none."""
        place = _place(call)
        project = None if place == ORGANIZATION else (await PROJECTS.row(call)).document
        ids = list(dict.fromkeys(call.body.certificate_ids))
        rows = [await CERTIFICATES.row(call, its_id) for its_id in ids]

        def changed(row: Row) -> Row:
            others = [one for one in row.document["active"] if one != place]
            return row.merged(active=[*others, place] if active else others)

        word = "activated" if active else "deactivated"
        told = {"certificates": [{"id": row.key.id, "name": row.document["name"]} for row in rows]}
        after = await call.store.commit(
            *[Change(row.key, changed) for row in rows],
            entry(call, f"certificates.{word}", told, project),
        )
        data = [_listed(row, place) for row in after if row is not None and row.key.id in ids]
        of = "organization.certificate" if project is None else "organization.project.certificate"
        suffix = "activation" if active else "deactivation"
        return json_reply({"object": f"{of}.{suffix}", "data": data})

    return toggle


_ONE = CERTIFICATES.path + "/{certificate_id}"
_OF_PROJECT = "/organization/projects/{project_id}/certificates"
OPERATIONS = (
    *CERTIFICATES.operations(create="uploadCertificate", modify="modifyCertificate"),
    Operation("listOrganizationCertificates", "GET", CERTIFICATES.path, list_certificates),
    Operation("getCertificate", "GET", _ONE, retrieve_certificate),
    Operation("deleteCertificate", "DELETE", _ONE, delete_certificate),
    Operation(
        "activateOrganizationCertificates", "POST", CERTIFICATES.path + "/activate",
        _toggle(True), ToggleRequest,
    ),
    Operation(
        "deactivateOrganizationCertificates", "POST", CERTIFICATES.path + "/deactivate",
        _toggle(False), ToggleRequest,
    ),
    Operation("listProjectCertificates", "GET", _OF_PROJECT, list_certificates),
    Operation(
        "activateProjectCertificates", "POST", _OF_PROJECT + "/activate", _toggle(True),
        ToggleRequest,
    ),
    Operation(
        "deactivateProjectCertificates", "POST", _OF_PROJECT + "/deactivate", _toggle(False),
        ToggleRequest,
    ),
)  # fmt: skip

"""Users, groups, roles, projects and keys of an organization, under the vendor's SDK."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import openai
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from openai import AsyncOpenAI

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from tests.conftest import Serve

WEEK_S = 7 * 86_400


def connected(app: App, **more: Any) -> AsyncOpenAI:
    return AsyncOpenAI(
        base_url=app.url + "/v1", api_key="sk-test", admin_api_key="sk-admin", max_retries=0,
        _strict_response_validation=True, **more,
    )  # fmt: skip


@pytest.fixture
async def app(serve: Serve) -> App:
    return await serve(mode="synth", profile="none")


@pytest.fixture
async def client(app: App) -> AsyncIterator[AsyncOpenAI]:
    async with connected(app) as made:
        yield made


@pytest.fixture
async def http(app: App) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": "Bearer sk-admin"}
    async with httpx.AsyncClient(base_url=app.url + "/v1", headers=headers) as made:
        yield made


async def invited(
    client: AsyncOpenAI, http: httpx.AsyncClient, email: str = "a@example.com", **more: Any
) -> str:
    """The id of a user who came by invitation."""
    invite = await client.admin.organization.invites.create(email=email, role="reader", **more)
    answer = await http.post(f"/organization/invites/{invite.id}/accept")
    assert answer.status_code == 200
    users = client.admin.organization.users
    return next(user.id for user in (await users.list()).data if user.email == email)


async def events(client: AsyncOpenAI, **query: Any) -> list[str]:
    return [
        one.type
        async for one in client.admin.organization.audit_logs.list(**query)  # newest first
    ]


async def test_there_is_an_owner_and_a_project_from_the_start(client: AsyncOpenAI) -> None:
    organization = client.admin.organization
    (owner,) = (await organization.users.list()).data
    assert (owner.role, owner.object) == ("owner", "organization.user")
    assert await organization.users.retrieve(owner.id) == owner
    (project,) = (await organization.projects.list()).data
    assert (project.id, project.status) == ("proj_default", "active")
    names = [role.name async for role in organization.roles.list()]
    assert names == ["owner", "reader"]


async def test_an_invitation_that_is_accepted_makes_a_user(
    client: AsyncOpenAI, http: httpx.AsyncClient
) -> None:
    organization = client.admin.organization
    invite = await organization.invites.create(email="new@example.com", role="reader")
    assert (invite.status, invite.object) == ("pending", "organization.invite")
    assert invite.expires_at is not None
    assert invite.expires_at - invite.created_at == WEEK_S
    assert (await organization.invites.list()).data == [invite]
    user_id = await invited(client, http, "other@example.com")
    user = await organization.users.update(user_id, role="owner")
    assert (user.role, user.email) == ("owner", "other@example.com")
    found = await organization.users.list(emails=["other@example.com", "nobody@example.com"])
    assert [one.id for one in found.data] == [user_id]
    members = organization.projects.users
    assert user_id in [one.id for one in (await members.list("proj_default")).data]
    with pytest.raises(openai.ConflictError):
        await organization.invites.create(email="other@example.com", role="reader")
    gone = await organization.users.delete(user_id)
    assert (gone.deleted, gone.object) == (True, "organization.user.deleted")
    assert user_id not in [one.id for one in (await members.list("proj_default")).data]
    assert (await organization.invites.delete(invite.id)).deleted
    with pytest.raises(openai.NotFoundError):
        await organization.invites.retrieve(invite.id)
    assert await events(client) == [
        "invite.deleted", "user.deleted", "user.updated", "invite.accepted", "user.added",
        "invite.sent", "invite.sent",
    ]  # fmt: skip


async def test_an_invitation_expires_after_a_week(serve: Serve) -> None:
    clock = VirtualClock()
    app = await serve(clock, mode="synth", profile="none")
    async with (
        connected(app) as client,
        httpx.AsyncClient(base_url=app.url + "/v1", headers={"authorization": "Bearer k"}) as http,
    ):
        invite = await client.admin.organization.invites.create(
            email="late@example.com", role="owner"
        )
        clock.advance(WEEK_S)
        late = await client.admin.organization.invites.retrieve(invite.id)
        assert late.status == "expired"
        answer = await http.post(f"/organization/invites/{invite.id}/accept")
        assert answer.status_code == 400


async def test_projects_are_made_changed_and_archived(client: AsyncOpenAI) -> None:
    projects = client.admin.organization.projects
    made = await projects.create(name="Lighthouse")
    assert (made.object, made.status, made.archived_at) == (
        "organization.project", "active", None,
    )  # fmt: skip
    assert (await projects.update(made.id, name="Beacon")).name == "Beacon"
    archived = await projects.archive(made.id)
    assert archived.status == "archived"
    assert archived.archived_at
    assert [one.id async for one in projects.list()] == ["proj_default"]
    every = [one.id async for one in projects.list(include_archived=True)]
    assert every == [made.id, "proj_default"]
    for attempt in (projects.archive(made.id), projects.update(made.id, name="x"),
                    projects.archive("proj_default")):  # fmt: skip
        with pytest.raises(openai.BadRequestError):
            await attempt
    with pytest.raises(openai.NotFoundError, match="No project found with id 'proj_none'"):
        await projects.retrieve("proj_none")
    assert await events(client) == ["project.archived", "project.updated", "project.created"]


async def test_lists_have_pages(client: AsyncOpenAI) -> None:
    projects = client.admin.organization.projects
    ids = [(await projects.create(name=f"P{k}")).id for k in range(5)]
    assert [one.id async for one in projects.list(limit=2)] == [*ids[::-1], "proj_default"]
    groups = client.admin.organization.groups
    made = [(await groups.create(name=f"G{k}")).id for k in range(5)]
    assert [one.id async for one in groups.list(limit=2)] == made
    assert [one.id async for one in groups.list(limit=2, order="desc")] == made[::-1]


async def test_projects_have_members_and_groups(
    client: AsyncOpenAI, http: httpx.AsyncClient
) -> None:
    organization = client.admin.organization
    user_id = await invited(client, http, projects=[])
    project = await organization.projects.create(name="P")
    members = organization.projects.users
    member = await members.create(project.id, role="member", user_id=user_id)
    assert (member.id, member.role, member.object) == (
        user_id, "member", "organization.project.user",
    )  # fmt: skip
    with pytest.raises(openai.ConflictError):
        await members.create(project.id, role="member", email="a@example.com")
    changed = await members.update(user_id, project_id=project.id, role="owner")
    assert changed.role == "owner"
    assert [one.id async for one in members.list(project.id)] == [user_id]
    assert (await members.delete(user_id, project_id=project.id)).deleted
    group = await organization.groups.create(name="Sailors")
    place = await organization.projects.groups.create(project.id, group_id=group.id, role="member")
    assert (place.group_id, place.group_name, place.project_id) == (
        group.id, "Sailors", project.id,
    )  # fmt: skip
    listed = organization.projects.groups.list(project.id)
    assert [one.group_id async for one in listed] == [group.id]
    await organization.groups.delete(group.id)
    assert [one async for one in organization.projects.groups.list(project.id)] == []


async def test_groups_have_users(client: AsyncOpenAI, http: httpx.AsyncClient) -> None:
    groups = client.admin.organization.groups
    user_id = await invited(client, http)
    group = await groups.create(name="Crew")
    assert (group.group_type, group.is_scim_managed) == ("group", False)
    assert (await groups.update(group.id, name="Watch")).name == "Watch"
    added = await groups.users.create(group.id, user_id=user_id)
    assert (added.object, added.group_id, added.user_id) == ("group.user", group.id, user_id)
    assert [one.id async for one in groups.users.list(group.id)] == [user_id]
    found = await groups.users.retrieve(user_id, group_id=group.id)
    assert (found.id, found.user_type) == (user_id, "user")
    assert (await groups.users.delete(user_id, group_id=group.id)).deleted
    assert [one async for one in groups.users.list(group.id)] == []
    with pytest.raises(openai.NotFoundError):
        await groups.users.delete(user_id, group_id=group.id)
    gone = await groups.delete(group.id)
    assert (gone.deleted, gone.object) == (True, "group.deleted")


async def test_roles_are_made_and_given(client: AsyncOpenAI, http: httpx.AsyncClient) -> None:
    organization = client.admin.organization
    role = await organization.roles.create(role_name="auditor", permissions=["api.logs.read"])
    assert (role.predefined_role, role.resource_type) == (False, "api.organization")
    with pytest.raises(openai.ConflictError):
        await organization.roles.create(role_name="auditor", permissions=[])
    changed = await organization.roles.update(role.id, description="Reads logs")
    assert (changed.description, changed.name) == ("Reads logs", "auditor")
    owner = next(iter([one async for one in organization.roles.list() if one.predefined_role]))
    with pytest.raises(openai.BadRequestError):
        await organization.roles.delete(owner.id)
    user_id = await invited(client, http)
    given = await organization.users.roles.create(user_id, role_id=role.id)
    assert (given.object, given.user.id, given.role.id) == ("user.role", user_id, role.id)
    held = [one.id async for one in organization.users.roles.list(user_id)]
    assert held == [role.id]
    group = await organization.groups.create(name="G")
    await organization.groups.roles.create(group.id, role_id=role.id)
    detailed = await organization.groups.roles.retrieve(role.id, group_id=group.id)
    assert detailed.name == "auditor"
    assert (await organization.users.roles.delete(role.id, user_id=user_id)).deleted
    assert (await organization.roles.delete(role.id)).deleted
    assert [one async for one in organization.groups.roles.list(group.id)] == []
    project = await organization.projects.create(name="P")
    of_project = organization.projects.roles
    mine = await of_project.create(project.id, role_name="tester", permissions=["x"])
    assert mine.resource_type == "api.project"
    names = [one.name async for one in of_project.list(project.id)]
    assert names == ["owner", "member", "tester"]
    await organization.projects.users.create(project.id, role="member", user_id=user_id)
    told = await organization.projects.users.roles.create(
        user_id, project_id=project.id, role_id=mine.id
    )
    assert told.role.id == mine.id


async def test_a_service_account_has_a_key_that_is_shown_once(client: AsyncOpenAI) -> None:
    projects = client.admin.organization.projects
    project = await projects.create(name="P")
    account = await projects.service_accounts.create(project.id, name="robot")
    assert account.api_key is not None
    secret = account.api_key.value
    assert secret.startswith("sk-svcacct-")
    (key,) = (await projects.api_keys.list(project.id)).data
    assert key.owner.service_account is not None
    assert key.owner.service_account.id == account.id
    assert secret not in key.to_json()
    assert key.redacted_value.endswith(secret[-4:])
    assert await projects.api_keys.retrieve(key.id, project_id=project.id) == key
    with pytest.raises(openai.BadRequestError):
        await projects.api_keys.delete(key.id, project_id=project.id)
    more = await projects.service_accounts.api_keys.create(account.id, project_id=project.id)
    assert more.value != secret
    alone = await projects.service_accounts.create(
        project.id, name="mute", create_service_account_only=True
    )
    assert (alone.api_key, alone.role) == (None, "none")
    changed = await projects.service_accounts.update(
        account.id, project_id=project.id, name="android"
    )
    assert changed.name == "android"
    gone = await projects.service_accounts.delete(account.id, project_id=project.id)
    assert gone.deleted
    assert (await projects.api_keys.list(project.id)).data == []


async def test_admin_keys_are_made_and_deleted(client: AsyncOpenAI) -> None:
    keys = client.admin.organization.admin_api_keys
    made = await keys.create(name="Main", expires_in_seconds=3600)
    assert made.value.startswith("sk-admin-")
    assert made.expires_at == made.created_at + 3600
    found = await keys.retrieve(made.id)
    assert (found.name, found.redacted_value[-4:]) == ("Main", made.value[-4:])
    assert [one.id async for one in keys.list()] == [made.id]
    gone = await keys.delete(made.id)
    assert (gone.deleted, gone.object) == (True, "organization.admin_api_key.deleted")
    assert await events(client, event_types=["api_key.created", "api_key.deleted"]) == [
        "api_key.deleted", "api_key.created",
    ]  # fmt: skip


def pem(days: int = 30) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "client")])
    since = datetime(2030, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name)
        .public_key(key.public_key()).serial_number(7).not_valid_before(since)
        .not_valid_after(since + timedelta(days=days)).sign(key, hashes.SHA256())
    )  # fmt: skip
    return made.public_bytes(serialization.Encoding.PEM).decode()


async def test_certificates_are_read_and_switched_on_and_off(client: AsyncOpenAI) -> None:
    certificates = client.admin.organization.certificates
    text = pem()
    made = await certificates.create(certificate=text, name="mTLS")
    since = int(datetime(2030, 1, 1, tzinfo=UTC).timestamp())
    details = made.certificate_details
    assert (details.valid_at, details.expires_at) == (since, since + 30 * 86_400)
    whole = await certificates.retrieve(made.id, include=["content"])
    assert whole.certificate_details.content == text
    assert (await certificates.update(made.id, name="Mutual")).name == "Mutual"
    active = await certificates.activate(certificate_ids=[made.id])
    assert [(one.id, one.active) for one in active.data] == [(made.id, True)]
    project = await client.admin.organization.projects.create(name="P")
    of_project = client.admin.organization.projects.certificates
    assert [one.active async for one in of_project.list(project.id)] == [False]
    await of_project.activate(project.id, certificate_ids=[made.id])
    assert [one.active async for one in of_project.list(project.id)] == [True]
    with pytest.raises(openai.BadRequestError):
        await certificates.delete(made.id)
    await certificates.deactivate(certificate_ids=[made.id])
    await of_project.deactivate(project.id, certificate_ids=[made.id])
    assert (await certificates.delete(made.id)).id == made.id
    for wrong in ("hello", text[:200], ""):
        with pytest.raises(openai.BadRequestError):
            await certificates.create(certificate=wrong, name="x")


async def test_the_audit_log_is_filtered_and_paged_both_ways(client: AsyncOpenAI) -> None:
    organization = client.admin.organization
    first = await organization.projects.create(name="A")
    await organization.projects.service_accounts.create(first.id, name="robot")
    for k in range(4):
        await organization.groups.create(name=f"G{k}")
    every = [one async for one in organization.audit_logs.list(limit=3)]
    assert len(every) == 7
    assert [one.type for one in every][-3:] == [
        "service_account.created", "api_key.created", "project.created",
    ]  # fmt: skip
    of_project = await events(client, project_ids=[first.id])
    assert of_project == ["service_account.created", "api_key.created"]
    groups = await events(client, event_types=["group.created"], limit=2)
    assert groups == ["group.created"] * 4
    page = await organization.audit_logs.list(limit=2, before=every[4].id)
    assert [one.id for one in page.data] == [one.id for one in every[2:4]]
    assert page.has_more
    made = every[-1]
    assert made.project_created is not None
    assert made.project_created.id == first.id
    assert made.actor is not None
    assert made.actor.type == "api_key"
    later = made.effective_at + 10
    assert await events(client, effective_at={"gt": later}) == []
    assert len(await events(client, effective_at={"lte": later})) == 7
    assert await events(client, actor_emails=["nobody@example.com"]) == []
    assert await events(client, resource_ids=[first.id]) == ["project.created"]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("projects", {}, "name"),
        ("projects", {"name": ""}, "name"),
        ("projects", {"name": "x", "colour": "red"}, "colour"),
        ("invites", {"email": "nobody", "role": "reader"}, "email"),
        ("invites", {"email": "a@b", "role": "king"}, "role"),
        ("admin_api_keys", {"name": 7}, "name"),
        ("groups", {"name": "x" * 256}, "name"),
        ("projects/proj_default/users", {"role": "king", "user_id": "user-x"}, "role"),
        ("projects/proj_default/users", {"role": "member"}, "user_id"),
        ("certificates/activate", {"certificate_ids": []}, "certificate_ids"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    http: httpx.AsyncClient, path: str, body: dict[str, Any], param: str
) -> None:
    answer = await http.post(f"/organization/{path}", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize(
    "path",
    [
        "users/none", "invites/none", "projects/none", "groups/none", "roles/none",
        "admin_api_keys/none", "certificates/none", "projects/none/users",
        "projects/none/api_keys", "projects/none/service_accounts", "projects/none/groups",
        "projects/proj_default/users/none", "projects/proj_default/api_keys/none",
        "groups/none/users", "users/none/roles", "audit_logs?after=none",
        "projects/proj_default%2f..%2fx", "projects?after=none",
    ],
)  # fmt: skip
async def test_what_is_not_there_is_a_404(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(f"/organization/{path}")
    assert answer.status_code == 404, answer.text

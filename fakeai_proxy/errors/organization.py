"""What can be wrong with an organization's users, projects, keys and certificates."""

from __future__ import annotations

from collections.abc import Callable

from fakeai_proxy.errors.kinds import ApiError


def no_such(what: str) -> Callable[[str], ApiError]:
    """404 in words that name the object: `no_such("project")("proj_1")`."""
    return lambda its_id: ApiError(404, f"No {what} found with id '{its_id[:100]}'.", param="id")


def already_there(what: str, its_name: str) -> ApiError:
    return ApiError(409, f"The {what} '{its_name[:100]}' is already there.", code="already_exists")


def project_is_archived(project_id: str) -> ApiError:
    return ApiError(
        400, f"Project '{project_id}' is archived and cannot be changed.", code="project_archived"
    )


def default_project_stays() -> ApiError:
    return ApiError(400, "The default project cannot be archived.", code="default_project")


def invite_is_over(status: str) -> ApiError:
    return ApiError(400, f"The invite is {status}; only a pending one can change.", param="id")


def role_is_predefined(name: str) -> ApiError:
    return ApiError(400, f"The role '{name}' is predefined and cannot be changed.", param="role_id")


def not_a_certificate(why: str) -> ApiError:
    return ApiError(
        400, f"The certificate could not be read: {why}", param="certificate",
        code="invalid_certificate",
    )  # fmt: skip


def certificate_is_active() -> ApiError:
    return ApiError(
        400, "The certificate is active: deactivate it before it is deleted.",
        code="certificate_active",
    )  # fmt: skip


def key_has_service_account() -> ApiError:
    return ApiError(
        400, "Keys of service accounts are deleted with their service account.",
        code="service_account_key",
    )  # fmt: skip


def last_owner_stays() -> ApiError:
    return ApiError(400, "The organization's first owner cannot leave it.", param="user_id")

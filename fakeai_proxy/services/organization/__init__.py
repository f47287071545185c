"""The organization: who belongs to it, their keys, what they used and what that costs."""

from fakeai_proxy.services.organization import (
    assignments,
    audit,
    certificates,
    costs,
    groups,
    invites,
    keys,
    members,
    projects,
    rate_limits,
    roles,
    usage,
    users,
)
from fakeai_proxy.services.organization.founding import founded

_OF_ITS_OWN = (
    assignments, audit, certificates, groups, invites, keys, members, projects, rate_limits, roles, users,
)  # fmt: skip
OPERATIONS = (
    *usage.OPERATIONS,
    *costs.OPERATIONS,
    *[founded(operation) for room in _OF_ITS_OWN for operation in room.OPERATIONS],
)

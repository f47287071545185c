"""The organization: who belongs to it, their keys, what they used and what that costs."""

from fakeai_proxy.services.organization import costs, usage

OPERATIONS = (*usage.OPERATIONS, *costs.OPERATIONS)

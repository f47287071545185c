"""Responses: answers made of items, with a memory of the conversation."""

from fakeai_proxy.services.responses.keeping import JOBS
from fakeai_proxy.services.responses.service import OPERATIONS

__all__ = ["JOBS", "OPERATIONS"]

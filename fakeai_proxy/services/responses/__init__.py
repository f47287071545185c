"""Responses: answers made of items, with a memory of the conversation."""

from fakeai_proxy.services.responses.service import OPERATIONS

__all__ = ["OPERATIONS"]

"""Anthropic's Messages."""

from fakeai_proxy.services.messages.service import OPERATIONS

__all__ = ["OPERATIONS"]

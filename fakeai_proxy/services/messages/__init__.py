"""Anthropic's Messages."""

from fakeai_proxy.services.messages.batch_work import JOBS
from fakeai_proxy.services.messages.service import OPERATIONS

__all__ = ["JOBS", "OPERATIONS"]

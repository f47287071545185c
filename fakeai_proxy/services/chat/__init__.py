"""Chat completions."""

from fakeai_proxy.services.chat.service import OPERATIONS

__all__ = ["OPERATIONS"]

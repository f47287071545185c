"""Realtime: spoken conversations over a WebSocket, and the keys that open them."""

from fakeai_proxy.services.realtime.service import OPERATIONS

__all__ = ["OPERATIONS"]

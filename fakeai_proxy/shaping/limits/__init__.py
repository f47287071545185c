"""Rate limits, as each vendor counts and tells them."""

from fakeai_proxy.shaping.limits.limiter import Limiter
from fakeai_proxy.shaping.limits.permit import Free, Permit
from fakeai_proxy.shaping.limits.settings import LimitSettings

__all__ = ["Free", "LimitSettings", "Limiter", "Permit"]

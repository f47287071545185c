"""Completions: text that goes on where a prompt ends."""

from fakeai_proxy.services.completions.service import OPERATIONS

__all__ = ["OPERATIONS"]

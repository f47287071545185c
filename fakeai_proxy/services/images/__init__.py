"""Images: generations, edits and variations, whole and streamed."""

from fakeai_proxy.services.images.service import OPERATIONS

__all__ = ["OPERATIONS"]

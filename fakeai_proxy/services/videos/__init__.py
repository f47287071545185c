"""Videos: jobs that make a film, and their files."""

from fakeai_proxy.services.videos.service import OPERATIONS

__all__ = ["OPERATIONS"]

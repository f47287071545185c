"""Vector stores: files that are found by what they say."""

from fakeai_proxy.services.vector_stores.indexing import JOBS
from fakeai_proxy.services.vector_stores.service import OPERATIONS

__all__ = ["JOBS", "OPERATIONS"]

"""Batches: a file of requests, answered in the background at half the price."""

from fakeai_proxy.services.batches.service import JOBS, OPERATIONS

__all__ = ["JOBS", "OPERATIONS"]

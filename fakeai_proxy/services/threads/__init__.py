"""Threads: conversations that are kept, their messages, and the runs in which assistants answer."""

from fakeai_proxy.services.threads.service import JOBS, OPERATIONS

__all__ = ["JOBS", "OPERATIONS"]

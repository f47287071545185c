"""Whole lives use the clients, servers and programs of `tests/clients`."""

from __future__ import annotations

from tests.clients.conftest import (
    foreign_upstream,
    internet,
    launch,
    loop_thread,
    node,
    npm_packages,
)

__all__ = ["foreign_upstream", "internet", "launch", "loop_thread", "node", "npm_packages"]

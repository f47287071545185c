"""A client of blocking sockets sees what the fleet's own metrics say."""

from __future__ import annotations

from pathlib import Path

from tests.outside.running import Run

REQUESTS = 16


def test_a_client_sees_every_token_that_is_counted_and_none_before_it_is_made(
    tmp_path: Path,
) -> None:
    Run("plain", tmp_path, "--requests", str(REQUESTS)).holds(REQUESTS)

"""Every implementation of the store, for the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.store import Store, open_store


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(autojump=False)


@pytest.fixture(params=["sqlite-memory", "sqlite-disk"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: VirtualClock
) -> AsyncIterator[Store]:
    made = open_store(tmp_path if request.param == "sqlite-disk" else None, clock)
    await made.open()
    yield made
    await made.close()

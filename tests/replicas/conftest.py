"""One real Redis for each worker of a run, emptied for each test."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
from redis import Redis as Client

from tests.servers import redis as server_of_redis
from tests.servers.redis import Redis


@pytest.fixture(scope="session")
def _server() -> Iterator[Redis]:
    if server_of_redis.binary() is None:
        warnings.warn(server_of_redis.MISSING, stacklevel=1)
        pytest.skip(server_of_redis.MISSING)
    with server_of_redis.running() as server:
        yield server


@pytest.fixture
def server(_server: Redis) -> Redis:
    with Client.from_url(_server.url) as client:
        client.flushall()
    return _server

"""Which queue replicas share, if any: loaded where it is asked for only."""

from __future__ import annotations

from pydantic import SecretStr

from fakeai_proxy.clock import Clock
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.jobs.runner import JobRunner


def share(runner: JobRunner, redis: SecretStr | None, name: str, clock: Clock) -> JobRunner:
    """With a Redis, the runner's work is its replicas' too. `name` is this one's. Raises ConfigError."""
    if redis is not None:
        try:
            from fakeai_proxy.jobs.redis_queue import RedisQueue
        except ImportError:
            raise ConfigError(
                "redis: jobs of replicas need taskiq: python3 -m pip install 'fakeai-proxy[scale]'."
            ) from None
        runner.queue = RedisQueue(redis.get_secret_value(), name, runner.take, runner.wake, clock)
    return runner

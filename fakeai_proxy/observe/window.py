"""The last minute, by second and endpoint."""

from __future__ import annotations

from collections.abc import Iterable

from fakeai_proxy.observe.digest import Digest

MINUTE_S = 60


class Second:
    """What ended in it at one endpoint; or in several of them, together."""

    __slots__ = (
        "errors", "latency", "requests", "speed", "streams_done", "streams_failed", "tokens", "ttft",
    )  # fmt: skip

    def __init__(self) -> None:
        self.requests = self.errors = self.streams_done = self.streams_failed = 0
        self.tokens, self.latency, self.ttft = Digest(), Digest(), Digest()
        #: Tokens a second of single streams.
        self.speed = Digest()

    @classmethod
    def of(cls, parts: Iterable[Second]) -> Second:
        whole = cls()
        for part in parts:
            whole.requests += part.requests
            whole.errors += part.errors
            whole.streams_done += part.streams_done
            whole.streams_failed += part.streams_failed
            for name in ("tokens", "latency", "ttft", "speed"):
                getattr(whole, name).merge(getattr(part, name))
        return whole


class Window:
    def __init__(self) -> None:
        self._slots: list[tuple[int, dict[str, Second]]] = [(-1, {})] * (MINUTE_S + 1)

    def add(self, stamp: int, endpoint: str, second: Second) -> None:
        """What ended within that second; what is older than what is there is let go."""
        place = stamp % (MINUTE_S + 1)
        known, by_endpoint = self._slots[place]
        if stamp > known:
            self._slots[place] = stamp, {endpoint: second}
        elif stamp == known:
            found = by_endpoint.get(endpoint)
            by_endpoint[endpoint] = second if found is None else Second.of((found, second))

    def last_minute(self, now: float) -> dict[str, Second]:
        since = int(now) - MINUTE_S
        found: dict[str, list[Second]] = {}
        for stamp, by_endpoint in self._slots:
            if stamp >= 0 and stamp > since:
                for endpoint, second in by_endpoint.items():
                    found.setdefault(endpoint, []).append(second)
        return {endpoint: Second.of(each) for endpoint, each in found.items()}

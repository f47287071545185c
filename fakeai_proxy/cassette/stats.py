"""What a cassette holds, in numbers; of any number of recordings, in whatever order they are read."""

from __future__ import annotations

from typing import Any

from fakeai_proxy.cassette.format import Interaction
from fakeai_proxy.cassette.matching import hash64
from fakeai_proxy.cassette.spread import Distinct, Spread
from fakeai_proxy.exchange import is_event_stream


class Counts:
    """Of names, the most frequent first; of equally frequent ones, that which was recorded first."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, int]] = {}

    def add(self, name: str, number: int) -> None:
        count, first = self._found.get(name, (0, number))
        self._found[name] = count + 1, min(first, number)

    def told(self) -> dict[str, int]:
        ranked = sorted(self._found.items(), key=lambda item: (-item[1][0], item[1][1]))
        return {name: count for name, (count, _) in ranked}


class Stats:
    """Counts by what a person would ask for; seconds of TTFT and of whole replies."""

    def __init__(self) -> None:
        self._interactions = self._interrupted = self._streams = self._reply_bytes = 0
        self._sockets = 0
        self._sessions = Distinct()
        self._models, self._routes, self._statuses = Counts(), Counts(), Counts()
        self._tokens: dict[str, int] = {}
        self._ttft, self._whole = Spread(1, 3), Spread(1, 3)

    def add(self, number: int, record: Interaction) -> None:
        """`number` is its place in the recorded order."""
        self._interactions += 1
        self._interrupted += not record.whole
        self._sessions.add(hash64(record.session.encode()))
        self._models.add(str(record.view.get("model") or "none"), number)
        path = record.request.target.partition("?")[0]
        self._routes.add(f"{record.request.method} {path}", number)
        usage = record.view.get("usage", {})
        for name in ("prompt_tokens", "completion_tokens"):
            self._tokens[name] = self._tokens.get(name, 0) + usage.get(name, 0)
        reply = record.response
        if reply is None:
            return
        self._statuses.add(str(reply.status), number)
        self._sockets += reply.is_socket
        self._streams += is_event_stream(reply.headers)
        self._reply_bytes += reply.size_bytes
        if reply.gaps_us:
            self._ttft.add(reply.gaps_us[:1])
            self._whole.add((reply.whole_us,))

    def told(self) -> dict[str, Any]:
        return {
            "recordings": self._interactions,
            "sessions": len(self._sessions),
            "interrupted": self._interrupted,
            "sockets": self._sockets,
            "streams": self._streams,
            "models": self._models.told(),
            "routes": self._routes.told(),
            "statuses": self._statuses.told(),
            **self._tokens,
            "reply_bytes": self._reply_bytes,
            "ttft_s": self._ttft.quantiles(),
            "whole_s": self._whole.quantiles(),
        }

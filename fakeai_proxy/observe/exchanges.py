"""What a front end counts of the exchanges that a model worked on: how many, how they ended, what of
their prompts was cached. An observer; the names are Dynamo's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from fakeai_proxy.exchange import Exchange, is_event_stream
from fakeai_proxy.observe.gathering import Counting

#: Model names and paths are the clients' choice: further ones are counted together.
_NAMES_MAX = 256
_OTHER = "other"
#: The model of a request that was refused before it was looked at.
_UNKNOWN = "unknown"

_ENDPOINTS = (
    (re.compile(r"/chat/completions$"), "chat_completions"),
    (re.compile(r"/completions$"), "completions"),
    (re.compile(r"/embeddings$"), "embeddings"),
    (re.compile(r"/responses$"), "responses"),
    (re.compile(r"/messages$"), "anthropic_messages"),
)
#: Dynamo's error types by status; other 4xx are the client's, other 5xx ours.
_ERRORS = {404: "not_found", 429: "overload", 501: "not_implemented", 503: "overload"}


class Kind(NamedTuple):
    model: str
    endpoint: str
    request_type: str
    status: str
    error_type: str


class Hits(NamedTuple):
    hits: int
    misses: int


class ExchangeCounts(Counting):
    def __init__(self) -> None:
        self.by_kind: Counter[Kind] = Counter()
        self.hits: Counter[str] = Counter()
        self.misses: Counter[str] = Counter()
        self.request_bytes: Counter[str] = Counter()
        self.response_bytes: Counter[str] = Counter()
        self.disconnected = 0
        self._names: set[str] = set()

    @classmethod
    def sum(cls, parts: Iterable[ExchangeCounts]) -> ExchangeCounts:
        whole = cls()
        for part in parts:
            for mine, theirs in zip(whole._counters, part._counters, strict=True):
                mine.update(theirs)
            whole.disconnected += part.disconnected
        return whole

    def copy(self) -> ExchangeCounts:
        """As it is now."""
        self.catch_up()
        return self.sum((self,))

    @property
    def _counters(self) -> tuple[Counter[Any], ...]:
        return self.by_kind, self.hits, self.misses, self.request_bytes, self.response_bytes

    def alike(self, exchanges: Sequence[Exchange]) -> None:
        first = exchanges[0]
        reply, path = first.reply, first.request.path.rstrip("/")
        workload = None if reply is None else reply.workload
        endpoint = _endpoint(path)
        if not endpoint or (workload is None and not self._is_refused(first)):
            return
        model = self._bounded(workload.model if workload else _UNKNOWN)
        streams = reply is not None and is_event_stream(reply.headers)
        error = _error(first)
        self.by_kind[
            _kind(model, endpoint, "stream" if streams else "unary",
                  "error" if error else "success", error)
        ] += len(exchanges)  # fmt: skip
        if first.end == "client_gone":
            self.disconnected += len(exchanges)
        worker = first.admission.worker
        if worker:
            shown = self._bounded(path)
            for exchange in exchanges:
                seen = self.hits if exchange.admission.cached_tokens else self.misses
                seen[shown] += 1
                self.request_bytes[worker] += len(exchange.request.body.in_memory or b"")
                self.response_bytes[worker] += exchange.sent_bytes

    @staticmethod
    def _is_refused(exchange: Exchange) -> bool:
        """By us, before a model was asked: an upstream's refusals are its own."""
        return exchange.reply is None and exchange.status >= 400 and exchange.request.origin is None

    def by_path(self) -> dict[str, Hits]:
        return {
            path: Hits(self.hits[path], self.misses[path])
            for path in sorted(self.hits.keys() | self.misses.keys())
        }

    def _bounded(self, name: str) -> str:
        if name not in self._names:
            if len(self._names) >= _NAMES_MAX or len(name) > _NAMES_MAX:
                return _OTHER
            self._names.add(name)
        return name


@lru_cache(maxsize=1024)
def _endpoint(path: str) -> str:
    return next((name for pattern, name in _ENDPOINTS if pattern.search(path)), "")


#: Few of them come again and again.
_kind = lru_cache(maxsize=1024)(Kind)


def _error(exchange: Exchange) -> str:
    """ "" for one that went well."""
    if exchange.end == "client_gone":
        return "cancelled"
    status = exchange.status
    if exchange.end == "ok" and status < 400:
        return ""
    if exchange.end == "cut" or status < 400:
        return "internal"
    return _ERRORS.get(status, "validation" if status < 500 else "internal")

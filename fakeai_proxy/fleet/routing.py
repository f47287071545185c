"""Which worker a request goes to.

A router knows what it has sent (prompt tokens until their prefill is done, requests and their
blocks until they end), what KV events have told it, and, where its real counterpart scrapes the
workers, what they showed at the last scrape. It knows nothing else of an engine.

Ties are drawn by dice, except where a policy has an order of its own: `round_robin` goes by the
order in which workers joined, `cache_aware` takes the earliest of them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp
from random import Random
from typing import NamedTuple

from fakeai_proxy.fleet.block_index import BlockIndex, CountedBlocks, RecentBlocks
from fakeai_proxy.fleet.kv_events import Cleared, Event, Removed, Stored
from fakeai_proxy.fleet.sequence import EngineSequence
from fakeai_proxy.fleet.worker import Worker
from fakeai_proxy.profiles.fleet import Policy
from fakeai_proxy.profiles.fleet import Router as Settings

#: What a scraping router sees is at most so old (gateway-api-inference-extension,
#: `refresh-metrics-interval`: 50 ms).
SCRAPE_S = 0.05
#: Of one worker, in the tree of routed prompts (SGLang's router: max_tree_size 2^24 characters, at
#: about 4 to a token).
TREE_TOKENS_MAX = 2**22
#: Sessions whose worker is remembered.
SESSIONS_MAX = 10_000


@dataclass(slots=True, eq=False)
class View:
    """What the router believes of one worker."""

    worker: Worker
    bit: int
    requests: int = 0
    prefill_tokens: int = 0
    #: Blocks in use that have no name, beside the counted ones.
    unnamed_blocks: int = 0
    scraped_at: float = float("-inf")
    queued: int = 0
    kv_usage: float = 0.0


class Ask(NamedTuple):
    """A prompt to place. A `decode` one comes with its KV cache: what it hits there counts for
    nothing (Dynamo routes these by load alone)."""

    at: float
    tokens: int
    blocks: Sequence[int] = ()
    decode: bool = False
    session: str = ""


class _Lease(NamedTuple):
    view: View
    blocks: Sequence[int]
    unnamed: int


class Router:
    """Of all workers of one model."""

    def __init__(self, settings: Settings, block_tokens: int, rng: Random) -> None:
        self.settings = settings
        self.block_tokens = block_tokens
        self.rng = rng
        self.views: dict[Worker, View] = {}
        self.cached = BlockIndex()
        self.active = CountedBlocks()
        self.tree = RecentBlocks(TREE_TOKENS_MAX // block_tokens)
        self.turn = 0
        self._leases: dict[EngineSequence, _Lease] = {}
        self._prefilling: dict[EngineSequence, int] = {}
        self._bits_freed: list[int] = []
        self._sessions: OrderedDict[tuple[str, bool], Worker] = OrderedDict()

    @property
    def listens(self) -> bool:
        """Whether it wants KV events."""
        return self.settings.policy in ("kv", "scorers")

    def join(self, worker: Worker) -> None:
        bit = self._bits_freed.pop() if self._bits_freed else 1 << len(self.views)
        self.views[worker] = View(worker, bit)

    def leave(self, worker: Worker) -> None:
        """It has no requests any more, and nobody will ask for its blocks."""
        view = self.views.pop(worker)
        self.cached.remove(view.bit, list(worker.engine.cache.names()))
        self.tree.forget(view.bit)
        self._bits_freed.append(view.bit)

    def free_of(self, workers: Sequence[Worker]) -> list[Worker]:
        """Those that do not count as busy."""
        share = self.settings.busy_blocks_share
        if not share:
            return list(workers)
        return [each for each in workers if self._used(each) <= share * each.engine.cache.blocks]

    def pick(self, workers: Sequence[Worker], ask: Ask) -> Worker:
        """One of `workers`, all of which have joined."""
        if ask.session:
            bound = self._sessions.get((ask.session, ask.decode))
            if bound is not None and bound in workers:
                return bound
        views = [self.views[worker] for worker in workers]
        return POLICIES[self.settings.policy](self, views, ask).worker

    def drawn(self, views: list[View]) -> View:
        return views[0] if len(views) == 1 else self.rng.choice(views)

    # What it learns

    def routed(
        self, worker: Worker, sequence: EngineSequence, ask: Ask, first: bool = True
    ) -> None:
        """The request is on its way. Of several samples of one prompt, the `first` brings its blocks
        and its tokens."""
        view = self.views[worker]
        view.requests += 1
        if ask.session:
            self._bind(worker, ask)
        blocks: Sequence[int] = ask.blocks if first else ()
        unnamed = -(-ask.tokens // self.block_tokens) - len(blocks) if first else 1
        if self.settings.policy == "kv":
            if first and not ask.decode:
                hit = self.cached.depths(blocks, view.bit).get(view.bit, 0)
                tokens = max(0, ask.tokens - hit * self.block_tokens)
                self._prefilling[sequence] = tokens
                view.prefill_tokens += tokens
            self.active.use(view.bit, blocks)
        else:
            unnamed, blocks = unnamed + len(blocks), ()
        if self.settings.policy == "cache_aware" and first:
            self.tree.sent(view.bit, ask.blocks)
        view.unnamed_blocks += unnamed
        self._leases[sequence] = _Lease(view, blocks, unnamed)

    def prefilled(self, sequence: EngineSequence) -> None:
        tokens = self._prefilling.pop(sequence, 0)
        if tokens:
            self._leases[sequence].view.prefill_tokens -= tokens

    def freed(self, sequence: EngineSequence) -> None:
        """It has ended, however."""
        self.prefilled(sequence)
        lease = self._leases.pop(sequence, None)
        if lease is None:
            return
        lease.view.requests -= 1
        lease.view.unnamed_blocks -= lease.unnamed
        if lease.blocks:
            self.active.free(lease.view.bit, lease.blocks)

    def heard(self, worker: Worker, events: list[Event]) -> None:
        """Its KV events."""
        if worker not in self.views:
            return
        bit = self.views[worker].bit
        for event in events:
            match event:
                case Stored(hashes, start, end, _):
                    self.cached.add(bit, hashes[start:end])
                case Removed(blocks):
                    self.cached.remove(bit, blocks)
                case Cleared():
                    self.cached.remove(bit, list(self.cached.held(bit)))

    def _bind(self, worker: Worker, ask: Ask) -> None:
        key = (ask.session, ask.decode)
        self._sessions[key] = worker
        self._sessions.move_to_end(key)
        if len(self._sessions) > SESSIONS_MAX:
            self._sessions.popitem(last=False)

    def _used(self, worker: Worker) -> int:
        view = self.views[worker]
        return view.unnamed_blocks + self.active.count(view.bit)

    def check(self) -> None:
        """Prove that what it believes of its own requests is what it was told."""
        for view in self.views.values():
            leases = {key: each for key, each in self._leases.items() if each.view is view}
            assert view.requests == len(leases), "a request is counted once"
            assert view.unnamed_blocks == sum(each.unnamed for each in leases.values())
            assert view.prefill_tokens == sum(self._prefilling.get(key, 0) for key in leases)
            named = {block for each in leases.values() for block in each.blocks}
            assert self.active.held(view.bit) == named, "blocks in use are those of its requests"
        assert self._prefilling.keys() <= self._leases.keys()
        assert all(each.view.worker in self.views for each in self._leases.values())


def _kv(router: Router, views: list[View], ask: Ask) -> View:
    """Dynamo (lib/kv-router/src/scheduling/selector.rs): blocks to prefill, less those cached, and
    blocks that decode."""
    settings, size = router.settings, router.block_tokens
    among = sum([view.bit for view in views]) if ask.blocks else 0
    cached = router.cached.depths(ask.blocks, among) if among and not ask.decode else {}
    in_use = router.active.depths(ask.blocks, among) if among else {}
    blocks = -(-ask.tokens // size)
    least = min([view.prefill_tokens for view in views]) if cached else 0
    count, overlap_weight = router.active.count, settings.overlap_weight
    request_weight, decode, tokens = settings.request_weight, ask.decode, ask.tokens
    costs = []
    for view in views:
        bit = view.bit
        cost: float = view.unnamed_blocks + count(bit) + blocks + request_weight * view.requests
        if in_use:
            cost -= in_use.get(bit, 0)
        if not decode:
            prefill = (view.prefill_tokens + tokens) / size
            if cached:
                excess = (view.prefill_tokens - least) / size / max(blocks, 1)
                credit = settings.overlap_credit / (1 + settings.overlap_credit_decay * excess)
                prefill = max(0.0, prefill - credit * cached.get(bit, 0))
            cost += overlap_weight * prefill
        costs.append(cost)
    low, high = min(costs), max(costs)
    if not settings.temperature or low == high:
        return router.drawn([view for view, cost in zip(views, costs, strict=True) if cost == low])
    scale = (high - low) * settings.temperature
    weights = [exp((low - cost) / scale) for cost in costs]
    return router.rng.choices(views, weights)[0]


def _cache_aware(router: Router, views: list[View], ask: Ask) -> View:
    """SGLang's router: where the prompt was sent before, unless that is too unbalanced."""
    settings = router.settings
    loads = [view.requests for view in views]
    low, high = min(loads), max(loads)
    if high - low > settings.balance_abs_threshold and high > settings.balance_rel_threshold * low:
        return views[loads.index(low)]
    depths = router.tree.depths(ask.blocks, sum(view.bit for view in views))
    deepest = max(depths.values(), default=0)
    if deepest * router.block_tokens > settings.cache_threshold * max(ask.tokens, 1):
        return min(
            (view for view in views if depths.get(view.bit) == deepest),
            key=lambda view: view.requests,
        )
    return min(views, key=lambda view: router.tree.size(view.bit))


def _scorers(router: Router, views: list[View], ask: Ask) -> View:
    """llm-d's inference scheduler: scores from 0 to 1, weighted."""
    settings = router.settings
    for view in views:
        if ask.at - view.scraped_at >= SCRAPE_S:
            engine = view.worker.engine
            view.scraped_at = ask.at
            view.queued = engine.queued
            view.kv_usage = engine.cache.used / engine.cache.blocks
    cached = router.cached.depths(ask.blocks, sum(view.bit for view in views))
    queues = [view.queued for view in views]
    low, high = min(queues), max(queues)
    scores = [
        settings.prefix_weight * cached.get(view.bit, 0) / max(len(ask.blocks), 1)
        + settings.queue_weight * ((high - view.queued) / (high - low) if high > low else 1.0)
        + settings.kv_weight * (1.0 - view.kv_usage)
        for view in views
    ]
    best = max(scores)
    return router.drawn([view for view, score in zip(views, scores, strict=True) if score == best])


def _round_robin(router: Router, views: list[View], ask: Ask) -> View:
    router.turn += 1
    return views[(router.turn - 1) % len(views)]


def _random(router: Router, views: list[View], ask: Ask) -> View:
    return router.drawn(views)


def _least_loaded(router: Router, views: list[View], ask: Ask) -> View:
    least = min(view.requests for view in views)
    return router.drawn([view for view in views if view.requests == least])


def _power_of_two(router: Router, views: list[View], ask: Ask) -> View:
    return _least_loaded(router, router.rng.sample(views, min(2, len(views))), ask)


POLICIES: dict[Policy, Callable[[Router, list[View], Ask], View]] = {
    "kv": _kv,
    "cache_aware": _cache_aware,
    "scorers": _scorers,
    "round_robin": _round_robin,
    "random": _random,
    "least_loaded": _least_loaded,
    "power_of_two": _power_of_two,
}

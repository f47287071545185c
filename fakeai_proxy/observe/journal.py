"""The last finished exchanges: who asked what, what it was given, how long that took.

An entry holds numbers and short texts only: no header, no query string and, unless it is asked for, no
body, where secrets travel, and nothing that would keep those alive.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import orjson
from pydantic import BaseModel, ConfigDict, Field, field_validator

from fakeai_proxy.cassette.shapes import blotted
from fakeai_proxy.clock import Clock
from fakeai_proxy.exchange import BATCH, Exchange, Reply, Usage
from fakeai_proxy.observe.cell import COMPLETIONS, read_and_written
from fakeai_proxy.observe.entry import AT_ONCE, Entry, Row, entry_of, usual
from fakeai_proxy.observe.gathering import Gathered
from fakeai_proxy.observe.names import model_of
from fakeai_proxy.observe.overheard import Bodies, Facts, Overheard
from fakeai_proxy.observe.rows import Rows, Snapshot
from fakeai_proxy.observe.timeline import Gaps, Kept, gaps_of, kept, offsets_of

#: Characters kept of what a client may make as long as it likes.
METHOD_CHARS_MAX = 16
HOST_CHARS_MAX = 255
PATH_CHARS_MAX = 256
MODEL_CHARS_MAX = 128
ERROR_CHARS_MAX = 128
#: Faults told of one exchange.
FAULTS_MAX = 8

_AT_ONCE = Kept(AT_ONCE)
_VERSION = re.compile(r"v\d+\w*")
#: A name with a prefix, or anything with a number of some length in it.
_ID = re.compile(r"[a-z]+(?:_[a-z]+)*[_-](?=\w*\d)[\w-]{8,}|[\w-]*\d{6}[\w-]*|[0-9a-f-]{16,}")
#: US dollars for what `Entry.bill` says, or None where nothing has a price. For any thread.
PriceOf = Callable[[str], float | None]


class JournalSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    journal_size: int = Field(
        10_000,
        ge=0,
        le=200_000,
        description="Finished exchanges that GET /_fakeai/v1/journal can tell of; 0 keeps none. An "
        "entry takes 0.3 kB, and up to 1 kB more for the instants of a long stream.",
    )
    journal_file: Path | None = Field(
        None,
        description="Append every finished exchange to this file, one JSON object a line, as the journal "
        "tells it.",
    )
    journal_bodies: int = Field(
        0,
        ge=0,
        le=65_536,
        description="Bytes that the journal keeps of each request's body and of each answer's, with "
        "secrets taken out as from recordings; shown with the single entry and in --journal-file. 0 "
        "keeps none.",
    )
    otel: str | None = Field(
        None,
        description="Send OpenTelemetry spans and metrics of what models were asked to this collector "
        "(http://HOST:4318), or where the variables OTEL_* say (env). Needs the extra `otel`.",
    )

    @field_validator("otel")
    @classmethod
    def _collector(cls, value: str | None) -> str | None:
        if value is not None and value != "env" and not value.startswith(("http://", "https://")):
            raise ValueError("must be http://HOST:PORT of a collector, or env")
        return value


class Journal(Gathered):
    """An observer."""

    def __init__(
        self,
        settings: JournalSettings,
        clock: Clock,
        price_of: PriceOf = lambda bill: None,
        name: str = "0",
    ) -> None:
        """`name` tells it from those of other processes, and of this one's lives before."""
        self._name = name
        self._settings = settings
        self.clock = clock
        self._price_of = price_of
        self._epoch = clock.epoch_s
        self._rows: Rows[Row] = Rows(settings.journal_size)
        self._overheard = Overheard(settings.journal_bodies)
        self._looking: asyncio.Future[None] | None = None
        #: How often it began anew.
        self._life = 0
        #: Called whenever there is one more.
        self.noticed: list[Callable[[], None]] = []
        #: All there were since the start or the last reset.
        self._finished_total = 0

    @property
    def finished_total(self) -> int:
        self.catch_up()
        return self._finished_total

    @property
    def keeps_bodies(self) -> bool:
        return self._settings.journal_bodies > 0

    @property
    def size(self) -> int:
        return self._rows.size

    def __len__(self) -> int:
        self.catch_up()
        return len(self._rows)

    def finished(self, exchange: Exchange) -> None:
        self._finished_total += 1
        if not self._rows.size:
            return
        if exchange.heard is not None or self.keeps_bodies:
            self._overheard.add(self._finished_total, exchange)
            if self._overheard.are_many and (self._looking is None or self._looking.done()):
                self._looking = asyncio.ensure_future(self.settle())
        request, reply, admission = exchange.request, exchange.reply, exchange.admission
        workload = None if reply is None else reply.workload
        end, instants, began = exchange.end, exchange.instants, exchange.first_byte_at
        if len(instants) == 1 and instants[0] == began:  # most answers are whole
            chunks = _AT_ONCE
        else:
            chunks = kept(instants, exchange.arrived_at)
        finished_at = exchange.finished_at
        self._rows.append(
            (  # as Entry has them
                exchange.id,
                exchange.arrived_at,
                began,
                self.clock.now() if finished_at is None else finished_at,
                request.method[:METHOD_CHARS_MAX],
                request.origin.authority[:HOST_CHARS_MAX] if request.origin else "",
                usual(request.path, PATH_CHARS_MAX),
                exchange.route,
                exchange.project,
                exchange.key_id,
                usual(model_of(exchange), MODEL_CHARS_MAX),
                exchange.status,
                exchange.source,
                admission.worker,
                admission.cached_tokens,
                admission.queue_s,
                len(workload.prompt) if workload else None,
                # Of an answer that broke off, only a part went out.
                workload.output_tokens if workload and end == "ok" else None,
                exchange.sent_bytes,
                exchange.faults[:FAULTS_MAX],
                exchange.phase,
                end,
                "" if reply is None else _finish(reply),
                exchange.error[:ERROR_CHARS_MAX],
                *chunks,
                "" if reply is None else _bill(exchange, reply),
                "",
                "",
                self._finished_total,
            )
        )
        for notice in self.noticed:
            notice()

    async def settle(self) -> None:
        """What bodies say is in their entries."""
        self.catch_up()
        life, waiting = self._life, self._overheard.take()
        if not waiting:
            return
        with self.clock.hold():
            found = await asyncio.to_thread(self._overheard.look, waiting)
        if life != self._life:
            return
        for number, facts, bodies in found:

            def told(row: Row, facts: Facts | None = facts, bodies: Bodies = bodies) -> Row:
                entry = entry_of(row)
                known = entry if facts is None else _told(entry, facts)
                return tuple(known._replace(**bodies._asdict()))

            self._rows.change(self._finished_total - number, told)

    @property
    def era(self) -> str:
        """What numbers of entries are counted in: another one in each process, and after each reset."""
        return f"{self._name}.{self._life}"

    def newest_first(self) -> Snapshot[Row]:
        """What each `Entry` is made of. Many are read in a thread."""
        self.catch_up()
        return self._rows.snapshot()

    def reset(self) -> None:
        self.catch_up()
        self._rows.clear()
        self._overheard.take()
        self._life += 1
        self._finished_total = 0

    def as_json(self, entry: Entry) -> dict[str, object]:
        """As it is told; for any thread."""
        offsets = offsets_of(entry.offsets)
        gaps = Gaps._make(entry.gaps) if entry.gaps else gaps_of(offsets)
        cost_usd = self._price_of(entry.bill) if entry.bill else None
        arrived = datetime.fromtimestamp(self._epoch + entry.arrived_at, UTC)
        return {
            "id": entry.id,
            "arrived": arrived.isoformat(timespec="microseconds"),
            "method": entry.method,
            "host": _shown(entry.host) or None,
            "path": _shown(entry.path),
            "route": entry.route or _shown(route_of(entry.path)),
            "project": entry.project or None,
            "key_id": entry.key_id or None,
            "model": _shown(entry.model) or None,
            "status": entry.status or None,
            "source": entry.source or None,
            "worker": entry.worker or None,
            "cached_tokens": entry.cached_tokens,
            "queue_ms": _ms(entry.queue_s),
            "ttft_ms": _first_ms(entry, offsets),
            "itl_ms": None if gaps is None else gaps.in_ms(),
            "total_ms": _ms(entry.finished_at - entry.arrived_at),
            "prompt_tokens": entry.prompt_tokens,
            "output_tokens": entry.output_tokens,
            "cost_usd": cost_usd,
            "bytes": entry.sent_bytes,
            "faults": entry.faults,
            "phase": entry.phase or None,
            "end": entry.end,
            "finish": entry.finish or None,
            "error": _shown(entry.error) or None,
        }

    def bodies(self, entry: Entry) -> dict[str, object]:
        """As far as they are kept."""
        if not self.keeps_bodies:
            return {}
        return {"request_body": entry.request, "response_body": entry.response}

    def timeline(self, entry: Entry) -> dict[str, object]:
        """Its instants in milliseconds since it arrived; of many chunks, some evenly chosen."""
        offsets = offsets_of(entry.offsets)
        first_ms, queue_ms = _first_ms(entry, offsets), _ms(entry.queue_s)
        return {
            "queue_ms": queue_ms,
            "prefill_ms": None if first_ms is None else round(max(first_ms - queue_ms, 0.0), 3),
            "token_ms": [_ms(offset) for offset in offsets],
            "is_thinned": bool(entry.gaps),
        }


def _first_ms(entry: Entry, offsets: Sequence[float]) -> float | None:
    """Until the first chunk, or as far as is known the first byte."""
    if offsets:
        return _ms(offsets[0])
    first = entry.first_byte_at
    return None if first is None else _ms(first - entry.arrived_at)


def _finish(reply: Reply) -> str:
    """Why the model stopped, in the vendor's word for it where there is one."""
    workload = reply.workload
    if reply.finish or workload is None:
        return reply.finish
    if workload.finishes:
        return workload.finishes[0]
    limit = workload.output_limit * max(workload.samples, 1)
    if not workload.output_tokens:
        return ""
    return "length" if limit and workload.output_tokens >= limit else "stop"


def _bill(exchange: Exchange, reply: Reply) -> str:
    """What an organization's usage counts of it. A text, because the bytes that orjson gives hold four
    kilobytes, whatever their length."""
    if not exchange.is_settled or reply.status >= 400 or reply.cut:
        return ""
    usages: Sequence[Usage] = reply.usage
    if not usages:
        if reply.workload is None:
            return ""
        usages = (read_and_written(reply.workload),)
    if len(usages) == 1 and not exchange.tier and usages[0].late is None:
        return _bill_of(usages[0])
    return _text([_charged(usage, exchange) for usage in usages])


@lru_cache(maxsize=8)
def _bill_of(usage: Usage) -> str:
    """Of one that comes again and again, and depends on nothing else."""
    return _text([(usage.kind, usage.model[:MODEL_CHARS_MAX], usage.labels, usage.amounts)])


def _text(charged: Sequence[tuple[object, ...]]) -> str:
    return orjson.dumps(charged).decode()


def _charged(usage: Usage, exchange: Exchange) -> tuple[object, ...]:
    amounts, labels = usage.amounts, usage.labels
    if usage.late is not None:
        amounts = {**amounts, **usage.late(exchange.admission)}
    if exchange.tier == BATCH or (exchange.tier and "service_tier" not in labels):
        labels = {**labels, "service_tier": exchange.tier}
    return usage.kind, usage.model[:MODEL_CHARS_MAX], labels, amounts


def _told(entry: Entry, facts: Facts) -> Entry:
    """With what its upstream's answer said, which counts more than what our back end thought."""
    model = facts.model[:MODEL_CHARS_MAX] or entry.model
    told = entry._replace(
        model=model,
        finish=facts.finish[:METHOD_CHARS_MAX] or entry.finish,
        cached_tokens=facts.cached_tokens or entry.cached_tokens,
        bill="",
    )
    if facts.prompt_tokens is None or entry.end != "ok" or entry.status >= 400:
        return told
    amounts = {
        "input_tokens": facts.prompt_tokens,
        "output_tokens": facts.output_tokens or 0,
        "input_cached_tokens": facts.cached_tokens,
    }
    bill = orjson.dumps([(COMPLETIONS, model, {}, amounts)]).decode()
    return told._replace(
        prompt_tokens=facts.prompt_tokens, output_tokens=facts.output_tokens, bill=bill
    )


def route_of(path: str) -> str:
    """The path with names for what varies, as far as it looks like something that does."""
    segments = [segment for segment in path.split("/") if segment]
    if segments and _VERSION.fullmatch(segments[0]):
        del segments[0]
    return "/" + "/".join(["{id}" if _ID.fullmatch(segment) else segment for segment in segments])


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


@lru_cache(maxsize=4096)
def _shown(text: str) -> str:
    """Without surrogates (bytes of a target that are no UTF-8), and without what looks like a key:
    some put theirs into the path."""
    return blotted(text)

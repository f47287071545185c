"""Which exchanges count alike, but for how long they took and how much they used."""

from __future__ import annotations

from fakeai_proxy.exchange import Exchange, is_event_stream
from fakeai_proxy.observe.names import asker, model_of

Kind = tuple[object, ...]


def kind_of(exchange: Exchange) -> Kind:
    """What ended in the same second in the same way, asked by the same key of the same model in the same
    words. A plain tuple: one is made of each exchange."""
    request, reply = exchange.request, exchange.reply
    return (
        int(exchange.finished_at or 0.0),
        exchange.status,
        exchange.end,
        exchange.source,
        request.target,
        request.origin is None,
        exchange.key_id or asker(request),
        exchange.admission.worker,
        exchange.tier,
        exchange.refused,
        not exchange.faults,
        exchange.first_byte_at is None,
        exchange.meter is None,
        model_of(exchange),
        reply is None
        or (reply.workload is None, reply.cut, not reply.usage, is_event_stream(reply.headers)),
    )

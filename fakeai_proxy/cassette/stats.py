"""What a cassette holds, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from fakeai_proxy.cassette.format import Interaction, is_sse

QUANTILES = (("p50", 0.5), ("p95", 0.95))


def stats_of(records: Sequence[Interaction]) -> dict[str, Any]:
    """Counts by what a person would ask for; seconds of TTFT and of whole replies."""
    replies = [record.response for record in records if record.response is not None]
    tokens: Counter[str] = Counter()
    for record in records:
        usage = record.view.get("usage", {})
        tokens.update({name: usage.get(name, 0) for name in ("prompt_tokens", "completion_tokens")})
    return {
        "interactions": len(records),
        "sessions": len({record.session for record in records}),
        "interrupted": sum(not record.whole for record in records),
        "sockets": sum(reply.is_socket for reply in replies),
        "streams": sum(is_sse(reply.headers) for reply in replies),
        "models": _counted(str(record.view.get("model") or "none") for record in records),
        "routes": _counted(
            f"{record.request.method} {record.request.target.partition('?')[0]}"
            for record in records
        ),
        "statuses": _counted(str(reply.status) for reply in replies),
        **tokens,
        "reply_bytes": sum(reply.size_bytes for reply in replies),
        "ttft_s": _quantiles([reply.gaps_us[0] / 1e6 for reply in replies if reply.gaps_us]),
        "whole_s": _quantiles([reply.whole_us / 1e6 for reply in replies if reply.gaps_us]),
    }


def _counted(names: Any) -> dict[str, int]:
    return dict(Counter(names).most_common())


def quantile(values: Sequence[float], q: float) -> float | None:
    """The value that is nearest to it in rank; None of nothing."""
    ordered = sorted(values)
    return ordered[round(q * (len(ordered) - 1))] if ordered else None


def _quantiles(values: list[float]) -> dict[str, float]:
    found = {name: quantile(values, q) for name, q in QUANTILES}
    return {name: round(value, 3) for name, value in found.items() if value is not None}

"""What a client saw against what our own metrics say of the same requests."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from load_seen import Seen

#: The client's own time to notice a first token, on a machine that does other work too. Before ours
#: it cannot be, but for the microseconds in which a front end's latency begins.
TTFT_LATER_MS, TTFT_EARLIER_MS = 20.0, 1.0
#: Means over a thousand gaps and more.
RATIO_MAX = 0.05


@dataclass(frozen=True)
class Agreement:
    client: str
    measure: str
    theirs: float
    ours: float
    allowed: str
    holds: bool

    def as_json(self) -> dict[str, Any]:
        return {
            "measure": self.measure,
            "theirs": self.theirs,
            "ours": self.ours,
            "holds": self.holds,
        }


def agreements(
    client: str, seen: Seen, grown: Counter[str], gpus: dict[str, str]
) -> list[Agreement]:
    """`grown` is by how much each metric of /metrics grew during the client's run."""

    def exactly(measure: str, theirs: float, ours: float) -> Agreement:
        return Agreement(client, measure, theirs, ours, "equal", theirs == ours)

    def later(measure: str, theirs: float, ours: float) -> Agreement:
        holds = -TTFT_EARLIER_MS <= theirs - ours <= TTFT_LATER_MS
        allowed = f"-{TTFT_EARLIER_MS:g} to +{TTFT_LATER_MS:g} ms"
        return Agreement(client, measure, theirs, ours, allowed, holds)

    def alike(measure: str, theirs: float, ours: float) -> Agreement:
        holds = abs(theirs / ours - 1) <= RATIO_MAX
        return Agreement(client, measure, theirs, ours, f"ratio 1 +- {RATIO_MAX:g}", holds)

    def mean_ms(metric: str) -> float:
        return 1000 * grown[f"{metric}_sum"] / max(grown[f"{metric}_count"], 1)

    rows = [
        exactly("requests that succeeded", seen.requests, grown["vllm:request_success_total"]),
        exactly("requests that failed", seen.errors, 0),
        exactly("prompt tokens", seen.prompt_tokens, grown["vllm:prompt_tokens_total"]),
        exactly("output tokens", seen.output_tokens, grown["vllm:generation_tokens_total"]),
        later("TTFT, mean (ms)", seen.ttft_ms, mean_ms("vllm:time_to_first_token_seconds")),
        alike("ITL, mean (ms)", seen.itl_ms, mean_ms(seen.itl_metric)),
        alike("whole request, mean (ms)", seen.e2e_ms,
              mean_ms("vllm:e2e_request_latency_seconds")),
    ]  # fmt: skip
    if seen.collected:
        read, histograms = seen.collected["gpus"], seen.collected["server_metrics"]
        first = histograms.get("vllm:time_to_first_token_seconds", {})
        known = [uuid for uuid in read if uuid in gpus and read[uuid]["nvidia_power_usage"] > 0]
        rows += [
            exactly("GPUs in its telemetry", len(known), len(gpus)),
            exactly("first tokens in its server metrics", first.get("count", 0), seen.requests),
        ]
    return rows


def markdown(rows: list[Agreement]) -> str:
    head = ("client", "measure", "client's", "/metrics", "difference", "ratio", "allowed", "")
    cells = [head, *map(_cells, rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(head))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
             for row in cells]  # fmt: skip
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _cells(row: Agreement) -> tuple[str, ...]:
    return (
        row.client,
        row.measure,
        _number(row.theirs),
        _number(row.ours),
        _number(row.theirs - row.ours),
        f"{row.theirs / row.ours:.3f}" if row.ours else "",
        row.allowed,
        "pass" if row.holds else "MISS",
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"

"""What `top` draws: the last minutes as lines of blocks, the workers of the fleet as bars. Knows no
server and no terminal."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

#: Seconds that are drawn: what fits beside the numbers on 80 columns.
SHOWN_S = 48
#: Seconds that a rate is of.
_RATE_S = 5
#: Characters of a worker's bar.
_BAR = 10
_BLOCKS = "▁▂▃▄▅▆▇█"
_LIFE_STYLE = {"ready": "green", "starting": "yellow", "draining": "yellow", "dead": "red"}

Sample = Mapping[str, Any]


class Screen:
    """Filled by the events of `GET /_fakeai/v1/live`."""

    def __init__(self) -> None:
        self.samples: deque[Sample] = deque(maxlen=SHOWN_S)
        self.fleet: Mapping[str, Any] = {}
        self.now = 0

    def receive(self, event: str, data: Any) -> None:
        """Events of other names are nothing to us."""
        if event == "history":
            self.samples.extend(data["samples"])
            self.now = data["now"]
        elif event == "sample":
            self.samples.append(data)
            self.now = data["at"]
        elif event == "fleet":
            self.fleet = data

    def summary(self) -> dict[str, Any]:
        """Of the last ten seconds, for programs: rates are per second, times in milliseconds."""
        last = [sample for sample in self.samples if sample["at"] > self.now - 10]
        found: dict[str, Any] = {
            "requests_s": _per_s(last, "requests"),
            "output_tokens_s": _per_s(last, "output_tokens"),
            "prompt_tokens_s": _per_s(last, "prompt_tokens"),
            "cached_tokens_s": _per_s(last, "cached_tokens"),
            "faulty_s": _per_s(last, "faulty"),
        }
        for name in ("ttft_ms", "itl_ms", "queue_ms"):
            found[name] = next((one[name] for one in reversed(last) if name in one), None)
        found["sources"] = _added(last, "sources")
        found["outcomes"] = _added(last, "outcomes")
        found["workers"] = list(self.fleet.get("workers", ()))
        return found

    def picture(self, title: str) -> RenderableType:
        parts: list[RenderableType] = [Text(title, style="bold"), self._charts()]
        workers = self.fleet.get("workers", ())
        if workers:
            about = f"{self.fleet['profile']}, {self.fleet['router']}"
            parts += [Text(f"\nfleet: {about}", style="bold"), _workers(workers)]
        told = self.summary()
        parts.append(Text(f"\n{_counted('answered from', told['sources'])}"))
        parts.append(Text(_counted("as", told["outcomes"])))
        return Group(*parts)

    def _charts(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for name, value, unit, values in self._series():
            shown = "-" if value is None else f"{value:,.1f}"
            table.add_row(name, Text(shown, justify="right"), unit, _line(values))
        return table

    def _series(self) -> Iterable[tuple[str, float | None, str, list[float]]]:
        by_second = {sample["at"]: sample for sample in self.samples}
        span = [by_second.get(at, {}) for at in range(self.now - SHOWN_S + 1, self.now + 1)]
        for name, key, unit in (
            ("requests", "requests", "/s"),
            ("tokens out", "output_tokens", "/s"),
            ("prompt tokens", "prompt_tokens", "/s"),
        ):
            values = [float(sample.get(key, 0)) for sample in span]
            yield name, sum(values[-_RATE_S:]) / _RATE_S, unit, values
        for name, key, share in (
            ("TTFT p50", "ttft_ms", "p50"),
            ("TTFT p99", "ttft_ms", "p99"),
            ("ITL p50", "itl_ms", "p50"),
            ("ITL p99", "itl_ms", "p99"),
        ):
            values = [sample.get(key, {}).get(share, 0.0) for sample in span]
            yield name, next((one for one in reversed(values) if one), None), "ms", values


def _per_s(samples: Sequence[Sample], key: str) -> float:
    total = sum(float(sample.get(key, 0)) for sample in samples)
    return round(total / 10, 2)


def _added(samples: Sequence[Sample], key: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for sample in samples:
        for name, count in sample.get(key, {}).items():
            found[name] = found.get(name, 0) + count
    return found


def _counted(title: str, counts: Mapping[str, int]) -> str:
    shown = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())) or "nothing"
    return f"{title}: {shown} (10 s)"


def _line(values: Sequence[float]) -> Text:
    most = max(values, default=0.0)
    if most <= 0:
        return Text(_BLOCKS[0] * len(values), style="dim")
    heights = [round(value / most * (len(_BLOCKS) - 1)) for value in values]
    return Text("".join(_BLOCKS[height] for height in heights), style="cyan")


def _bar(share: float) -> Text:
    """From green to red as it fills."""
    filled = round(min(max(share, 0.0), 1.0) * _BAR)
    style = "red" if share > 0.9 else "yellow" if share > 0.7 else "green"
    return Text.assemble(("█" * filled, style), ("░" * (_BAR - filled), "dim"))


def _workers(workers: Iterable[Mapping[str, Any]]) -> Table:
    heads = ("worker", "", "run", "wait", "KV", "", "hits", "tok/s", "GPU", "W", "°C")
    table = Table(*heads, box=None, header_style="dim", pad_edge=False)
    for column in (2, 3, 5, 6, 7, 8, 9, 10):
        table.columns[column].justify = "right"
    for worker in workers:
        gpu = worker["gpu"] or {"utilization": 0.0, "power_w": 0.0, "temperature_c": 0.0}
        table.add_row(
            worker["name"],
            Text(worker["life"], style=_LIFE_STYLE.get(worker["life"], "")),
            str(worker["running"]),
            str(worker["waiting"]),
            _bar(worker["kv_usage"]),
            f"{worker['kv_usage']:.0%}",
            f"{worker['hit_rate']:.0%}",
            f"{worker['tokens_per_second']:,.0f}",
            f"{gpu['utilization']:.0%}",
            f"{gpu['power_w']:,.0f}",
            f"{gpu['temperature_c']:.0f}",
        )
    return table

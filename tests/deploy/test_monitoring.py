"""Every query of the Grafana dashboard, of the alert rules and of NVIDIA's public dashboard finds its names
and labels on the pages of a running fleet, with the matchers it has.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from tests.conftest import Serve
from tests.observe.asking import ask, chat

DEPLOY = Path(__file__).resolve().parent.parent.parent / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana/dashboards/fakeai-proxy.json").read_text("utf-8"))
ALERTS = yaml.safe_load((DEPLOY / "prometheus/alerts.yaml").read_text("utf-8"))
SCRAPES = yaml.safe_load((DEPLOY / "prometheus/prometheus.yaml").read_text("utf-8"))
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]

#: grafana.com/grafana/dashboards/12239, as in NVIDIA/dcgm-exporter grafana/dcgm-exporter-dashboard.json
#: (commit 068798b): metric, and what its series are told apart by.
NVIDIA = {
    "DCGM_FI_DEV_GPU_TEMP": ("Hostname", "gpu", "uuid"),
    "DCGM_FI_DEV_POWER_USAGE": ("Hostname", "gpu", "uuid"),
    "DCGM_FI_DEV_SM_CLOCK": ("Hostname", "UUID", "gpu"),
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": ("Hostname", "gpu", "GPU_I_ID", "GPU_I_PROFILE"),
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": ("Hostname", "gpu", "GPU_I_ID", "GPU_I_PROFILE"),
    "DCGM_FI_DEV_FB_USED": ("Hostname", "gpu", "GPU_I_ID", "GPU_I_PROFILE"),
    "DCGM_FI_DEV_FB_FREE": ("Hostname", "gpu"),
    # Revision 2 of it, which is what most people have imported, knows `instance` instead of `Hostname`.
    "DCGM_FI_DEV_GPU_UTIL": ("instance", "gpu"),
}
#: Labels of MIG slices, and one misspelt there: the real exporter has none of them for whole GPUs either.
OF_NOBODY = {"GPU_I_ID", "GPU_I_PROFILE", "uuid"}
#: What a scrape adds.
SCRAPED = {"instance": "proxy:8000", "job": "any"}


class Sample(NamedTuple):
    name: str
    labels: dict[str, str]
    value: float


class Selector(NamedTuple):
    """`matchers` are label, operator and value."""

    name: str
    matchers: list[tuple[str, str, str]]

    def finds(self, sample: Sample) -> bool:
        return sample.name == self.name and all(
            _OPERATORS[operator](sample.labels.get(label, ""), value)
            for label, operator, value in self.matchers
        )


_OPERATORS = {
    "=": lambda found, wanted: found == wanted,
    "!=": lambda found, wanted: found != wanted,
    "=~": lambda found, wanted: re.fullmatch(wanted, found) is not None,
    "!~": lambda found, wanted: re.fullmatch(wanted, found) is None,
}
_LINE = re.compile(r"([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_SELECTOR = re.compile(r"(?<![\w:$])([A-Za-z_:][\w:]*)\s*(?:\{([^}]*)\})?(?:\[[^\]]*\])?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\b(?:by|without)\s*\(([^)]*)\)")
#: Words of the language that are no metrics.
_WORDS = {"and", "or", "unless", "on", "ignoring", "offset", "bool"}


def samples_of(text: str) -> Iterator[Sample]:
    for line in text.splitlines():
        if not line.startswith("#"):
            match = _LINE.fullmatch(line)
            assert match is not None, line
            labels = dict(_LABEL.findall(match[2] or ""))
            yield Sample(match[1], {**SCRAPED, **labels}, float(match[3]))


def selectors_of(query: str) -> list[Selector]:
    bare = _GROUPING.sub(" ", query)
    found = []
    for match in _SELECTOR.finditer(re.sub(r'"[^"]*"', lambda m: m[0].replace("(", "\\("), bare)):
        name, after = match[1], bare[match.end() :].lstrip()
        if match[2] is None and (after.startswith("(") or name in _WORDS):
            continue  # a function
        matchers = [
            (label, operator, re.sub(r"\$\w+", ".*", value))
            for label, operator, value in _MATCHER.findall(match[2] or "")
        ]
        found.append(Selector(name, matchers))
    return found


def grouped_by(query: str) -> set[str]:
    return {
        label.strip() for group in _GROUPING.findall(query) for label in group.split(",") if label
    }


@pytest.fixture
async def pages(serve: Serve) -> list[Sample]:
    """What Prometheus has after a few answers, a refusal and an XID."""
    app = await serve(VirtualClock(), mode="synth", profile="1xh100-8b")
    for stream in (False, True):
        assert (await chat(app, model="llama-3.1-8b", max_tokens=9, stream=stream)).status == 200
    own = {
        "name": "none", "description": "One a day", "source": "A test's own invention",
        "limit": [{"model": "*", "rpd": 1}],
    }  # fmt: skip
    await ask(app, "/_fakeai/v1/limits", "PUT", {"own": own})
    said = [(await chat(app, model="llama-3.1-8b", max_tokens=2)).status for _ in range(2)]
    assert said == [200, 429]
    await ask(app, "/_fakeai/v1/faults", "POST", {"rule": "503:first=1"})
    await ask(app, "/_fakeai/v1/limits", "PUT", {"limits": []})
    assert (await chat(app, model="llama-3.1-8b")).status == 503
    await ask(app, "/_fakeai/v1/fleet/workers/pool-0/xid", "POST", {"code": 63})
    return await scraped(app)


async def scraped(app: App) -> list[Sample]:
    found = []
    for job in SCRAPES["scrape_configs"]:
        got = await ask(app, job["metrics_path"])
        assert got.status == 200
        found += samples_of(got.data.decode())
    return found


def queries() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def answered(query: str, pages: list[Sample]) -> None:
    selectors = selectors_of(query)
    assert selectors, query
    for selector in selectors:
        found = [sample for sample in pages if selector.finds(sample)]
        assert found, f"{query}: no {selector}"
        missing = grouped_by(query) - set(found[0].labels) - OF_NOBODY
        assert not missing, f"{query}: {selector.name} has no {missing}"


async def test_every_query_of_the_dashboard_and_of_the_alerts_finds_what_it_asks_for(
    pages: list[Sample],
) -> None:
    asked = list(queries())
    assert len(asked) > 30
    for _, query in asked:
        answered(query, pages)


async def test_nvidias_own_dashboard_finds_what_it_asks_for(pages: list[Sample]) -> None:
    for name, labels in NVIDIA.items():
        where = 'instance=~"$instance"' if "instance" in labels else 'Hostname=~"$Hostname"'
        answered(f'max({name}{{{where}, gpu=~"$gpu"}}) by ({", ".join(labels)})', pages)
    # Its axes: hertz are the clock times a million, tensor cores a share of 1, memory in MiB.
    seen = {sample.name: sample.value for sample in pages}
    assert 100 < seen["DCGM_FI_DEV_SM_CLOCK"] < 3000
    assert 0 <= seen["DCGM_FI_PROF_PIPE_TENSOR_ACTIVE"] <= 1
    assert 1_000 < seen["DCGM_FI_DEV_FB_USED"] < 100_000


async def test_a_query_for_what_there_is_not_is_noticed(pages: list[Sample]) -> None:
    for wrong in (
        "sum(vllm:no_such_metric)",
        'sum(fakeai_responses_total{status="418"})',
        "sum by (flavour) (fakeai_responses_total)",
    ):
        with pytest.raises(AssertionError):
            answered(wrong, pages)


def test_the_dashboard_is_one() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + dx, place["y"] + dy)
            for dx in range(place["w"])
            for dy in range(place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
    variables = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps([list(queries()), DASHBOARD["panels"]])))
    assert used - {"__rate_interval", "labels", "value"} <= set(variables)
    for one in variables.values():
        if one["type"] == "query":
            assert one["query"]["query"].startswith("label_values(")


async def test_its_variables_have_values(pages: list[Sample]) -> None:
    for one in DASHBOARD["templating"]["list"]:
        match = re.fullmatch(r"label_values\((.+), (\w+)\)", str(one.get("definition")))
        if match is not None:
            assert any(s.name == match[1] and s.labels.get(match[2]) for s in pages)


def test_every_alert_says_what_is_wrong() -> None:
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("warning", "critical")
            used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
            assert used <= grouped_by(rule["expr"]), rule["alert"]


def test_compose_mounts_what_there_is_and_starts_it_only_when_asked() -> None:
    for name in ("prometheus", "grafana"):
        service: Any = COMPOSE[name]
        assert service["profiles"] == ["monitoring"]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        for volume in service["volumes"]:
            assert (DEPLOY / volume.split(":")[0]).is_dir()
    source = yaml.safe_load(
        (DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text("utf-8")
    )
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    provider = yaml.safe_load(
        (DEPLOY / "grafana/provisioning/dashboards/files.yaml").read_text("utf-8")
    )
    folder = provider["providers"][0]["options"]["path"]
    assert f"./grafana/dashboards:{folder}:ro" in COMPOSE["grafana"]["volumes"]
    for job in SCRAPES["scrape_configs"]:
        assert (
            job["dns_sd_configs"][0] | {"names": ["proxy"], "port": 8000}
            == job["dns_sd_configs"][0]
        )
    assert SCRAPES["rule_files"] == ["/etc/prometheus/alerts.yaml"]

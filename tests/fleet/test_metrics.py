"""What a fleet counts, whatever becomes of its requests."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from fakeai_proxy.exchange import Workload
from fakeai_proxy.fleet import buckets
from fakeai_proxy.fleet.buckets import Histogram
from fakeai_proxy.fleet.cluster import Cluster
from fakeai_proxy.fleet.job import Job
from fakeai_proxy.fleet.metrics import FleetMetrics, Recent
from fakeai_proxy.observe import prometheus
from fakeai_proxy.observe.prometheus import Metric
from tests.fleet.toys import a_fleet, a_pool


def watched(cluster: Cluster) -> FleetMetrics:
    metrics = FleetMetrics()
    cluster.listeners.append(metrics)
    cluster.departures.append(metrics.left)
    return metrics


def submitted(cluster: Cluster, at: float, prompt: int, output: int, samples: int = 1) -> Job:
    job = Job(Workload("toy", range(prompt), output * samples, samples=samples), at)
    job.hashes = cluster.hashes(job)
    cluster.submit(job)
    return job


_JOBS = st.lists(
    st.tuples(
        st.floats(0, 0.5), st.integers(1, 90), st.integers(0, 30), st.integers(1, 3), st.booleans()
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(jobs=_JOBS, blocks=st.integers(40, 200), replicas=st.integers(1, 3))
def test_every_token_and_every_end_is_counted_once(
    jobs: list[tuple[float, int, int, int, bool]], blocks: int, replicas: int
) -> None:
    cluster, _ = a_fleet(a_pool(num_gpu_blocks=blocks, replicas=replicas))
    metrics = watched(cluster)
    made: list[Job] = []
    leaving: list[Job] = []
    for at, prompt, output, samples, leaves in sorted(jobs):
        cluster.advance(at)
        made.append(submitted(cluster, at, prompt, output, samples))
        if leaves:
            leaving.append(made[-1])
        if len(leaving) > 1:
            cluster.cancel(leaving.pop(0))
        assert all(
            r.running <= r.pool.engine.max_num_seqs for r in metrics.readings(cluster.workers, at)
        )
    cluster.advance(math.inf)
    readings = metrics.readings(cluster.workers, 1000.0)
    counts = [reading.counts for reading in readings]
    assert sum(c.generation_tokens for c in counts) == sum(job.generated for job in made)
    sequences = [each for job in made for each in job.sequences]
    assert sum(sum(c.ended.values()) for c in counts) == len(sequences)
    assert metrics.finished_total + metrics.aborted_total == len(made)
    for reading in readings:
        c, h = reading.counts, reading.histograms
        ended = sum(c.ended.values())
        assert h["e2e_s"].count == h["prompt_tokens"].count == h["generation_tokens"].count == ended
        assert h["step_tokens"].total == c.generation_tokens + c.prompt_tokens
        assert c.hits + c.misses == h["ttft_s"].count
        assert (reading.running, reading.waiting, reading.kv_used) == (0, 0, 0)
        if not c.ended["abort"] and not c.preemptions:
            assert c.prompt_tokens == c.prefix_queries
            assert c.cached_tokens == c.prefix_hits
    if not any(c.ended["abort"] for c in counts):
        computed = sum(c.computed_tokens for c in counts)
        assert computed == sum(s.prompt_tokens - s.cached_tokens for s in sequences)


def test_a_dead_worker_shows_what_it_had_and_counts_from_zero_when_it_serves_again() -> None:
    cluster, _ = a_fleet(on_death="fail")
    metrics = watched(cluster)
    submitted(cluster, 0.0, 8, 5)
    cluster.advance(1.0)
    submitted(cluster, 1.0, 8, 300)
    cluster.advance(2.0)
    (worker,) = cluster.workers
    cluster.kill(worker, 2.0)
    (dead,) = metrics.readings(cluster.workers, 2.0)
    assert (dead.counts.ended["stop"], dead.counts.ended["error"]) == (1, 1)
    assert (dead.running, metrics.failed_total) == (0, 1)
    cluster.restart(worker, 3.0)
    cluster.advance(60.0)
    (fresh,) = metrics.readings(cluster.workers, 60.0)
    assert sum(fresh.counts.ended.values()) == fresh.counts.generation_tokens == 0


@given(
    values=st.lists(st.floats(0, 3000), max_size=50),
    bounds=st.sampled_from([buckets.VLLM_TTFT_S, buckets.SGLANG_TTFT_S, buckets.DYNAMO_TTFT_S]),
)
def test_a_histogram_shown_coarsely_is_the_coarse_one(
    values: list[float], bounds: buckets.Bounds
) -> None:
    histogram = Histogram(buckets.TTFT_S)
    for value in values:
        histogram.observe(value)
    shown = histogram.over(bounds)
    for k, bound in enumerate(bounds):
        assert sum(shown.counts[: k + 1]) == sum(value <= bound for value in values)
    assert sum(shown.counts) == histogram.count == len(values)


def test_rates_are_those_of_the_last_whole_seconds() -> None:
    recent = Recent()
    for second in range(100):
        recent.add(second + 0.5, 10)
        recent.add(second + 0.7, 20)
    assert recent.per_second(100.2) == 30
    assert recent.per_second(102.0) == 18  # two of five seconds had nothing
    assert recent.per_second(200.0) == 0
    assert (recent.mean(100.0), recent.most(100.0)) == (15, 20)
    assert (recent.mean(500.0), recent.most(500.0)) == (0, 0)


@given(st.text(min_size=1).filter(lambda text: "\r" not in text), st.floats())
def test_any_label_and_any_number_survive_the_page(label: str, value: float) -> None:
    metric = Metric[float]("a_gauge", "gauge", "Of a test.", lambda row: row)
    page = prometheus.page(prometheus.lines((metric,), [({"name": label}, value)]))
    (family,) = text_string_to_metric_families(page)
    (sample,) = family.samples
    assert sample.labels == {"name": label}
    assert sample.value == (value if math.isfinite(value) else 0.0)

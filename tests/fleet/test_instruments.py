"""Telemetry beside a cluster that works."""

from __future__ import annotations

import pytest

from fakeai_proxy.dice import Dice
from fakeai_proxy.exchange import Workload
from fakeai_proxy.fleet.cluster import Cluster
from fakeai_proxy.fleet.cost import Chunk
from fakeai_proxy.fleet.devices import Nodes
from fakeai_proxy.fleet.faults import PowerCap
from fakeai_proxy.fleet.instruments import Instruments
from fakeai_proxy.fleet.job import Job
from fakeai_proxy.fleet.step import Step
from fakeai_proxy.fleet.step_model import step_model
from fakeai_proxy.fleet.worker import Worker
from fakeai_proxy.profiles.fleet import FleetProfile, Pool, load_fleet
from tests.fleet.boards import B200, H100

POOL = Pool(model="llama-3.1-70b", gpu="h100", tp=4, replicas=2, cold_start_s=50)
PROFILE = FleetProfile(name="t", description="t", source="of the tests", pool=(POOL,))


def worker(number: int = 0, ready_at: float = float("-inf")) -> Worker:
    dice, steps = Dice(1), step_model(POOL, "vllm")
    return Worker(f"w{number}", POOL, steps, dice.roll(number), ready_at)


def prefill(instruments: Instruments, each: Worker, since: float, until: float) -> float:
    """Prompts of 8,192 tokens, one after the other; how many a second."""
    now, count = since, 0
    while now < until:
        cost = each.model.cost([Chunk(8192, 0)], 0, 0)
        began_at, now = now, now + cost.seconds * each.engine.slowdown
        instruments.stepped(each, Step(began_at, now, cost, 8192, 0, [], [], []))
        count += 1
    return count / (now - since)


def test_modelled_steps_show_plausibly_on_all_gpus_of_their_worker_only() -> None:
    one, two = worker(0), worker(1)
    instruments = Instruments(PROFILE, Dice(1), [one, two])
    prefill(instruments, one, 0, 60)
    for sample in instruments.of(one).sample(60):
        assert 0.9 < sample.busy <= 1
        assert 0.4 < sample.tensor_active < 0.9
        assert sample.power_w == pytest.approx(H100.tdp_w, rel=0.15)
        assert sample.link_tx_bytes_s > 1e9
    for sample in instruments.of(two).sample(60):
        assert sample.power_w == pytest.approx(H100.idle_w, rel=0.03)
    watts = 4 * H100.tdp_w + 4 * H100.idle_w
    assert instruments.energy_j(60) == pytest.approx(60 * watts, rel=0.15)


def test_a_power_cap_costs_throughput_and_the_gpus_still_look_busy() -> None:
    each = worker()
    instruments = Instruments(PROFILE, Dice(1), [each])
    free = prefill(instruments, each, 0, 30)
    instruments.of(each).inject(PowerCap(350), 30)
    prefill(instruments, each, 30, 40)
    capped = prefill(instruments, each, 40, 70)
    assert 0.6 < capped / free < 0.9
    sample = instruments.of(each).sample(70)[0]
    assert sample.busy > 0.95
    assert sample.power_w == pytest.approx(350, rel=0.03)


def test_a_starting_worker_fills_its_memory_and_a_removed_one_leaves_its_gpus() -> None:
    starting = worker(0, ready_at=50)
    instruments = Instruments(PROFILE, Dice(1))
    telemetry = instruments.install(starting, 0)
    used = [telemetry.sample(now)[0].fb_used_mib for now in (0.0, 15.0, 30.0, 50.0)]
    assert used == sorted(set(used))
    assert used[2] == pytest.approx(70.6e9 * 2 / 4 / 2**20, rel=0.05)
    instruments.remove(starting)
    assert telemetry.sample(60)[0].fb_used_mib == 0
    assert instruments.telemetries == [telemetry]
    assert instruments.install(worker(1), 70) is telemetry
    with pytest.raises(KeyError):
        instruments.of(starting)


def test_workers_stay_on_a_node_and_kinds_do_not_mix() -> None:
    nodes = Nodes(Dice(3), 8)
    taken = [nodes.take(gpu, count) for gpu, count in ((H100, 6), (H100, 4), (B200, 1), (H100, 2))]
    hosts = [[device.hostname for device in devices] for devices in taken]
    assert [set(each) for each in hosts] == [
        {"gpu-node-0"}, {"gpu-node-1"}, {"gpu-node-2"}, {"gpu-node-0"},
    ]  # fmt: skip
    assert [device.slot for device in taken[3]] == [6, 7]
    wide = nodes.take(H100, 16)
    assert [device.slot for device in wide] == [*range(8), *range(8)]
    assert len({device.hostname for device in wide}) == 2
    everything = [device for devices in [*taken, wide] for device in devices]
    assert len({device.uuid for device in everything}) == len(everything)
    assert len({(d.hostname, d.pci_bus_id) for d in everything}) == len(everything)


def test_gpus_follow_their_workers_through_death_restart_and_scaling() -> None:
    cluster = Cluster(load_fleet("1xh100-8b"), Dice(1))
    instruments = Instruments(cluster.profile, Dice(1), cluster.workers)
    cluster.listeners.append(instruments)
    cluster.worker_listeners.append(instruments)
    cluster.scale("pool", 2, 0.0)
    cluster.advance(cluster.workers[1].ready_at)
    first, second = cluster.workers
    gpus = {instruments.of(each).boards[0].device for each in cluster.workers}
    cluster.kill(first, 100.0, "XID 79")
    with pytest.raises(KeyError):
        instruments.of(first)
    cluster.restart(first, 101.0)
    assert {instruments.of(each).boards[0].device for each in (first, second)} == gpus
    job = Job(Workload("llama-3.1-8b", range(200), 20), 200.0)
    cluster.submit(job)
    while cluster.next_at < 300:
        cluster.advance(cluster.next_at)
    assert job.generated == 20

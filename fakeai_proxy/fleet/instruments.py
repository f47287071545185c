"""The telemetry of a cluster's workers. Listens to their steps, and tells their engines how much
power and heat slow them down.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence

from fakeai_proxy.dice import Dice
from fakeai_proxy.fleet.devices import Nodes
from fakeai_proxy.fleet.framebuffer import FrameBuffer
from fakeai_proxy.fleet.job import Job
from fakeai_proxy.fleet.share import Share
from fakeai_proxy.fleet.step import Step
from fakeai_proxy.fleet.telemetry import Telemetry
from fakeai_proxy.fleet.worker import Worker
from fakeai_proxy.profiles.architecture import load_model
from fakeai_proxy.profiles.fleet import FleetProfile, Pool
from fakeai_proxy.profiles.gpu import load_gpu

#: Of a cold start, reading weights; the rest sets up the pool and captures graphs.
_LOADING_SHARE = 0.6


def _rack(pool: Pool) -> Hashable:
    """Where the GPUs of a worker are, if it is as the pool is: whoever takes them has to be so, too."""
    memory = pool.quantization, pool.gpu_memory_utilization
    return pool.name, pool.model, pool.gpu, pool.gpus, *memory


class Instruments:
    def __init__(
        self,
        profile: FleetProfile,
        dice: Dice,
        workers: Sequence[Worker] = (),
        hostname: str = "gpu-node-{}",
    ) -> None:
        self._nodes = Nodes(dice, profile.gpus_per_node, hostname)
        self._of: dict[str, Telemetry] = {}
        self._spare: defaultdict[Hashable, list[Telemetry]] = defaultdict(list)
        #: Of workers that have ended.
        self._last: dict[str, Telemetry] = {}
        #: Workers that somebody slowed down, by how much.
        self._slowed: dict[str, float] = {}
        for worker in workers:
            self.install(worker, 0.0)

    @property
    def telemetries(self) -> list[Telemetry]:
        """Of workers, and of GPUs that have none any more."""
        return [*self._of.values(), *(each for spare in self._spare.values() for each in spare)]

    def telemetries_of(self, share: Share) -> list[Telemetry]:
        """The same, of a process's share of the workers."""
        if share.of == 1:
            return self.telemetries
        own = [each for name, each in self._of.items() if share.has_named(name)]
        left = {id(each) for name, each in self._last.items() if share.has_named(name)}
        return own + [each for each in self.telemetries if id(each) in left and each not in own]

    def of(self, worker: Worker) -> Telemetry:
        """Raises KeyError where it has none."""
        return self._of[worker.name]

    def last_of(self, worker: Worker) -> Telemetry | None:
        """Also of one that is dead, while nobody else has taken its GPUs."""
        last = self._last.get(worker.name)
        return self._of.get(worker.name) or (
            last if last in self._spare[_rack(worker.pool)] else None
        )

    def install(self, worker: Worker, now: float) -> Telemetry:
        """GPUs for a worker; its memory fills from now on if it is starting. Its own come first,
        then sound ones that another worker of the pool has left."""
        spare = self._spare[_rack(worker.pool)]
        telemetry = self.last_of(worker)
        if telemetry is None or telemetry.dead:
            telemetry = next((each for each in spare if not each.dead), None)
        if telemetry is None:
            telemetry = self._taken(worker.pool, worker.life, now)
        else:
            spare.remove(telemetry)
        telemetry.load(now)
        self._last = {name: each for name, each in self._last.items() if each is not telemetry}
        self._of[worker.name] = telemetry
        return telemetry

    def remove(self, worker: Worker) -> None:
        """Its process is gone; its GPUs stay."""
        telemetry = self._last[worker.name] = self._of.pop(worker.name)
        telemetry.unload()
        self._slowed.pop(worker.name, None)
        self._spare[_rack(worker.pool)].append(telemetry)

    def slow(self, worker: Worker, factor: float) -> None:
        """Beside what power and heat do."""
        worker.engine.slowdown = self._of[worker.name].slowdown * factor
        self._slowed[worker.name] = factor

    def slowed(self, worker: Worker) -> float:
        return self._slowed.get(worker.name, 1.0)

    def started(self, worker: Worker, at: float) -> None:
        self.install(worker, at)

    def stopped(self, worker: Worker, at: float) -> None:
        self.remove(worker)

    def transferred(self, source: Worker, target: Worker, size_bytes: float, at: float) -> None:
        """Between workers KV cache goes through network cards, and to these over PCIe."""
        out, into = self._of[source.name], self._of[target.name]
        out.transfer(at, size_bytes / source.pool.gpus, 0.0, "pcie")
        into.transfer(at, 0.0, size_bytes / target.pool.gpus, "pcie")

    def energy_j(self, now: float) -> float:
        """Of all GPUs since the start."""
        return sum(s.energy_j for each in self.telemetries for s in each.sample(now))

    def stepped(self, worker: Worker, step: Step) -> None:
        telemetry = self._of[worker.name]
        telemetry.stepped(step)
        worker.engine.slowdown = telemetry.slowdown * self._slowed.get(worker.name, 1.0)

    def finished(self, job: Job, at: float) -> None:
        """Shows on no GPU."""

    def failed(self, job: Job, at: float) -> None:
        """Shows on no GPU."""

    def _taken(self, pool: Pool, life: str, now: float) -> Telemetry:
        gpu, model = load_gpu(pool.gpu), load_model(pool.model)
        quantization = pool.quantization or model.quantization
        start_s = pool.cold_start_s if life == "starting" else 0.0
        framebuffer = FrameBuffer(
            gpu,
            model.weight_bytes(quantization) / pool.gpus / 2**20,
            pool.gpu_memory_utilization,
            shared=pool.gpus > 1,
            loading_s=_LOADING_SHARE * start_s,
            warming_s=(1 - _LOADING_SHARE) * start_s,
        )
        tflops = gpu.tflops(gpu.precision(quantization))
        return Telemetry(gpu, self._nodes.take(gpu, pool.gpus), framebuffer, tflops, now)

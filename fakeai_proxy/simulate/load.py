"""What a simulation is loaded with, as a specification says: `poisson:rate=10`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.simulate.arrivals import (
    Arrival,
    Lengths,
    constant,
    poisson,
    ramp,
    read_trace,
    spaced,
)

#: Kind -> its parameters with their defaults.
KINDS: dict[str, dict[str, float]] = {
    "poisson": {"rate": 1.0},
    "constant": {"rate": 1.0},
    "ramp": {"from": 0.1, "to": 10.0, "over": 60.0},
    "closed": {"concurrency": 1.0, "think": 0.0},
}
#: Requests of a load that says neither how many nor how long.
REQUESTS_DEFAULT = 1000


@dataclass(frozen=True)
class Load:
    """A trace or a synthetic load. `speedup` brings a trace's arrivals closer together."""

    kind: str
    parameters: dict[str, float] = field(default_factory=dict)
    lengths: Lengths = field(default_factory=lambda: Lengths(1024, 256))
    trace: Path | None = None
    speedup: float = 1.0
    requests: int | None = None
    duration_s: float | None = None

    @property
    def requests_max(self) -> int | None:
        if self.requests is None and self.duration_s is None and self.trace is None:
            return REQUESTS_DEFAULT
        return self.requests

    @property
    def is_closed(self) -> bool:
        return self.kind == "closed"

    def changed(self, name: str, value: float) -> Load:
        """The same load with another value of a parameter. Raises ConfigError."""
        if name not in self.parameters:
            raise ConfigError(
                f"--sweep: {self.kind} has no {name}; it has {', '.join(self.parameters) or 'none'}"
            )
        return replace(self, parameters={**self.parameters, name: value})

    def open_loop(self, rng: Random) -> Iterator[Arrival]:
        """Arrivals that do not depend on answers, in order."""
        arrivals = self._endless(rng)
        if self.duration_s is not None:
            end_s = self.duration_s
            arrivals = itertools.takewhile(lambda arrival: arrival.at <= end_s, arrivals)
        return itertools.islice(arrivals, self.requests_max)

    def _endless(self, rng: Random) -> Iterator[Arrival]:
        if self.trace is not None:
            for arrival in read_trace(self.trace):
                yield arrival._replace(at=arrival.at / self.speedup)
            return
        of = self.parameters
        gaps = {
            "poisson": lambda: poisson(of["rate"], rng),
            "constant": lambda: constant(of["rate"]),
            "ramp": lambda: ramp(of["from"], of["to"], of["over"], rng),
        }[self.kind]()
        yield from spaced(gaps, self.lengths, rng)


def parse_load(text: str) -> tuple[str, dict[str, float]]:
    """`closed:concurrency=64` as kind and parameters. Raises ConfigError."""
    kind, _, rest = text.partition(":")
    if kind not in KINDS:
        raise ConfigError(f"--load: there is no '{kind}'. Known: {', '.join(KINDS)}.")
    parameters = dict(KINDS[kind])
    for piece in filter(None, rest.split(",")):
        name, _, value = piece.partition("=")
        if name not in parameters:
            raise ConfigError(f"--load: {kind} has no '{name}'. It has: {', '.join(parameters)}.")
        parameters[name] = _positive(f"--load: {name}", value, zero=name in ("think", "from"))
    return kind, parameters


def _positive(what: str, text: str, zero: bool = False) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (0 < value < 1e9 or (zero and value == 0)):
        raise ConfigError(f"{what} must be a number above 0, not '{text}'")
    return value

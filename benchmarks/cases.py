"""The cases: what is started, what is asked of it, and the bar."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from load import chat_body, chat_request, complete, connect
from processes import (
    CLIENT_CPU,
    Server,
    client,
    fleet_server,
    own_mb,
    product,
    resident_mb,
    yardstick,
)
from table import Measure, at_least, at_most, ratio_from, ratio_to, within

TTFT_MS, ITL_MS = 200, 20
#: After it listens, a server still loads what its first answers need, and gives back what only that took.
SETTLED_S = 2.0
CASSETTE_INTERACTIONS = 10_000

_STEADY = f"""\
description = "Tokens to the clock, without chance"
source = "No measurement: what the benchmark compares with a metronome"
illustrative = true

[[latency]]
model = "*"
ttft_p50_ms = {TTFT_MS}
ttft_sigma = 0
itl_p50_ms = {ITL_MS}
"""

#: A batch of 125 takes about as long a step as the metronome's tokens are apart.
_STEPPING = """\
description = "Eight workers that a thousand streams keep at a token every 20 ms"
source = "No measurement: slowed down to the rhythm that the benchmark asks for"

[[pool]]
model = "llama-3.1-8b"
gpu = "h100"
replicas = 8
calibration_scale = 2.2
jitter_sigma = 0
stall_p = 0
"""


@dataclass
class Bench:
    """How much to do, and where to put files."""

    quick: bool
    folder: Path

    def take(self, full: float, quick: float) -> float:
        return quick if self.quick else full

    @property
    def rounds(self) -> range:
        return range(1 if self.quick else 3)

    def path(self, name: str) -> Path:
        return Path(tempfile.mkdtemp(dir=self.folder)) / name


def _answer(server: Server) -> bytes:
    """The body of the server's answer to the first question."""
    with connect(server.url) as sock:
        sock.sendall(chat_request(server.url, chat_body(0)))
        reply = b""
        while not complete(reply):
            if not (data := sock.recv(1 << 16)):
                break
            reply += data
    head, _, body = reply.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(reply.decode("latin-1"))
    return body


def _load(server: Server, *options: object) -> dict[str, float]:
    result = client("load.py", "--url", server.url, "--server-pid", server.pid, *options)
    if result["bad"]:
        raise SystemExit(f"{result['bad']} bad replies, the first: {result['first_bad']}")
    return result


def _compare_json(
    bench: Bench, case: str, server: Server, questions: int, share: float | None = 0.5
) -> list[Measure]:
    """Requests a second of `server` against aiohttp sending the same bytes, with so many different
    questions in turn. The bar is on CPU time, which on a busy machine still tells one server from
    the other; the rates then do not."""
    reply = bench.path("reply.json")
    reply.write_bytes(_answer(server))
    rate = Measure(case, "requests/s of a core", ratio_from(share) if share else None)
    wall = Measure(case, "requests/s by the wall clock")
    late = Measure(case, "p99 latency, ms")
    with yardstick("json", "--reply", reply) as bare:
        for _ in bench.rounds:
            how = ("--distinct", questions, "--seconds", bench.take(2, 1), "--warm-up", 1.5)
            theirs, ours = _load(bare, *how), _load(server, *how)
            rate.add(1e6 / ours["server_us"], 1e6 / theirs["server_us"])
            wall.add(ours["per_s"], theirs["per_s"])
            late.add(ours["p99_ms"], theirs["p99_ms"])
    return [rate, wall, late]


def synth_json(bench: Bench) -> list[Measure]:
    with product("--mode", "synth", "--profile", "none", "--log-format", "none") as server:
        # A question that was asked before is not planned again; for new ones there is no bar.
        return [
            *_compare_json(bench, "json", server, 1),
            *_compare_json(bench, "json, all new", server, CASSETTE_INTERACTIONS, None),
        ]


#: On any CPU that is free.
_ANYWHERE = -1


def workers(bench: Bench) -> list[Measure]:
    """Two processes against one, both where they like: on two cores that the clients share, which is
    no more than a sign of what more cores would give."""
    rate = Measure("workers", "requests/s, all new, of two processes against one", ratio_from(1.1))
    how = ("--distinct", CASSETTE_INTERACTIONS, "--seconds", bench.take(3, 2), "--warm-up", 1.5)
    common = ("--mode", "synth", "--profile", "none", "--log-format", "none")
    with (
        product(*common, cpu=_ANYWHERE) as one,
        product(*common, "--workers", 2, cpu=_ANYWHERE) as two,
    ):
        for _ in bench.rounds:
            alone, together = _load(one, *how), _load(two, *how)
            rate.add(together["per_s"], alone["per_s"])
    return [rate]


def _recordings(bench: Bench) -> Path:
    """A cassette with the answers to questions 0 to 9,999, recorded by the product from a canned
    upstream, once in a run."""
    cassette = bench.folder / "recordings.fcz"
    if not cassette.exists():
        with (
            yardstick("json", cpu=CLIENT_CPU) as upstream,
            product(
                *("--mode", "record", "--upstream", upstream.url, "--cassette", cassette)
            ) as recorder,
        ):
            _load(recorder, "--requests", CASSETTE_INTERACTIONS, "--seconds", 60)
    return cassette


def replay(bench: Bench) -> list[Measure]:
    cassette = _recordings(bench)
    how = ("--mode", "replay", "--cassette", cassette, "--timing", "none", "--log-format", "none")
    with product(*how) as server:
        return _compare_json(bench, "replay", server, CASSETTE_INTERACTIONS, 0.6)


def _streams(server: Server, *options: object) -> dict[str, float]:
    result = client("streams.py", "--url", server.url, "--server-pid", server.pid, *options)
    if result["broken"]:
        raise SystemExit(f"{result['broken']} streams did not end")
    return result


def streams(bench: Bench) -> list[Measure]:
    profile = bench.path("steady.toml")
    profile.write_text(_STEADY)
    error = Measure("streams", "p99 error of a token, ms", ratio_to(2))
    usual = Measure("streams", "p50 error of a token, ms")
    drift = Measure("streams", "p50 drift at the end, ms", within(2, " ms"), relative=False)
    lost = Measure("streams", "tokens lost", at_most(0), relative=False)
    merged = Measure("streams", "tokens merged", at_most(0), relative=False)
    cpu = Measure("streams", "CPU us/token")
    run = (
        *("--streams", 1000, "--tokens", bench.take(100, 50), "--ramp", 2),
        *("--ttft-ms", TTFT_MS, "--itl-ms", ITL_MS),
    )
    with (
        yardstick("paced", "--ttft-ms", TTFT_MS, "--itl-ms", ITL_MS) as bare,
        product("--mode", "synth", "--profile", profile) as server,
    ):
        for _ in bench.rounds:
            theirs, ours = _streams(bare, *run), _streams(server, *run)
            error.add(ours["error_p99_ms"], theirs["error_p99_ms"])
            usual.add(ours["error_p50_ms"], theirs["error_p50_ms"])
            drift.add(ours["drift_p50_ms"], theirs["drift_p50_ms"])
            lost.add(ours["lost"], theirs["lost"])
            merged.add(ours["merged"], theirs["merged"])
            cpu.add(ours["server_us"], theirs["server_us"])
    return [error, usual, drift, lost, merged, cpu]


def fleet(bench: Bench) -> list[Measure]:
    """Tokens of a step leave together, so a stream's share of the bar is the writes of its batch."""
    profile, log = bench.path("stepping.toml"), bench.path("steps.json")
    profile.write_text(_STEPPING)
    error = Measure("fleet", "p99 error of a token, ms", ratio_to(2))
    usual = Measure("fleet", "p50 error of a token, ms")
    lost = Measure("fleet", "tokens lost", at_most(0), relative=False)
    cpu = Measure("fleet", "CPU us/token")
    run = ("--streams", 1000, "--tokens", bench.take(100, 50), "--ramp", 2)
    metronome = ("--ttft-ms", TTFT_MS, "--itl-ms", ITL_MS)
    with (
        yardstick("paced", *metronome) as bare,
        fleet_server("--profile", profile, "--log", log) as server,
    ):
        for _ in bench.rounds:
            theirs, ours = _streams(bare, *run, *metronome), _streams(server, *run, "--steps", log)
            error.add(ours["error_p99_ms"], theirs["error_p99_ms"])
            usual.add(ours["error_p50_ms"], theirs["error_p50_ms"])
            lost.add(ours["lost"], theirs["lost"])
            cpu.add(ours["server_us"], theirs["server_us"])
    return [error, usual, lost, cpu]


def engine(bench: Bench) -> list[Measure]:
    step = Measure("engine", "a step of 64 sequences, mean us", at_most(60, " us"))
    worst = Measure("engine", "a step of 64 sequences, p99 us")
    for _ in bench.rounds:
        took = client("engine_step.py", "--batch", 64, "--steps", int(bench.take(4000, 1000)))
        step.add(took["mean_us"])
        worst.add(took["p99_us"])
    return [step, worst]


def unshaped(bench: Bench) -> list[Measure]:
    rate = Measure("unshaped", "tokens/s of a core", at_least(60_000))
    wall = Measure("unshaped", "tokens/s by the wall clock")
    lost = Measure("unshaped", "tokens lost", at_most(0), relative=False)
    run = ("--streams", 32, "--requests-per-stream", bench.take(10, 4), "--tokens", 500)
    with (
        yardstick("unshaped") as bare,
        product("--mode", "synth", "--profile", "none") as server,
    ):
        for _ in bench.rounds:
            theirs, ours = _streams(bare, *run), _streams(server, *run)
            rate.add(1e6 / ours["server_us"], 1e6 / theirs["server_us"])
            wall.add(ours["per_s"], theirs["per_s"])
            lost.add(ours["lost"], theirs["lost"])
    return [rate, wall, lost]


def recording(bench: Bench) -> list[Measure]:
    """The yardstick is the product itself, passing the same stream on without a recorder. The
    upstream takes its time between tokens: the end of a reply waits for the disk, its first token
    does not, and they must not come in one read."""
    p50 = Measure("recording", "TTFT p50, ms")
    p95 = Measure("recording", "TTFT p95, ms")
    added_p50 = Measure("recording", "added to TTFT p50, ms", at_most(1, " ms"))
    added_p95 = Measure("recording", "added to TTFT p95, ms", at_most(1, " ms"))
    cassette = bench.path("recording.fcz")
    with ExitStack() as stack:
        upstream = stack.enter_context(
            yardstick("paced", "--ttft-ms", 2, "--itl-ms", 1, cpu=CLIENT_CPU)
        )
        to = ("--upstream", upstream.url)
        passing = stack.enter_context(product("--mode", "pass", *to))
        recorder = stack.enter_context(product("--mode", "record", *to, "--cassette", cassette))
        for _ in bench.rounds:
            took = client(
                *("first_token.py", "--url", passing.url, "--url", recorder.url),
                *("--requests", int(bench.take(250, 100)), "--tokens", 8),
            )
            plain, recorded = took[passing.url], took[recorder.url]
            p50.add(recorded["p50_ms"], plain["p50_ms"])
            p95.add(recorded["p95_ms"], plain["p95_ms"])
            added_p50.add(recorded["p50_ms"] - plain["p50_ms"])
            added_p95.add(recorded["p95_ms"] - plain["p95_ms"])
    return [added_p50, added_p95, p50, p95]


#: 200 streams at this pace keep a core that passes them on a third busy.
PASSED_ITL_MS = 50


def recording_streams(bench: Bench) -> list[Measure]:
    """200 at once, each token by itself; the yardstick is the product passing them on."""
    first = Measure("recording 200 streams", "added to TTFT p50, ms", at_most(1, " ms"))
    gap = Measure("recording 200 streams", "added to the p99 of gaps, ms", at_most(2, " ms"))
    usual = Measure("recording 200 streams", "p99 of gaps, ms")
    cpu = Measure("recording 200 streams", "CPU us/token")
    run = ("--streams", 200, "--tokens", bench.take(100, 40), "--ramp", 2)
    metronome = ("--ttft-ms", TTFT_MS, "--itl-ms", PASSED_ITL_MS)
    with ExitStack() as stack:
        upstream = stack.enter_context(yardstick("paced", *metronome, cpu=CLIENT_CPU))
        to = ("--upstream", upstream.url, "--log-format", "none")
        passing = stack.enter_context(product("--mode", "pass", *to))
        cassette = bench.path("streams.fcz")
        recorder = stack.enter_context(product("--mode", "record", *to, "--cassette", cassette))
        for _ in bench.rounds:
            plain, ours = (_streams(each, *run, *metronome) for each in (passing, recorder))
            first.add(ours["ttft_p50_ms"] - plain["ttft_p50_ms"])
            gap.add(ours["gap_p99_ms"] - plain["gap_p99_ms"])
            usual.add(ours["gap_p99_ms"], plain["gap_p99_ms"])
            cpu.add(ours["server_us"], plain["server_us"])
    return [first, gap, usual, cpu]


#: How long a cassette of a million may take to be made.
_MAKING_S_MAX = 1800


def million(bench: Bench) -> list[Measure]:
    """Memory is compared with a cassette of one recording; to make one of a million takes minutes. The
    index is a mapped file, so its pages are not counted."""
    count = int(bench.take(1_000_000, 50_000))
    cassette = bench.path("million.fcz")
    made = ("--cassette", cassette, "--recordings", count)
    client("million.py", *made, timeout_s=_MAKING_S_MAX)
    case = f"replay of {count:,}"
    opened = Measure(case, "the cassette opened, ms", at_most(100, " ms"))
    found = Measure(case, "by its bytes, mean us", at_most(50, " us"))
    memory = Measure(case, "memory of its own above a cassette of one, MiB", at_most(100, " MiB"))
    plain = ("--timing", "none", "--log-format", "none")
    took = client("lookup.py", "--cassette", cassette, "--requests", CASSETTE_INTERACTIONS)
    opened.add(took["open_ms"])
    found.add(took["raw_mean_us"])
    single = bench.path("single.fcz")
    client("million.py", "--cassette", single, "--recordings", 1)
    with product("--mode", "replay", "--cassette", single, *plain) as bare:
        without = own_mb(bare.pid)
    with product("--mode", "replay", "--cassette", cassette, *plain) as server:
        measures = _compare_json(bench, case, server, CASSETTE_INTERACTIONS)
        memory.add(own_mb(server.pid) - without)
    return [opened, found, memory, *measures]


def lookup(bench: Bench) -> list[Measure]:
    cassette = _recordings(bench)
    found = Measure("lookup", "by its bytes, mean us", at_most(50, " us"))
    meant = Measure("lookup", "by its meaning, mean us", at_most(50, " us"))
    worst = Measure("lookup", "by its bytes, p99 us")
    read = Measure("lookup", "found and decoded, mean us")
    for _ in bench.rounds:
        took = client("lookup.py", "--cassette", cassette, "--requests", CASSETTE_INTERACTIONS)
        found.add(took["raw_mean_us"])
        meant.add(took["canonical_mean_us"])
        worst.add(took["raw_p99_us"])
        read.add(took["read_mean_us"])
    return [found, meant, worst, read]


def limits(bench: Bench) -> list[Measure]:
    added = Measure("limits", "added to a request, CPU us", at_most(15, " us"))
    keyed = Measure("limits", "with an account a key, CPU us")
    keys = int(bench.take(1_000_000, 200_000))
    weight = Measure("limits", f"{keys:,} keys, MiB", at_most(500 * keys / 1e6, " MiB"))
    for _ in bench.rounds:
        took = client("limits.py", "--keys", keys)
        added.add(took["request_us"])
        keyed.add(took["keyed_us"])
        weight.add(took["keys_mib"])
    return [added, keyed, weight]


def usage(bench: Bench) -> list[Measure]:
    exchanges = int(bench.take(1_000_000, 100_000))
    noted = Measure("usage", "counting an answer, us", at_most(15, " us"))
    days = Measure("usage", f"a month of {exchanges:,} by day and group, ms", at_most(200, " ms"))
    hours = Measure("usage", "a week by hour and group, ms", at_most(200, " ms"))
    costs = Measure("usage", "the month's costs by line, ms", at_most(200, " ms"))
    for _ in bench.rounds:
        took = client("usage.py", "--exchanges", exchanges)
        noted.add(took["note_us"])
        days.add(took["query_ms"])
        hours.add(took["hours_ms"])
        costs.add(took["costs_ms"])
    return [noted, days, hours, costs]


#: Rules of every kind of condition, none of which comes true.
_UNMATCHED = (
    "cut:after=20,p=1e-9,model=gpt-*",
    "503:key=nobody*",
    "429:model=none,first=1",
    "latency:header=x-nowhere",
    "stall:phase=never",
)


def faults(bench: Bench) -> list[Measure]:
    """The yardstick is the product itself without rules."""
    added = Measure("faults", "five rules add, us/request", at_most(15, " us"))
    request = Measure("faults", "CPU us/request")
    token = Measure("faults", "CPU us/token where none matches", ratio_to(1.1))
    quick = ("--mode", "synth", "--profile", "none", "--log-format", "none")
    rules = [piece for rule in _UNMATCHED for piece in ("--fault", rule)]
    run = ("--streams", 32, "--requests-per-stream", bench.take(10, 4), "--tokens", 500)
    with product(*quick) as plain, product(*quick, *rules) as ruled:
        for _ in bench.rounds:
            how = ("--distinct", 1, "--seconds", bench.take(2, 1), "--warm-up", 1.5)
            without, with_rules = _load(plain, *how), _load(ruled, *how)
            request.add(with_rules["server_us"], without["server_us"])
            added.add(with_rules["server_us"] - without["server_us"])
            theirs, ours = _streams(plain, *run), _streams(ruled, *run)
            token.add(ours["server_us"], theirs["server_us"])
    return [added, request, token]


def stalls(bench: Bench) -> list[Measure]:
    """One run holds many requests: rounds would only repeat it."""
    alone = Measure("stalls", "longest turn of the loop, one operation, ms", at_most(5, " ms"))
    together = Measure("stalls", "longest turn of the loop, all at once, ms", at_most(5, " ms"))
    longest_ms = client("stalls.py")
    together.add(longest_ms.pop("all at once"))
    alone.add(max(longest_ms.values()))
    return [alone, together]


def store(bench: Bench) -> list[Measure]:
    """Each store by itself; one run makes a million exchanges, rounds would only repeat it."""
    measures = []
    exchanges = int(bench.take(1_000_000, 100_000))
    for name in ("sqlite", "postgresql"):
        took = client("store.py", "--store", name, "--exchanges", exchanges)
        said = {
            "week_by_day_ms": (f"sums of {exchanges:,} exchanges by day, ms", at_most(200, " ms")),
            "week_by_hour_ms": ("the same by hour, ms", at_most(200, " ms")),
            "hour_by_minute_ms": ("an hour of them by minute, ms", at_most(200, " ms")),
            "commit_ms": ("a commit alone, ms", None),
            "inserted_per_s": ("documents inserted by 64 at once/s", None),
            "get_ms": ("a document, ms", None),
            "page_ms": ("a page of 20, ms", None),
            "put_mib_per_s": ("a blob put, MiB/s", None),
            "get_mib_per_s": ("a blob read, MiB/s", None),
        }
        for key, (text, bar) in said.items():
            measure = Measure("store", f"{name}: {text}", bar)
            measure.add(took[key])
            measures.append(measure)
    return measures


def batch(bench: Bench) -> list[Measure]:
    """The yardstick of live chat is the same server without a batch."""
    alone = Measure("batch", "lines/s, alone")
    core = Measure("batch", "lines/s of a core")
    late = Measure("batch", "p99 latency of live chat beside it, ms", ratio_to(1.3))
    wall = Measure("batch", "live requests/s beside it")
    lines = int(bench.take(10_000, 3_000))
    live = ("--seconds", bench.take(4, 2), "--warm-up", 1)
    with product("--mode", "synth", "--profile", "none", "--log-format", "none") as server:
        to = ("batch.py", "--url", server.url)
        for _ in bench.rounds:
            whole = client(*to, "--server-pid", server.pid, "--lines", lines)
            alone.add(whole["per_s"])
            core.add(1e6 / whole["server_us"])
            without = _load(server, *live)
            begun = client(*to, "--lines", 10_000, "--begin")
            beside = _load(server, *live)
            if client(*to, "--look", begun["id"])["status"] != "in_progress":
                raise SystemExit("the batch was over before the live requests were")
            late.add(beside["p99_ms"], without["p99_ms"])
            wall.add(beside["per_s"], without["per_s"])
    return [late, wall, alone, core]


def vectors(bench: Bench) -> list[Measure]:
    chunks = int(bench.take(100_000, 10_000))
    found = Measure("vectors", f"a search of {chunks:,} chunks, p50 ms", at_most(10, " ms"))
    worst = Measure("vectors", "the same, p95 ms")
    first = Measure("vectors", "the first one, which reads the index, s")
    read = Measure("vectors", "made searchable, chunks of 100 tokens/s")
    took = client("vectors.py", "--chunks", chunks, "--searches", int(bench.take(200, 50)))
    found.add(took["p50_ms"])
    worst.add(took["p95_ms"])
    first.add(took["load_s"])
    read.add(took["chunks_per_s"])
    return [found, worst, first, read]


def start(bench: Bench) -> list[Measure]:
    listening = Measure("start", "process to listening, ms", at_most(1000, " ms"))
    answered = Measure("start", "process to the first answer, ms")
    resident = Measure("start", "resident after start, MiB", at_most(120, " MiB"))
    requests = int(bench.take(50_000, 8_000))
    growth = Measure("start", f"growth over {requests:,} requests, MiB", at_most(5, " MiB"))
    options = ("--mode", "synth", "--profile", "none")
    for _ in range(int(bench.take(5, 3))):
        with product(*options) as server:
            listened_at = time.perf_counter()
            _answer(server)
            answered.add((server.start_s + time.perf_counter() - listened_at) * 1e3)
            listening.add(server.start_s * 1e3)
            time.sleep(SETTLED_S)
            resident.add(resident_mb(server.pid))
    everything = ("--distinct", requests, "--seconds", sys.maxsize)
    with product(*options) as server:
        # What the first requests load and fill stays; the question is what every further one adds.
        _load(server, *everything, "--requests", 2_000)
        before = resident_mb(server.pid)
        _load(server, *everything, "--requests", requests)
        growth.add(resident_mb(server.pid) - before)
    return [listening, answered, resident, growth]


CASES: dict[str, Callable[[Bench], list[Measure]]] = {
    "json": synth_json,
    "replay": replay,
    "streams": streams,
    "fleet": fleet,
    "engine": engine,
    "unshaped": unshaped,
    "recording": recording,
    "recording 200 streams": recording_streams,
    "lookup": lookup,
    "million": million,
    "limits": limits,
    "usage": usage,
    "faults": faults,
    "stalls": stalls,
    "store": store,
    "batch": batch,
    "vectors": vectors,
    "workers": workers,
    "start": start,
}

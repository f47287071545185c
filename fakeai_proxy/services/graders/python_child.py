"""Runs a grader's Python in a process of its own, with limits on time, memory, files and network.

The limits keep mistakes in, not attackers out, so a server runs such code only if it is told to.
"""

from __future__ import annotations

import math
import subprocess
import sys
from tempfile import TemporaryDirectory
from typing import Any

import orjson

#: The vendor's limits are 2 minutes and 2 GB; graders are short.
SECONDS_MAX = 10
_MEMORY_BYTES_MAX = 1 << 30
_DETAIL_CHARS_MAX = 1000

_PROGRAM = """
import ctypes, json, sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, ({seconds}, {seconds}))
    resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A user and a network of its own, where the system lets us: then there is nobody to talk to.
    ctypes.CDLL(None).unshare(0x10000000 | 0x40000000)
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
except (ImportError, OSError, AttributeError, ValueError):
    pass
asked = json.load(sys.stdin)
answer = sys.stdout
sys.stdout = sys.stderr
names = {{"__name__": "grader"}}
exec(compile(asked["source"], "grader.py", "exec"), names)
score = float(names["grade"](asked["sample"], asked["item"]))
json.dump({{"score": score}}, answer)
"""


class GraderFailedError(Exception):
    """The code failed; how, as its author sees it."""


def run(source: str, sample: Any, item: Any) -> float:
    """What `grade(sample, item)` gives. Takes up to SECONDS_MAX of real time. Raises
    GraderFailedError."""
    program = _PROGRAM.format(seconds=SECONDS_MAX, memory=_MEMORY_BYTES_MAX)
    asked = orjson.dumps({"source": source, "sample": sample, "item": item})
    with TemporaryDirectory(prefix="grader-") as folder:
        try:
            done = subprocess.run(  # noqa: S603 - what the server's owner allowed
                [sys.executable, "-I", "-S", "-c", program],
                input=asked, capture_output=True, timeout=SECONDS_MAX, cwd=folder, env={},
                check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise GraderFailedError(f"The grader took longer than {SECONDS_MAX} s.") from None
    try:
        score = float(orjson.loads(done.stdout)["score"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        detail = done.stderr.decode("utf-8", "replace").strip()[-_DETAIL_CHARS_MAX:]
        raise GraderFailedError(detail or f"The grader ended with {done.returncode}.") from None
    if not math.isfinite(score):
        raise GraderFailedError("The score is no finite number.")
    return score

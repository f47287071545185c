"""The tables of docs/compatibility.md: what we answer of what vendors' SDKs can ask, and the clients that the
tests drive."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from fakeai_proxy.services import ROOMS
from fakeai_proxy.services.operation import Operation
from tests.operations import SDKS, Known, listed

HERE = Path(__file__).resolve().parent
Table = Callable[..., str]
#: Rooms that speak Anthropic's shapes; all but `messages` speak OpenAI's.
_ANTHROPIC = ("messages", "models")


def _ours(sdk: str) -> list[Operation]:
    rooms = _ANTHROPIC if sdk == "anthropic" else [name for name in ROOMS if name != "messages"]
    return [one for name in rooms for one in ROOMS[name].operations]


def answered(sdk: str) -> set[Known]:
    """What it can ask and we answer in its shapes."""
    ours = _ours(sdk)
    return {known for known in listed(sdk)[1] if _answers(ours, known)}


def _answers(ours: Sequence[Operation], known: Known) -> bool:
    """A parameter of ours takes any segment."""
    return any(
        one.method == known.method
        and re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", one.path), known.path)
        for one in ours
    )


def operations(table: Table) -> str:
    """A row for each part of each vendor's API, and every path that is not answered."""
    parts = []
    for sdk in SDKS:
        version, every = listed(sdk)
        mine = answered(sdk)
        there, here = (Counter(one.group for one in some) for some in (every, mine))
        rows = [
            (f"`/{group}`", str(count), str(here[group]), _state(here[group], count))
            for group, count in sorted(there.items(), key=lambda row: (-here[row[0]], row[0]))
        ]
        total = f"**{sdk} {version}**: {len(mine)} of the {len(every)} operations it can ask"
        missing = [f"`{one.method} {one.path}`" for one in every if one not in mine]
        parts += [
            f"{total}.", "", table(("below", "it asks", "we answer", ""), *rows), "",
            "<details><summary>Not answered</summary>", "", ", ".join(missing), "",
            "</details>", "",
        ]  # fmt: skip
    return "\n".join(parts).rstrip()


def _state(ours: int, all_of_it: int) -> str:
    return "whole" if ours == all_of_it else "in part" if ours else "no"


def beyond(table: Table) -> str:
    """Operations that no SDK above asks for: those of servers and vendors without one."""
    known = [one for sdk in SDKS for one in listed(sdk)[1]]
    rows = []
    for name, room in ROOMS.items():
        mine = dict.fromkeys(
            f"`{one.method} {one.path}`"
            for one in room.operations
            if not any(_answers([one], other) for other in known)
        )
        if mine:
            rows.append((name, " ".join(mine)))
    return table(("room", "operations"), *rows)


class Client(NamedTuple):
    name: str
    asked: str
    test: str


_NODE, _FRAMEWORKS = "tests/clients/test_node.py", "tests/clients/test_frameworks.py"
_PYTHON = "tests/clients/test_python.py"
_CLIENTS = (
    Client("openai", "every room: blocking, asynchronous, streams", "tests/services/test_chat.py"),
    Client("anthropic", "messages, tools, batches, models", "tests/services/test_messages.py"),
    Client("websockets", "realtime sessions", "tests/services/test_realtime.py"),
    Client("requests", "chat and streams through HTTPS_PROXY", _PYTHON),
    Client("httpx", "the same", _PYTHON),
    Client("aiohttp", "the same, 20 at a time", _PYTHON),
    Client("curl", "the same", "tests/clients/test_curl.py"),
    Client("vcrpy", "replays what we export, and we what it recorded", "tests/cassette/test_exporting.py"),
    Client("node", "its fetch through HTTPS_PROXY", _NODE),
    Client("npm openai", "chat, streams, zod schemas, realtime", _NODE),
    Client("npm @anthropic-ai/sdk", "messages", _NODE),
    Client("npm undici", "its ProxyAgent, for https and plain http", _NODE),
    Client("npm ai", "with @ai-sdk/openai: text, streams, objects, tool loops, media", _FRAMEWORKS),
    Client("npm @copilotkit/aimock", "is recorded as an upstream", "tests/clients/test_live.py"),
    Client("langchain-openai", "chat, tools, structured output, embeddings", _FRAMEWORKS),
    Client("openai-agents", "a loop with tools", _FRAMEWORKS),
    Client("pydantic-ai-slim", "an agent with tools", _FRAMEWORKS),
    Client("litellm", "OpenAI and Anthropic behind one call", _FRAMEWORKS),
    Client("instructor", "models as answers", _FRAMEWORKS),
    Client("mitmproxy", "our addon within it", "tests/capture/test_mitmproxy.py"),
    Client("aiperf", "a load test, where it is installed", "tests/outside/test_aiperf.py"),
    Client("guidellm", "a load test, where it is installed", "tests/test_examples.py"),
)  # fmt: skip


def clients(table: Table) -> str:
    """Versions are those that the tests' lists pin, or the least that they take."""
    versions = {**_suite(), **_pinned(), **_npm(), "node": _least_node(), "curl": "the system's"}
    for sdk in SDKS:
        versions[sdk] = f"{versions[sdk]}; last {listed(sdk)[0]}"
    rows = [
        (one.name, versions.get(one.name, "what is there"), one.asked, f"`{one.test}`")
        for one in _CLIENTS
    ]
    return table(("client", "version", "what it does", "for example"), *rows)


def _suite() -> dict[str, str]:
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text("utf-8"))["project"]
    lines = "\n".join(project["dependencies"] + project["optional-dependencies"]["test"])
    return {
        name: f"from {least}" for name, least in re.findall(r"^([\w-]+)>=([\d.]+)", lines, re.M)
    }


def _pinned() -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for environment in ("agents", "gateways", "mitmproxy"):
        listing = HERE / "clients/environments" / environment / "requirements.txt"
        for name, version in re.findall(r"^([\w.-]+)==([\w.]+)", listing.read_text("utf-8"), re.M):
            found.setdefault(name, []).append(version)
    suite = _suite()
    return {name: " or ".join(some) for name, some in found.items() if name not in suite}


def _npm() -> dict[str, str]:
    lock = json.loads((HERE / "clients/node/package-lock.json").read_text("utf-8"))
    return {
        path.replace("node_modules/", "npm ", 1): one["version"]
        for path, one in lock["packages"].items()
        if path
    }


def _least_node() -> str:
    from tests.clients.conftest import NODE_LEAST

    return f"from {'.'.join(map(str, NODE_LEAST))}"

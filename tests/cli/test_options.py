"""Every setting, given as a flag, in the environment and in a file, does what it says.

`EFFECTS` has a row for each field of `Config`: a value, and what is seen in the started program.
"""

from __future__ import annotations

import base64
import hmac
import http.client
import json
import os
import re
import socket
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_origin

import pytest

from fakeai_proxy.cli.main import root
from fakeai_proxy.cli.options import given
from fakeai_proxy.config import Config
from fakeai_proxy.services import ROOMS
from tests.cli.conftest import ROOT, Program, Run, Start
from tests.cli.upstreams import POSTED, counting, silent
from tests.doubles.authority import Authority
from tests.servers import postgresql, redis

PROFILE = """
description = "One value everywhere"
source = "A test's own invention"
illustrative = true
[[latency]]
model = "*"
ttft_p50_ms = {ttft_ms}
ttft_sigma = 0.0
itl_p50_ms = 0.0
"""
LIMITS = """
description = "1,000 tokens a day"
source = "A test's own invention"
[[limit]]
tpd = 1000
"""
MODELS = """
[[model]]
id = "house-blend"
like = "gpt-4o"
context_tokens = 12345
output_tokens_max = 345
price.output = 7
source = "A test's own invention"
"""
#: A first token that no test waits for.
NEVER_MS = 600_000.0

CHAT: dict[str, object] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Tell me about lighthouses"}],
}


def connect(program: Program, authority: str, *headers: str) -> str:
    """The status line of a CONNECT."""
    host, _, port = program.url.rpartition("//")[2].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as sock:
        lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}", *headers, "", ""]
        sock.sendall("\r\n".join(lines).encode())
        return sock.makefile("rb").readline().decode().strip()


#: Notes every fsync of the program.
SITE = """
import os
real = os.fsync
def fsync(descriptor):
    real(descriptor)
    with open({log!r}, "a") as log:
        log.write(str(os.getpid()) + "\\n")
os.fsync = fsync
"""


def _mode(program: Program, start: Start) -> None:
    assert [program.ask("/any")[1]["count"] for _ in range(2)] == [1, 2]


def _upstream(program: Program, start: Start) -> None:
    assert program.ask("/some/path?q=1")[1]["path"] == "/some/path?q=1"


def _upstream_proxy(program: Program, start: Start) -> None:
    assert program.ask("/far")[1]["path"] == "http://far.invalid/far"


def _max_live_usd(program: Program, start: Start) -> None:
    status, said = program.ask("/any")
    assert (status, said["error"]["code"]) == (402, "live_budget_spent")


def _upstream_timeout(program: Program, start: Start) -> None:
    assert program.ask("/any")[0] == 504


def _cassette(program: Program, start: Start) -> None:
    recorded = program.ask("/any")[1]
    program.stop()
    again = start("--mode", "replay", "--cassette", program.ready["cassette"][0])
    assert again.ask("/any") == (200, recorded)


def _asked(call: str, run: str, said: str = "hi") -> dict[str, object]:
    """What LENIENT has an answer to, but for these."""
    turns = [
        {"role": "user", "content": said},
        {"role": "tool", "tool_call_id": call, "content": "1"},
    ]
    return {"model": "m", "messages": turns, "metadata": {"run": run}}


def _lenient(*near: dict[str, object], far: dict[str, object]) -> Callable[[Program, Start], None]:
    """The recorded request and those near it are answered, one that is too far is a miss."""

    def check(program: Program, start: Start) -> None:
        for one in (_asked("call_000000a1", "first"), *near):
            assert program.ask("/v1/chat/completions", one) == (200, {"recorded": 1})
        assert program.ask("/v1/chat/completions", far)[0] == 404

    return check


def _explain_hits(program: Program, start: Start) -> None:
    def explained(one: Program) -> str | None:
        connection = http.client.HTTPConnection(one.url.rpartition("//")[2], timeout=30)
        body = json.dumps(_asked("call_000000a1", "first"))
        connection.request(
            "POST", "/v1/chat/completions", body, {"content-type": "application/json"}
        )
        reply = connection.getresponse()
        reply.read()
        connection.close()
        return reply.getheader("x-fakeai-cassette")

    assert explained(program) is None
    other = start("--mode", "replay", "--cassette", program.ready["cassette"][0])
    assert str(explained(other)).endswith("match=exact")


def _repeat(program: Program, start: Start) -> None:
    recorded = _asked("call_000000a1", "first")
    assert [program.ask("/v1/chat/completions", recorded)[0] for _ in range(2)] == [200, 404]
    other = {"x-fakeai-session": "other"}
    assert program.ask("/v1/chat/completions", recorded, **other)[0] == 200
    assert program.ask("/s/third/v1/chat/completions", recorded)[0] == 200
    assert program.ask("/s/third/v1/chat/completions", recorded)[0] == 404


def _on_miss(program: Program, start: Start) -> None:
    assert program.ask("/v1/models")[1]["object"] == "list"


def _match_credential(program: Program, start: Start) -> None:
    recorded = program.ask("/any", key="first-key-of-two")[1]["count"]
    assert program.ask("/any", key="second-key-of-two")[1]["count"] == recorded + 1
    for name, count in (("first", recorded), ("second", recorded + 1)):
        assert program.ask("/any", key=f"{name}-key-of-two")[1]["count"] == count
    replay = ("--mode", "replay", "--cassette", program.ready["cassette"][0])
    program.stop()
    strict, lax = start(*replay, "--match-credential"), start(*replay)
    status, said = strict.ask("/any", key="third-key-of-two")
    assert (status, lax.ask("/any", key="third-key-of-two")[0]) == (404, 200)
    assert "recorded with another credential" in said["error"]["message"]
    assert strict.ask("/any", key="second-key-of-two")[1]["count"] == recorded + 1


def _max_age(program: Program, start: Start) -> None:
    status, said = program.ask("/v1/chat/completions", _asked("call_000000a1", "first"))
    assert status == 404
    assert "old, more than --max-age allows" in said["error"]["message"]


def _rerecord(program: Program, start: Start) -> None:
    POSTED.queue.clear()
    body = json.dumps(_asked("call_000000a1", "first"))
    host = program.url.rpartition("//")[2]
    statuses = []
    for _ in range(3):
        connection = http.client.HTTPConnection(host, timeout=30)
        connection.request(
            "POST", "/v1/chat/completions", body, {"content-type": "application/json"}
        )
        statuses.append(connection.getresponse().status)
        connection.close()
    # What is asked again has the answer of now.
    assert (statuses, POSTED.qsize()) == ([204, 204, 204], 1)


def _verdict(program: Program, start: Start) -> None:
    program.ask("/v1/chat/completions", _asked("call_000000a1", "first"))
    assert program.stop() == 0
    told = json.loads("".join(program.errors).splitlines()[-2])
    assert told["counts"]["HIT"] == 1


def _strict(program: Program, start: Start) -> None:
    assert program.ask("/v1/chat/completions", _asked("call_000000a1", "first"))[0] == 200
    assert program.ask("/v1/chat/completions", _asked("call_000000a1", "other"))[0] == 404
    assert program.stop() == 1
    assert "--strict: there were MISS" in "".join(program.errors)


def _replay_interrupted(program: Program, start: Start) -> None:
    host = program.url.rpartition("//")[2]

    def partial() -> bytes:
        connection = http.client.HTTPConnection(host, timeout=30)
        connection.request("GET", "/cut")
        with pytest.raises(http.client.IncompleteRead) as caught:
            connection.getresponse().read()
        connection.close()
        return bytes(caught.value.partial)

    assert partial() == partial()


def _durability(program: Program, start: Start) -> None:
    log = Path(program.ready["cassette"][0]).with_name("fsyncs")

    def forced(one: Program) -> int:
        lines = log.read_text().split() if log.exists() else []
        return lines.count(str(one.process.pid))

    before = forced(program)
    for _ in range(3):
        program.ask("/any")
    assert forced(program) - before >= 3
    other = start("--durability", "none", "--cassette", str(log.with_name("other.fcz")))
    before = forced(other)
    for _ in range(3):
        other.ask("/any")
    other.stop()
    assert forced(other) == before


def _seal(program: Program, start: Start) -> None:
    folder = Path(program.ready["cassette"][0])
    program.ask("/any")
    program.stop()
    assert [file.name[:4] for file in folder.glob("*.zst")] == ["live"]
    upstream = program.ready["upstream"]
    other = start("--mode", "record", "--upstream", upstream, "--cassette", str(folder))
    other.ask("/any")
    other.stop()
    assert [file.name[:4] for file in folder.glob("*.zst")] == ["seg-"]


def _scrubbed(path: str, text: str) -> Callable[[Program, Start], None]:
    """That nothing of it is kept of an exchange that has it."""

    def check(program: Program, start: Start) -> None:
        file = Path(program.ready["cassette"][0])
        program.ask(path)
        program.stop()
        assert "/any" in file.read_text()
        assert text not in file.read_text()
        upstream = program.ready["upstream"]
        plain = start(
            "--mode", "record", "--upstream", upstream, "--cassette", str(file) + "l.jsonl"
        )
        plain.ask(path)
        assert text in Path(plain.ready["cassette"][0]).read_text()

    return check


def _profile(program: Program, start: Start) -> None:
    program.ask("/v1/chat/completions", CHAT)
    assert program.event("exchange")["ttft_ms"] >= 300


def _answers(program: Program, start: Start) -> None:
    assert program.ask("/v1/chat/completions", CHAT)[0] == 200


def _seed(program: Program, start: Start) -> None:
    def said(one: Program) -> str:
        return str(one.ask("/v1/chat/completions", CHAT)[1]["choices"][0]["message"]["content"])

    again, other = start("--seed", "7"), start("--seed", "8")
    assert said(program) == said(again) != said(other)


def _data(program: Program, start: Start) -> None:
    root = Path(program.ready["ca"])
    assert root.parts[-3:] == ("kept", "ca", "root.pem")
    assert root.is_file()


def _store(program: Program, start: Start) -> None:
    kept = Path(program.ready["ca"]).parent.parent
    assert program.ask("/v1/containers", {"name": "mine"})[0] == 200
    assert not (kept / "state.db").exists()
    program.stop()
    again = start("--data", str(kept))
    assert again.ask("/v1/containers")[1]["data"] == []
    assert again.ask("/v1/containers", {"name": "mine"})[0] == 200
    again.stop()
    later = start("--data", str(kept), "--store", "sqlite")
    assert [one["name"] for one in later.ask("/v1/containers")[1]["data"]] == ["mine"]
    if postgresql.is_installed():
        address = f"{postgresql.shared()}&search_path=options_{os.getpid()}_{kept.parent.name}"
        one, other = (start("--data", str(kept), "--store", address) for _ in range(2))
        assert other.ask("/v1/containers")[1]["data"] == []
        assert one.ask("/v1/containers", {"name": "ours"})[0] == 200
        assert [one["name"] for one in other.ask("/v1/containers")[1]["data"]] == ["ours"]


def _listen(program: Program, start: Start) -> None:
    assert program.url.startswith("http://[::1]:")
    assert program.ask("/v1/models")[0] == 200


def _clock(program: Program, start: Start) -> None:
    told = program.ask("/_fakeai/v1/clock/advance", {"seconds": 86_400})[1]
    assert (told["clock"], told["now_s"]) == ("virtual", 86_400.0)


def _keep_calls(program: Program, start: Start) -> None:
    for _ in range(2):
        assert program.ask("/v1/chat/completions", CHAT)[0] == 200
    told = program.ask("/_fakeai/v1/verify", {"contains": "lighthouses"})[1]
    assert (told["ok"], told["count"]) == (True, 1)


def _drain_timeout(program: Program, start: Start) -> None:
    with unfinished_request(program):
        assert program.stop() == 0
    assert "have 0 s" in "".join(program.errors)


def _log_format(program: Program, start: Start) -> None:
    first = program.line() or ""
    assert first.startswith("fakeai-proxy ")
    program.ready = {"url": first.split()[-1]}
    program.ask("/v1/models")
    program.stop()
    lines = []
    while (line := program.line()) is not None:
        lines.append(line)
    assert "GET /v1/models" in lines[-1]


def _intercept(program: Program, start: Start) -> None:
    assert connect(program, "llm.example:443").split()[1] == "200"
    assert connect(program, "also.example:443").split()[1] == "200"
    assert connect(program, "other.example:443").split()[1] == "403"


def _allow_host(program: Program, start: Start) -> None:
    # 192.0.2.0/24 belongs to nobody; what is not allowed is refused before it is dialled.
    assert connect(program, "other.example:443").split()[1] == "403"
    assert connect(program, "nowhere.invalid:443").split()[1] in ("502", "504")


def _proxy_auth(program: Program, start: Start) -> None:
    assert connect(program, "api.openai.com:443").split()[1] == "407"
    token = base64.b64encode(b"ada:love lace").decode()
    opened = connect(program, "api.openai.com:443", f"Proxy-Authorization: Basic {token}")
    assert opened.split()[1] == "200"


def _max_connections(program: Program, start: Start) -> None:
    host, _, port = program.url.rpartition("//")[2].rpartition(":")
    with socket.create_connection((host, int(port))), socket.create_connection((host, int(port))):
        program.said("1 connections are open")


def _tunnel_idle_s(program: Program, start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, _, port = program.url.rpartition("//")[2].rpartition(":")
        target = f"127.0.0.1:{server.getsockname()[1]}"
        other = start("--tunnel-idle-s", "0.05", "--allow-host", target)
        host, _, port = other.url.rpartition("//")[2].rpartition(":")
        with socket.create_connection((host, int(port)), timeout=30) as sock:
            sock.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
            answer = sock.makefile("rb").read()  # to the end, which only idling brings
        assert answer.split()[1] == b"200"


def _model(program: Program, start: Start) -> None:
    assert program.ask("/v1/models/mine")[0] == 200
    assert program.ask("/v1/models/yours")[0] == 200
    assert program.ask("/v1/models/of-nobody")[0] == 404


def _models(program: Program, start: Start) -> None:
    status, card = program.ask("/v1/models/house-blend/capabilities")
    assert (status, card["context_window"]) == (200, 12_345)
    assert card["pricing"]["output_per_million"] == 7
    body = {**CHAT, "model": "house-blend"}
    assert program.ask("/v1/chat/completions", body)[0] == 200


def _azure_content_filter(program: Program, start: Start) -> None:
    path = "/openai/deployments/gpt-4o-mini/chat/completions?api-version=2024-10-21"
    asked = [{"role": "user", "content": "I want to kill my neighbour with a knife."}]
    status, answer = program.ask(path, {"messages": asked})
    assert status == 200
    found = answer["prompt_filter_results"][0]["content_filter_results"]
    assert found["violence"] == {"filtered": False, "severity": "high"}


def _any_model(program: Program, start: Start) -> None:
    assert program.ask("/v1/models/of-nobody")[0] == 200


def _responder(program: Program, start: Start) -> None:
    _, answer = program.ask("/v1/chat/completions", CHAT)
    assert answer["choices"][0]["message"]["content"] == "what was put ready"


def _strict_parameters(program: Program, start: Start) -> None:
    assert program.ask("/v1/chat/completions", {**CHAT, "top_k": 3})[0] == 400


def _told_of_failure(program: Program) -> tuple[dict[str, str], bytes]:
    """What a webhook says of a job whose file has one line too few."""
    POSTED.queue.clear()  # what others were told
    boundary = "b0undary"
    example = json.dumps({"messages": [{"role": "assistant", "content": "a"}]})
    form = (
        f'--{boundary}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n'
        f'--{boundary}\r\ncontent-disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
        f"{example}\r\n--{boundary}--\r\n"
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    headers = {
        "content-type": f"multipart/form-data; boundary={boundary}",
        "authorization": "Bearer k",
    }
    request = urllib.request.Request(program.url + "/v1/files", form.encode(), headers)
    with opener.open(request, timeout=30) as reply:
        file_id = json.loads(reply.read())["id"]
    body = {"model": "gpt-4o-mini", "training_file": file_id}
    status, job = program.ask("/v1/fine_tuning/jobs", body)
    assert status == 200
    sent_headers, sent = POSTED.get(timeout=30)
    event = json.loads(sent)
    assert (event["type"], event["data"]) == ("fine_tuning.job.failed", {"id": job["id"]})
    return {name.lower(): value for name, value in sent_headers.items()}, sent


def _webhook(program: Program, start: Start) -> None:
    headers, _ = _told_of_failure(program)
    assert "webhook-signature" not in headers


def _webhook_secret(program: Program, start: Start) -> None:
    headers, sent = _told_of_failure(program)
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + sent
    signature = base64.b64encode(hmac.new(b"secret", signed, "sha256").digest()).decode()
    assert headers["webhook-signature"] == f"v1,{signature}"


def _python_graders(program: Program, start: Start) -> None:
    grader = {"type": "python", "name": "a", "source": "def grade(sample, item): return 0.5"}
    body = {"grader": grader, "model_sample": "x"}
    assert program.ask("/v1/fine_tuning/alpha/graders/run", body)[1]["reward"] == 0.5
    other = start("--profile", "none")
    assert other.ask("/v1/fine_tuning/alpha/graders/run", body)[1]["reward"] == 0


def _embedder(program: Program, start: Start) -> None:
    def vector(one: Program) -> object:
        body = {"model": "text-embedding-3-small", "input": "a bicycle", "dimensions": 8}
        return one.ask("/v1/embeddings", body)[1]["data"][0]["embedding"]

    other = start("--embedder", "semantic", "--profile", "none")
    assert program.ask("/health")[1]["embedder"] == "hashed"
    assert other.ask("/health")[1]["embedder"] == "semantic"
    assert vector(program) != vector(other)


def _dialect(program: Program, start: Start) -> None:
    status, body = program.ask("/v1/models/of-nobody")
    assert (status, body) == (404, {"message": "Model not found", "type": "Not Found", "code": 404})


def _admin_token(program: Program, start: Start) -> None:
    assert program.ask("/_fakeai/v1/status")[0] == 401
    assert program.ask("/_fakeai/v1/status", **{"x-fakeai-token": "open sesame"})[0] == 200


def _auth(program: Program, start: Start) -> None:
    assert program.ask("/v1/models")[0] == 401


def _admin_key(program: Program, start: Start) -> None:
    path, key = "/v1/organization/projects", {"authorization": "Bearer the first of all keys"}
    assert program.ask(path)[0] == 401
    assert program.ask(path, **key)[0] == 200


def _journal_size(program: Program, start: Start) -> None:
    for _ in range(3):
        program.ask("/v1/models")
    page = program.ask("/_fakeai/v1/journal")[1]
    assert (len(page["data"]), page["finished_total"]) == (2, 3)


def _journal_file(program: Program, start: Start) -> None:
    program.ask("/v1/models")
    program.stop()
    kept = Path(program.ready["ca"]).parent.parent
    [line] = (kept / "journal.jsonl").read_text().splitlines()
    assert json.loads(line)["path"] == "/v1/models"


def _otel(program: Program, start: Start) -> None:
    program.ask("/v1/chat/completions", CHAT)
    program.stop()
    program.said("OpenTelemetry: ")  # nobody listens at that port, which is told once


def _journal_bodies(program: Program, start: Start) -> None:
    program.ask("/v1/models")
    entry = program.ask("/_fakeai/v1/journal")[1]["data"][0]
    told = program.ask(f"/_fakeai/v1/journal/{entry['id']}")[1]
    assert (told["request_body"], len(told["response_body"])) == ("", 20)


def _page(url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=30) as reply:
        return str(reply.read().decode())


def _dcgm_listen(program: Program, start: Start) -> None:
    page = _page(program.ready["dcgm"]["gpu-node-0"] + "/metrics")
    assert "DCGM_FI_DEV_GPU_TEMP{" in page


def _dcgm_fields(program: Program, start: Start) -> None:
    page = _page(program.url + "/dcgm/metrics")
    assert "DCGM_FI_DEV_GPU_TEMP{" in page
    assert "DCGM_FI_PROF_SM_OCCUPANCY" not in page


def _dcgm_says(text: str) -> Callable[[Program, Start], None]:
    def check(program: Program, start: Start) -> None:
        assert text in _page(program.url + "/dcgm/metrics")

    return check


def _dcgm_interval_s(program: Program, start: Start) -> None:
    before = _page(program.url + "/dcgm/metrics")
    program.ask("/v1/chat/completions", CHAT)  # a second and more of simulated time
    assert _page(program.url + "/dcgm/metrics") == before


def _ask_for_tokens(program: Program) -> dict[str, object]:
    """The error, if there is one, of a request that may take nearly all tokens of the limits."""
    reply = program.ask("/v1/chat/completions", {**CHAT, "max_tokens": 900, "stop": ["a", "e"]})[1]
    return dict(reply.get("error", {}))


def _limits(program: Program, start: Start) -> None:
    assert not _ask_for_tokens(program)
    assert "Requested 907" in str(_ask_for_tokens(program)["message"])


def _limit_charge(program: Program, start: Start) -> None:
    assert not _ask_for_tokens(program)
    assert not _ask_for_tokens(program)


def _fault(program: Program, start: Start) -> None:
    asked = [program.ask("/v1/models", key=key)[0] for key in ("any", "any", "other", "other")]
    assert asked == [503, 200, 503, 200]
    assert program.ask("/v1/models", key="unlucky")[0] == 418


def _faults(program: Program, start: Start) -> None:
    assert program.ask("/v1/models")[0] == 418
    assert program.event("exchange")["faults"] == ["status:code=418"]


def _scenario(program: Program, start: Start) -> None:
    assert program.ask("/v1/models")[0] == 418
    assert program.event("exchange")["phase"] == "outage"
    program.said("scenario outage: outage (1 of 1): status:code=418.")


def _fault_header(program: Program, start: Start) -> None:
    assert program.ask("/v1/models", **{"x-fakeai-fault": "503"})[0] == 403


def _fault_mark(program: Program, start: Start) -> None:
    request = urllib.request.Request(
        program.url + "/v1/models",
        headers={"x-fakeai-fault": "no_usage", "authorization": "Bearer any"},
    )
    for one, marked in ((program, False), (start(), True)):
        request.full_url = one.url + "/v1/models"
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as reply:
            assert ("x-fakeai-fault" in reply.headers) is marked


def unfinished_request(program: Program) -> socket.socket:
    """A connection with a request under way, whose body has yet to come."""
    host, _, port = program.url.rpartition("//")[2].rpartition(":")
    sock = socket.create_connection((host.strip("[]"), int(port)), timeout=30)
    sock.sendall(
        b"GET /v1/models HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer any\r\n"
        b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    )
    assert sock.recv(100).startswith(b"HTTP/1.1 100")
    return sock


#: As a person would write it: the keys are made when it is read.
LENIENT = json.dumps({
    "kind": "close", "id": "1",
    "request": {"method": "POST", "target": "/v1/chat/completions",
                "headers": [["content-type", "application/json"]],
                "body": {"json": _asked("call_000000a1", "first")}},
    "response": {"status": 200, "headers": [["content-type", "application/json"]],
                 "body": {"json": {"recorded": 1}}},
}) + "\n"  # fmt: skip


def _workers(program: Program, start: Start) -> None:
    assert program.ask("/_fakeai/health")[1]["workers"] == 2


#: Where a Redis is that was started for a test.
REDIS: list[str] = []


def _redis(program: Program, start: Start) -> None:
    assert REDIS[-1] not in json.dumps(program.ready)
    other = start("--redis", REDIS[-1], "--profile", "none")
    program.ask("/_fakeai/v1/faults", {"rule": "418"})
    while other.ask("/v1/chat/completions", CHAT)[0] != 418:
        pass


@dataclass(frozen=True)
class Effect:
    value: str
    check: Callable[[Program, Start], None]
    #: Other settings, so that the effect can be seen.
    around: dict[str, str] = field(default_factory=dict)
    needs_room: str = "models"


_FLEET = {"profile": "1xh100-8b"}
_TO_A_FILE = {"mode": "record", "upstream": "UPSTREAM", "cassette": "TMP/scrubbed.jsonl"}
_LENIENT = {"mode": "replay", "cassette": "TMP/lenient.jsonl"}
#: TMP stands for a folder of the test's own, which holds profiles of 300 ms and of forever,
#: and limits;
#: UPSTREAM, TLS and SILENT for upstreams.
EFFECTS: dict[str, Effect] = {
    "mode": Effect("pass", _mode, {"upstream": "UPSTREAM"}),
    "upstream": Effect("UPSTREAM", _upstream, {"mode": "pass"}),
    "upstream_proxy": Effect(
        "UPSTREAM", _upstream_proxy, {"mode": "pass", "upstream": "http://far.invalid"}
    ),
    "max_live_usd": Effect("0", _max_live_usd, {"mode": "pass", "upstream": "UPSTREAM"}),
    "upstream_ca": Effect("TMP/test-authority.pem", _upstream, {"mode": "pass", "upstream": "TLS"}),
    "upstream_connect_timeout": Effect(
        "0.2", _upstream_timeout, {"mode": "pass", "upstream": "SILENT_TLS"}
    ),
    "upstream_read_timeout": Effect(
        "0.2", _upstream_timeout, {"mode": "pass", "upstream": "SILENT"}
    ),
    "cassette": Effect("TMP/mine.jsonl", _cassette, {"mode": "record", "upstream": "UPSTREAM"}),
    "on_miss": Effect("synth", _on_miss, {"mode": "replay", "cassette": "TMP/empty.jsonl"}),
    "match": Effect(
        "agent",
        _lenient(_asked("call_999999z9", "first"), far=_asked("call_999999z9", "second")),
        _LENIENT,
    ),
    "match_ignore": Effect(
        "$.metadata.run",
        _lenient(_asked("call_000000a1", "second"), far=_asked("call_999999z9", "second")),
        _LENIENT,
    ),
    "match_pattern": Effect(
        "h.",
        _lenient(_asked("call_000000a1", "first", "ho"), far=_asked("call_000000a1", "second")),
        _LENIENT,
    ),
    "repeat": Effect("error", _repeat, _LENIENT),
    "explain_hits": Effect("false", _explain_hits, _LENIENT),
    "replay_interrupted": Effect(
        "true",
        _replay_interrupted,
        {"mode": "auto", "upstream": "UPSTREAM", "cassette": "TMP/cut.fcz"},
    ),
    "match_credential": Effect(
        "true",
        _match_credential,
        {"mode": "auto", "upstream": "UPSTREAM", "cassette": "TMP/keys.jsonl"},
    ),
    "max_age": Effect("7d", _max_age, {"mode": "replay", "cassette": "TMP/old.jsonl"}),
    "rerecord": Effect(
        "1", _rerecord, {"mode": "auto", "upstream": "UPSTREAM", "cassette": "TMP/theirs.jsonl"}
    ),
    "verdict": Effect("json", _verdict, _LENIENT),
    "strict": Effect("miss,live", _strict, _LENIENT),
    "durability": Effect(
        "each", _durability, {"mode": "record", "upstream": "UPSTREAM", "cassette": "TMP/a.fcz"}
    ),
    "seal": Effect(
        "never", _seal, {"mode": "record", "upstream": "UPSTREAM", "cassette": "TMP/a.fcz"}
    ),
    "scrub_pattern": Effect("zebra-[0-9]+", _scrubbed("/any/zebra-77", "zebra-77"), _TO_A_FILE),
    "scrub_header": Effect("date,server", _scrubbed("/any", "BaseHTTP"), _TO_A_FILE),
    "scrub_pii": Effect("true", _scrubbed("/any?who=jane@example.com", "jane@"), _TO_A_FILE),
    "profile": Effect("TMP/slow.toml", _profile, needs_room="chat"),
    "seed": Effect("7", _seed, {"profile": "none"}, needs_room="chat"),
    "fault": Effect("418:key=unlucky,503:first=1,per=key", _fault),
    "faults": Effect("TMP/faults.toml", _faults),
    "fault_header": Effect("off", _fault_header),
    "fault_mark": Effect("false", _fault_mark),
    "data": Effect("TMP/kept", _data),
    "workers": Effect("2", _workers, {"profile": "none"}),
    "redis": Effect("REDIS", _redis, {"profile": "none"}, "chat"),
    "store": Effect("memory", _store, {"data": "TMP/kept"}),
    "dcgm_listen": Effect("127.0.0.1:0", _dcgm_listen, _FLEET),
    "dcgm_fields": Effect("default", _dcgm_fields, _FLEET),
    "dcgm_hostname_label": Effect("hostname", _dcgm_says('hostname="gpu-node-0"'), _FLEET),
    "dcgm_driver_version": Effect("1.2.3", _dcgm_says('VERSION="1.2.3"'), _FLEET),
    "dcgm_interval_s": Effect("3600", _dcgm_interval_s, {**_FLEET, "speed": "100"}),
    "clock": Effect("virtual", _clock, {"profile": "none"}),
    "keep_calls": Effect("1", _keep_calls, {"profile": "none"}, "chat"),
    "drain_timeout": Effect("0", _drain_timeout),
    "listen": Effect("[::1]:0", _listen),
    "max_connections": Effect("1", _max_connections),
    "tunnel_idle_s": Effect("0.05", _tunnel_idle_s),
    "intercept": Effect("llm.example,also.example", _intercept),
    "allow_host": Effect("nowhere.invalid,elsewhere.invalid", _allow_host),
    "proxy_auth": Effect("ada:love lace", _proxy_auth),
    "timing": Effect("none", _answers, {"profile": "TMP/never.toml"}, "chat"),
    "speed": Effect("1e12", _answers, {"profile": "TMP/never.toml"}, "chat"),
    "model": Effect("mine,yours", _model),
    "azure_content_filter": Effect("off", _azure_content_filter, {"profile": "none"}, "chat"),
    "models": Effect("TMP/models.toml", _models, {"profile": "none"}),
    "dialect": Effect("dynamo", _dialect),
    "any_model": Effect("true", _any_model),
    "webhook": Effect("UPSTREAM", _webhook, {"profile": "none"}, "fine_tuning"),
    "webhook_secret": Effect(
        "whsec_c2VjcmV0", _webhook_secret, {"profile": "none", "webhook": "UPSTREAM"}, "fine_tuning"
    ),
    "python_graders": Effect("true", _python_graders, {"profile": "none"}, "fine_tuning"),
    "embedder": Effect("hashed", _embedder, {"profile": "none"}, "embeddings"),
    "responder": Effect("TMP/answers.toml", _responder, {"profile": "none"}, "chat"),
    "strict_parameters": Effect("true", _strict_parameters, {"profile": "none"}, "chat"),
    "auth": Effect("required", _auth),
    "admin_key": Effect("the first of all keys", _admin_key, {"auth": "required"}),
    "admin_token": Effect("open sesame", _admin_token),
    "journal_size": Effect("2", _journal_size),
    "journal_file": Effect("TMP/kept/journal.jsonl", _journal_file, {"data": "TMP/kept"}),
    "journal_bodies": Effect("20", _journal_bodies),
    "otel": Effect("http://127.0.0.1:9", _otel, needs_room="chat"),
    "scenario": Effect("TMP/outage.toml", _scenario),
    "limits": Effect("TMP/tokens.toml", _limits, {"profile": "none"}, "chat"),
    "limit_charge": Effect(
        "input", _limit_charge, {"profile": "none", "limits": "TMP/tokens.toml"}, "chat"
    ),
    "limit_true_up": Effect(
        "on", _limit_charge, {"profile": "none", "limits": "TMP/tokens.toml"}, "chat"
    ),
    "log_format": Effect("human", _log_format),
}


def _flags(name: str, value: str) -> list[str]:
    flag = "--" + name.replace("_", "-")
    if Config.model_fields[name].annotation is bool:
        return [flag if value == "true" else "--no-" + flag[2:]]
    return [flag, value]


def _typed(name: str, value: str) -> dict[str, object]:
    """What the command line's parser makes of the flag."""
    context = root.make_context("fakeai-proxy", _flags(name, value), resilient_parsing=True)
    return given(context)


def _toml(name: str, value: str) -> str:
    kind = Config.model_fields[name].annotation
    if get_origin(kind) is tuple:
        return f"{name} = {json.dumps(value.split(','))}\n"
    return f"{name} = {value if kind in (bool, int, float) else json.dumps(value)}\n"


def test_every_setting_has_its_row() -> None:
    assert set(EFFECTS) == set(Config.model_fields)


@pytest.fixture
def fill_in(folder: Path) -> Iterator[Callable[[str], str]]:
    """Puts real places where a value has a name for them; starts an upstream when it is named."""
    with ExitStack() as stack:

        def replace(value: str) -> str:
            if value == "UPSTREAM":
                url = stack.enter_context(counting())
                # What was recorded of it, long ago.
                old = {**json.loads(LENIENT), "at": 1.0, "upstream": url}
                (folder / "theirs.jsonl").write_text(json.dumps(old) + "\n")
                return url
            if value == "TLS":
                authority = Authority(folder)
                return stack.enter_context(counting(authority.server("127.0.0.1")))
            if value == "REDIS":
                if redis.binary() is None:
                    warnings.warn(redis.MISSING, stacklevel=1)
                    pytest.skip(redis.MISSING)
                REDIS.append(stack.enter_context(redis.running()).url)
                return REDIS[-1]
            if value.startswith("SILENT"):
                url = stack.enter_context(silent())
                return url.replace("http:", "https:") if value.endswith("TLS") else url
            return value.replace("TMP", str(folder))

        yield replace


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITE.format(log=str(tmp_path / "fsyncs")))
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "lenient.jsonl").write_text(LENIENT)
    (tmp_path / "old.jsonl").write_text(json.dumps({**json.loads(LENIENT), "at": 1.0}) + "\n")
    (tmp_path / "faults.toml").write_text('[[fault]]\nfault = 418\npath = "/v1/models"\n')
    (tmp_path / "outage.toml").write_text(
        'description = "x"\nsource = "made up for a test"\nillustrative = true\n'
        '[[phase]]\nname = "outage"\nfaults = ["418"]\n'
    )
    (tmp_path / "models.toml").write_text(MODELS)
    (tmp_path / "answers.toml").write_text('[[answer]]\ntext = "what was put ready"\n')
    (tmp_path / "slow.toml").write_text(PROFILE.format(ttft_ms=300.0))
    (tmp_path / "tokens.toml").write_text(LIMITS)
    (tmp_path / "never.toml").write_text(PROFILE.format(ttft_ms=NEVER_MS))
    return tmp_path


#: Settings whose key in the file is tried in the started program, too; of all others it is held against
#: the variable.
IN_THE_FILE = ("mode", "listen", "model", "speed", "explain_hits", "workers", "upstream", "verdict")


@pytest.mark.parametrize(
    ("name", "way"),
    [
        (name, way)
        for name in EFFECTS
        for way in ("flag", "environment", *(("file",) if name in IN_THE_FILE else ()))
    ],
)
def test_a_setting_does_what_it_says(
    name: str,
    way: str,
    program: Start,
    folder: Path,
    fill_in: Callable[[str], str],
    environ: dict[str, str],
) -> None:
    effect = EFFECTS[name]
    if effect.needs_room not in ROOMS:
        pytest.skip(f"seen through the {effect.needs_room} room, which is not built")
    value = fill_in(effect.value)
    around = {key: fill_in(other) for key, other in effect.around.items()}
    environ["PYTHONPATH"] = f"{folder / 'site'}:{ROOT}"
    env = {f"FAKEAI_PROXY_{key.upper()}": value for key, value in around.items()}
    flags: list[str] = []
    if way == "flag":
        flags = _flags(name, value)
    elif way == "environment":
        env[f"FAKEAI_PROXY_{name.upper()}"] = value
    else:
        (folder / "settings.toml").write_text(_toml(name, value))
        flags = ["--config", str(folder / "settings.toml")]
        if name == "listen":
            del environ["FAKEAI_PROXY_LISTEN"]
    started = program(*flags, env=env, wait_ready=name != "log_format")
    effect.check(started, program)


@pytest.mark.parametrize("name", EFFECTS)
def test_variable_and_key_mean_what_the_flag_means(
    name: str, folder: Path, fill_in: Callable[[str], str]
) -> None:
    effect = EFFECTS[name]
    value = fill_in(effect.value)
    around = {f"FAKEAI_PROXY_{key.upper()}": fill_in(other) for key, other in effect.around.items()}
    file = folder / "settings.toml"
    file.write_text(_toml(name, value))
    variable = Config.load(None, {**around, f"FAKEAI_PROXY_{name.upper()}": value})
    meant = getattr(variable, name)
    assert repr(getattr(Config.load(file, around), name)) == repr(meant)
    assert repr(getattr(Config.load(None, around, _typed(name, value)), name)) == repr(meant)
    assert meant != Config.model_fields[name].get_default()


def test_the_environment_names_the_file(program: Start, folder: Path) -> None:
    (folder / "settings.toml").write_text('model = ["of-file"]\n')
    started = program(env={"FAKEAI_PROXY_CONFIG": str(folder / "settings.toml")})
    assert started.ask("/v1/models/of-file")[0] == 200


def test_flags_win_over_the_environment_and_that_over_the_file(
    program: Start, folder: Path
) -> None:
    (folder / "settings.toml").write_text('profile = "a"\nmode = "pass"\nmodel = ["of-file"]\n')
    env = {"FAKEAI_PROXY_PROFILE": "b", "FAKEAI_PROXY_MODE": "synth"}
    started = program(
        "--config", str(folder / "settings.toml"), "--profile", "none", env=env
    )  # fmt: skip
    assert started.ready["profile"] == "none"
    assert started.ready["mode"] == "synth"
    assert started.ask("/v1/models/of-file")[0] == 200


def test_a_list_may_be_repeated_as_well_as_separated_by_commas(program: Start) -> None:
    started = program("--model", "a,b", "--model", "c")
    assert [started.ask(f"/v1/models/{name}")[0] for name in "abcd"] == [200, 200, 200, 404]


@pytest.mark.parametrize(
    ("arguments", "env", "said"),
    [
        (["--speed", "fast"], {}, "--speed"),
        (["--speed", "-1"], {}, "--speed"),
        (["--mode", "sync"], {}, "--mode"),
        (["--moed", "synth"], {}, "--mode"),
        (["--port", "9000"], {}, "Did you mean '--listen'?"),
        (["synth"], {}, "--mode synth"),
        (["docter"], {}, "doctor"),
        (["--profile", "nosuch"], {}, "quick"),
        (["--scenario", "brwn-out"], {}, "brown-out"),
        (["--listen", "nonsense:x"], {}, "HOST:PORT"),
        (["--limits", "nosuch"], {}, "anthropic, azure, openai"),
        (["--limits", "openai:9"], {}, "free, 1, 2, 3, 4, 5"),
        (["--mode", "record", "--cassette", "notes.txt"], {}, ".fcz, .jsonl, .jsonl.zst"),
        (["--on-miss", "pass"], {}, "replay, auto, hybrid"),
        (["--config", "/nowhere/at-all.toml"], {}, "/nowhere/at-all.toml"),
        (["--on-miss", "pass"], {}, ": --on-miss: mode synth does not replay"),
        (["--data", "/dev/null"], {}, "The folder /dev/null cannot be written to"),
        (["--journal-file", "/dev/null/a"], {}, "cannot be written: File exists. Name another"),
        (["--admin-token", ""], {}, ": --admin-token: it is empty: give it a value"),
        (["--cassette", ""], {}, ": --cassette: it is empty: give it a value"),
        (
            ["--mode", "pass", "--auth", "required"],
            {},
            ": --auth: mode pass answers nothing itself",
        ),
        (["--strict", "miss"], {}, ": --strict: mode synth neither replays nor asks live"),
        (["--store", "mysql://u:p@db/x"], {}, "--store: this is memory, sqlite or postgresql://"),
        ([], {"FAKEAI_PROXY_SEED": "many"}, "FAKEAI_PROXY_SEED"),
        ([], {"FAKEAI_PROXY_PROFIL": "none"}, "FAKEAI_PROXY_PROFILE"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(
    arguments: list[str], env: dict[str, str], said: str, run: Run
) -> None:
    done = run(*arguments, env=env)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("speeed = 2\n", "settings.toml: speeed: there is no such setting. Did you mean speed?\n"),
        (
            "mode = synth\n",
            "settings.toml: this is no TOML: Invalid value (at line 1, column 8). A ",
        ),
    ],
)
def test_a_mistake_in_the_file_names_file_and_place(
    text: str, said: str, run: Run, folder: Path
) -> None:
    (folder / "settings.toml").write_text(text)
    done = run("--config", str(folder / "settings.toml"))
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_help_shows_every_flag_with_its_environment_name(run: Run) -> None:
    text = " ".join(run("--help").stdout.split())
    for name in Config.model_fields:
        assert f"--{name.replace('_', '-')} " in text
        assert f"FAKEAI_PROXY_{name.upper()}]" in text


def test_help_begins_with_what_a_beginner_needs(run: Run) -> None:
    settings = run("--help").stdout.partition("What answers:\n")[2]
    flags = re.findall(r"^  (--[a-z-]+)", settings, re.M)
    assert flags[:4] == ["--config", "--mode", "--on-miss", "--profile"]


def test_recordings_go_into_the_same_folder_of_the_home_as_the_rest() -> None:
    config = Config.load(flags={"data": "~/kept", "mode": "record"})
    assert config.cassette == (config.data_dir / "recordings.fcz",)
    assert config.data_dir.is_absolute()

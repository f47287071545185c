"""`cassette recheck`: recordings asked again, with the keys of the environment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fakeai_proxy.cassette.draft import Draft, Heard
from fakeai_proxy.cassette.tape import Tape
from fakeai_proxy.cli.cassette import cassette
from fakeai_proxy.exchange import Headers
from tests.cassette.made import cassette_of
from tests.doubles.internet import LoopThread
from tests.doubles.upstream import FakeUpstream, json_reply

JSON: Headers = ((b"Content-Type", b"application/json"),)
CHAT = "/v1/chat/completions"
KEY = "sk-proj-" + "A1" * 20
USAGE = {"prompt_tokens": 100, "completion_tokens": 100}


def said(text: str, **more: object) -> dict[str, object]:
    return {"model": "gpt-4o", "choices": [{"message": {"content": text}}], "usage": USAGE, **more}


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    thread, double = LoopThread(), FakeUpstream()
    thread.run(double.__aenter__())
    double.on("POST", CHAT, json_reply(said("as ever")))
    double.on("POST", "/v1/other", json_reply(said("as ever")))
    yield double
    thread.run(double.__aexit__(None, None, None))
    thread.close()


@pytest.fixture
def path(tmp_path: Path, upstream: FakeUpstream) -> Path:
    """Forty of one path, one of another."""

    def draft(number: int, target: str) -> Draft:
        body = json.dumps(said("as ever")).encode()
        heard = Heard(200, JSON, "OK", 1000, Tape(body), [len(body)], [2000])
        asked = json.dumps({"model": "gpt-4o", "n": number}).encode()
        headers = (*JSON, (b"Authorization", b"Bearer sk-proj-" + b"Z9" * 20))
        return Draft(f"{number:016x}", 1.75e9, upstream.url, "POST", target, headers,
                     provider="openai", body=Tape(asked), heard=heard)  # fmt: skip

    drafts = [draft(number, CHAT) for number in range(40)]
    return cassette_of(tmp_path / "c.fcz", [*drafts, draft(40, "/v1/other")])


def recordings(path: Path) -> list[bytes]:
    return [file.read_bytes() for file in sorted(path.rglob("*.zst"))]


def run(path: Path, *options: str, key: str = KEY) -> Result:
    return CliRunner().invoke(
        cassette, ["recheck", str(path), *options], env={"OPENAI_API_KEY": key}
    )


def test_a_sample_of_every_path_is_asked_with_the_key_of_the_environment(
    path: Path, upstream: FakeUpstream
) -> None:
    before = recordings(path)
    done = run(path, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["recordings"], told["compared"], told["drifting"]) == (41, 3, 0)
    targets = [one.target.decode() for one in upstream.requests]
    assert targets == [CHAT, CHAT, "/v1/other"]
    assert all(
        one.header(b"authorization") == f"Bearer {KEY}".encode() for one in upstream.requests
    )
    assert all(one["changes"] == [] for one in told["data"]), told["data"]
    assert told["spent_usd"] == pytest.approx(3 * 0.00125)
    assert recordings(path) == before


def test_another_shape_is_drift_and_another_text_is_none(
    path: Path, upstream: FakeUpstream
) -> None:
    upstream.on("POST", CHAT, json_reply(said("as never")))
    text = run(path)
    assert text.exit_code == 0, text.output
    assert "text     " in text.stdout
    upstream.on("POST", CHAT, json_reply(said("as ever", service_tier="default")))
    shape = run(path, "--sample", "2")
    assert shape.exit_code == 1
    assert "new: body.service_tier: string" in shape.stdout


def test_the_budget_ends_it(path: Path, upstream: FakeUpstream) -> None:
    done = run(path, "--sample", "100%", "--budget", "0.002", "--json")
    told = json.loads(done.stdout)
    assert told["compared"] == len(upstream.requests) == 2
    assert sum(told["not_compared"].values()) == 1


def test_without_its_key_nothing_is_asked(path: Path, upstream: FakeUpstream) -> None:
    done = run(path, key="")
    assert done.exit_code == 1
    assert "set OPENAI_API_KEY" in done.output
    assert not upstream.requests


def test_a_sample_is_a_number_or_a_share(path: Path) -> None:
    assert run(path, "--sample", "some").exit_code == 2

"""What a kill in mid-traffic leaves of the accounts: every answer that was whole, and none twice."""

from __future__ import annotations

import subprocess
import sys
import threading
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from tests.doubles.program import Program, bare_environment

CLIENTS = 6
#: Answers until the kill.
ENOUGH = 150


class Customer(threading.Thread):
    """Asks until nobody answers, and adds up what whole answers say."""

    def __init__(self, url: str, number: int, enough: threading.Event) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._number = number
        self._enough = enough
        self.answers = 0
        self.tokens = 0

    def run(self) -> None:
        with httpx.Client(headers={"authorization": "Bearer k"}, timeout=30) as http:
            while True:
                try:
                    self.tokens += self._ask(http)
                except (httpx.HTTPError, orjson.JSONDecodeError):
                    return
                self.answers += 1
                if self.answers >= ENOUGH // CLIENTS:
                    self._enough.set()

    def _ask(self, http: httpx.Client) -> int:
        streams = bool((self.answers + self._number) % 2)
        body: dict[str, Any] = {
            "model": "gpt-4o",
            "messages": [{"role": "user", "content": f"Hello {self.answers % 5}"}],
            "max_tokens": 20 + self._number,
        }
        if streams:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        answer = http.post(f"{self._url}/chat/completions", json=body)
        if not streams:
            return int(answer.json()["usage"]["total_tokens"])
        lines = answer.text.strip().split("\n\n")
        if lines[-1] != "data: [DONE]":
            raise httpx.ReadError("the stream has no end")
        return int(orjson.loads(lines[-2].removeprefix("data: "))["usage"]["total_tokens"])


def counted(buckets: list[Any]) -> tuple[int, int]:
    results = [result for bucket in buckets for result in bucket["results"]]
    return (
        sum(one["num_model_requests"] for one in results),
        sum(one["input_tokens"] + one["output_tokens"] for one in results),
    )


@pytest.mark.parametrize("counting", [False, True])
def test_a_kill_loses_no_answer(tmp_path: Path, counting: bool) -> None:
    arguments = ("--mode", "synth", "--profile", "none")
    program = Program(tmp_path, *arguments)
    enough = threading.Event()
    customers = [Customer(program.base_url, k, enough) for k in range(CLIENTS)]
    for one in customers:
        one.start()
    try:
        if counting:
            recent(program.base_url)  # so that the kill meets counted lines, too
        assert enough.wait(60)
    finally:
        program.kill()
    for one in customers:
        one.join(30)
    again = Program(tmp_path, *arguments)
    try:
        requests, tokens = recent(again.base_url)
    finally:
        again.stop()
    whole = sum(one.answers for one in customers)
    # Each customer may have been on the point of getting one more.
    assert whole <= requests <= whole + CLIENTS
    assert sum(one.tokens for one in customers) <= tokens
    if requests == whole:
        assert sum(one.tokens for one in customers) == tokens


def recent(url: str) -> tuple[int, int]:
    """Requests and tokens of the last days."""
    with httpx.Client(headers={"authorization": "Bearer k"}, timeout=30) as http:
        date = parsedate_to_datetime(http.get(f"{url}/models").headers["date"])
        params = {"start_time": int(date.timestamp()) - 86_400}
        page = http.get(f"{url}/organization/usage/completions", params=params)
    return counted(page.json()["data"])


def test_keys_of_the_command_line_open_the_program(tmp_path: Path) -> None:
    def keys(*arguments: str) -> str:
        command = [sys.executable, "-m", "fakeai_proxy", "keys", *arguments]
        done = subprocess.run(
            [*command, "--data", str(tmp_path)], env=bare_environment(), capture_output=True,
            text=True, check=False, cwd=Path(__file__).resolve().parents[2],
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    admin, member = keys("create", "--admin"), keys("create", "--project", "Sea", "--name", "CI")
    program = Program(tmp_path, "--mode", "synth", "--profile", "none", "--auth", "required")
    try:

        def ask(key: str, path: str) -> httpx.Response:
            headers = {"authorization": f"Bearer {key}"}
            return httpx.get(f"{program.base_url}{path}", headers=headers)

        projects = ask(admin, "/organization/projects").json()["data"]
        assert [one["name"] for one in projects] == ["Sea", "Default project"]
        (shown,) = ask(admin, f"/organization/projects/{projects[0]['id']}/api_keys").json()["data"]
        assert (shown["name"], shown["owner"]["type"]) == ("CI", "user")
        assert ask(member, "/models").status_code == 200
        assert ask("sk-other", "/models").status_code == 401
        listed = keys("ls")
        assert shown["id"] in listed
        assert member not in listed
        assert "opens nothing" in keys("delete", shown["id"])
        # Within a second: however quick we are, the answer changes to no before long.
        while ask(member, "/models").status_code == 200:
            pass
        assert ask(member, "/models").status_code == 401
        logs = ask(admin, "/organization/audit_logs").json()["data"]
        assert [one["type"] for one in logs] == [
            "api_key.deleted", "api_key.created", "project.created", "api_key.created",
        ]  # fmt: skip
        assert logs[0]["actor"]["type"] == "session"
    finally:
        program.stop()

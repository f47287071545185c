"""Access lines: what they say, and that a slow reader costs lines, never replies."""

from __future__ import annotations

import io
import json
import re
import threading

import pytest

from fakeai_proxy.body import Body
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.exchange import Exchange, Origin, Reply, Request
from fakeai_proxy.observe.log import WAITING_MAX, AccessLog, chosen


def exchange(target: str = "/v1/models", **facts: object) -> Exchange:
    made = Exchange(
        "req_1", Request("GET", target, (), Body(b""), Origin("https", "api.openai.com", 443)), 1.0
    )
    made.reply, made.status, made.end = Reply(200, (), []), 200, "ok"
    made.first_byte_at, made.finished_at, made.sent_bytes = 1.25, 2.0, 12
    for name, value in facts.items():
        setattr(made, name, value)
    return made


def written(*exchanges: Exchange, log_format: str = "json") -> str:
    stream = io.StringIO()
    log = AccessLog(stream, log_format, VirtualClock(epoch=1_750_000_000.0))  # type: ignore[arg-type]
    for one in exchanges:
        log.finished(one)
    log.close()
    return stream.getvalue()


def test_json_lines_say_who_what_when_and_how_long() -> None:
    assert json.loads(written(exchange())) == {
        "event": "exchange",
        "time": "2025-06-15T15:06:41.000000+00:00",
        "id": "req_1",
        "method": "GET",
        "host": "api.openai.com",
        "path": "/v1/models",
        "status": 200,
        "source": "SYNTH",
        "ttft_ms": 250.0,
        "total_ms": 1000.0,
        "bytes": 12,
        "end": "ok",
    }


def test_a_refusal_says_why_and_a_key_in_a_path_is_blotted_out() -> None:
    target = "/v1/sk-proj-PlantedPlantedPlanted1234/models"
    refused = exchange(target, reply=None, status=400, end="error", error="empty_array messages")
    for log_format in ("json", "human"):
        line = written(refused, log_format=log_format)
        assert "empty_array messages" in line
        assert "/v1/[openai]/models" in line
        assert "Planted" not in line


def test_human_lines_hold_the_same_in_one_line() -> None:
    line = written(exchange(end="client_gone"), log_format="human")
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d 200 SYNTH GET api\.openai\.com/v1/models  ttft 250\.0 ms  "
        r"total 1000\.0 ms  12 B  req_1  client_gone\n",
        line,
    )


def test_what_never_began_to_be_sent_has_no_first_byte() -> None:
    line = json.loads(
        written(exchange(reply=None, first_byte_at=None, status=0, end="client_gone"))
    )
    assert (line["ttft_ms"], line["status"], line["source"]) == (None, None, None)
    refused = exchange(first_byte_at=None)
    assert "  ttft -  total " in written(refused, log_format="human")


@pytest.mark.parametrize("log_format", ["json", "human"])
def test_neither_query_nor_control_characters_reach_the_log(log_format: str) -> None:
    text = written(exchange("/a\x1b[31m\r\nforged\udcff?key=secret"), log_format=log_format)
    assert "secret" not in text
    assert text.count("\n") == 1
    assert "\x1b" not in text
    assert "forged" in text
    text.encode()


def test_lines_come_in_order() -> None:
    lines = written(*(exchange(id=f"req_{number}") for number in range(500))).splitlines()
    assert [json.loads(line)["id"] for line in lines] == [f"req_{n}" for n in range(500)]


class Stuck(io.StringIO):
    """A stream whose reader pauses until it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.goes_on = threading.Event(), threading.Event()

    def write(self, text: str) -> int:
        self.begun.set()
        self.goes_on.wait()
        return super().write(text)


def test_a_reader_that_pauses_costs_lines_which_are_counted() -> None:
    stream = Stuck()
    log = AccessLog(stream, "json", VirtualClock())
    log.finished(exchange())
    stream.begun.wait()
    for _ in range(WAITING_MAX + 7):
        log.finished(exchange())
    stream.goes_on.set()
    log.close()
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert sum(event["event"] == "exchange" for event in events) == WAITING_MAX + 1
    assert [event["lines"] for event in events if event["event"] == "lines_dropped"] == [7]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_auto_is_human_on_a_terminal_and_json_elsewhere() -> None:
    assert chosen("auto", Terminal()) == "human"
    assert chosen("auto", io.StringIO()) == "json"
    assert chosen("none", Terminal()) == "none"


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def line() -> str:
        stream = Terminal()
        log = AccessLog(stream, "human", VirtualClock())
        log.finished(exchange())
        log.close()
        return stream.getvalue()

    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[32m200" in line()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in line()

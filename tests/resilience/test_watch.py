"""Which exchanges belong together, on made-up ones."""

from __future__ import annotations

import json

from fakeai_proxy.body import Body
from fakeai_proxy.exchange import Chunk, Exchange, Reply, Request
from fakeai_proxy.resilience.question import question_of
from fakeai_proxy.resilience.watch import ATTEMPTS_MAX, Watch, asks_of, left_open, tool_runs
from tests.resilience.seen import attempt, body, failed

PATH = "/v1/chat/completions"
CALL = {"id": "call_1", "type": "function", "function": {"name": "pay", "arguments": "{}"}}
USER = {"role": "user", "content": "pay"}


def results(call: str = "call_1", gave: str = "paid") -> bytes:
    calling = {"role": "assistant", "tool_calls": [{**CALL, "id": call}]}
    told = {"role": "tool", "tool_call_id": call, "content": gave}
    return json.dumps({"model": "m", "messages": [USER, calling, told]}).encode()


PAY = json.dumps({"model": "m", "messages": [USER]}).encode()


def test_a_failure_and_what_follows_it_are_one_ask() -> None:
    (ask,) = asks_of([failed(0), failed(0.6), attempt(1.7)])
    assert ask.answered
    assert ask.retries == 2
    assert [round(pause, 3) for pause in ask.pauses_s] == [0.5, 1.0]


def test_the_same_question_twice_at_once_is_two_asks() -> None:
    both = [failed(0), failed(0.01), attempt(1), attempt(1.01)]
    assert [len(ask.attempts) for ask in asks_of(both)] == [2, 2]


def test_the_same_question_after_its_answer_is_another_ask() -> None:
    assert len(asks_of([attempt(0), attempt(1)])) == 2


def test_a_question_is_the_same_to_another_model_and_without_a_stream() -> None:
    first, other = body(model="a", stream=True), body(model="b")
    assert question_of("POST", PATH, first).key == question_of("POST", "/v1/messages", other).key
    assert question_of("POST", PATH, body("else")).key != question_of("POST", PATH, first).key
    assert question_of("GET", "/v1/models", b"").key != question_of("GET", "/v1/files", b"").key


def test_what_is_no_json_is_a_question_too() -> None:
    assert question_of("POST", PATH, b"{").key != question_of("POST", PATH, b"[").key


def test_a_fallback_answers_the_question() -> None:
    asks = asks_of([failed(0, said=body(model="a")), attempt(1, said=body(model="b"))])
    assert left_open(asks) == ()
    assert len(left_open(asks_of([failed(0), failed(1)]))) == 1


def test_results_sent_again_are_no_second_run() -> None:
    told = [attempt(0, said=PAY), failed(1, said=results()), attempt(2, said=results())]
    assert tool_runs(told) == 1


def test_a_conversation_started_over_runs_its_tools_again() -> None:
    told = [
        attempt(0, said=PAY), failed(1, said=results()),
        attempt(2, said=PAY), attempt(3, said=results("call_2")),
    ]  # fmt: skip
    assert tool_runs(told) == 2
    assert len(asks_of(told)) == 3


def test_another_result_of_the_same_call_is_another_run() -> None:
    told = [attempt(0, said=PAY), failed(1, said=results(gave="no 1")), attempt(2, said=results())]
    assert tool_runs(told) == 2


def test_two_conversations_at_once_are_one_run_each() -> None:
    told = [attempt(at, said=PAY) for at in (0, 0.01)]
    told += [failed(at, said=results()) for at in (1, 1.01)]
    told += [attempt(at, said=results()) for at in (2, 2.01)]
    assert tool_runs(told) == 2


def test_a_second_turn_runs_nothing_that_the_first_has_run() -> None:
    more = json.loads(results())["messages"] + [{"role": "user", "content": "thanks"}]
    later = json.dumps({"messages": more}).encode()
    told = [attempt(0, said=PAY), attempt(1, said=results()), attempt(2, said=later)]
    assert tool_runs(told) == 1


def test_results_of_anthropic_and_of_responses_are_results() -> None:
    used = {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "t", "name": "pay", "input": {}}],
    }
    told = {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "t", "content": "ok"}],
    }
    said = {"messages": [USER, used, told]}
    asked = question_of("POST", "/v1/messages", json.dumps(said).encode())
    assert list(asked.results) == ["t"]
    assert asked.asked_by == question_of("POST", PATH, PAY).key
    items = [
        USER, {"type": "function_call", "call_id": "c", "name": "pay", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "ok"},
    ]  # fmt: skip
    asked = question_of("POST", "/v1/responses", json.dumps({"input": items}).encode())
    assert list(asked.results) == ["c"]
    first = question_of("POST", "/v1/responses", json.dumps({"input": [USER]}).encode())
    assert asked.asked_by == first.key


def exchange(at: float = 1.0) -> Exchange:
    headers = ((b"X-Stainless-Retry-Count", b"2"),)
    made = Exchange("id", Request("POST", PATH, headers, Body(body())), at, finished_at=at + 1)
    made.reply = Reply(200, ((b"content-type", b"text/event-stream"),), [Chunk(b"")])
    made.status, made.end, made.faults = 200, "cut", ("cut",)
    return made


def test_an_exchange_is_put_down_as_it_was() -> None:
    watch = Watch()
    watch.finished(exchange(5))
    watch.finished(exchange(3))
    early, late = watch.take()
    assert (early.arrived_at, late.arrived_at) == (3, 5)
    assert (early.retry_count, early.streamed, early.failed) == (2, True, True)
    assert watch.take() == ()


def test_what_is_remembered_has_a_limit() -> None:
    watch = Watch()
    one = exchange()
    for _ in range(ATTEMPTS_MAX + 3):
        watch.finished(one)
    assert watch.dropped == 3
    assert len(watch.take()) == ATTEMPTS_MAX

"""Runs of the started program: what a kill interrupts is completed by the next life, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from openai import OpenAI

from tests.doubles.program import Program
from tests.services.assistant_asking import QUIET, RAIN, STORY, WEATHER

pytestmark = QUIET


def started(data: Path) -> Program:
    """Whose answers take seconds."""
    return Program(data, "--mode", "synth", "--profile", "openai", "--speed", "0.5")


def client_of(program: Program) -> OpenAI:
    return OpenAI(base_url=program.base_url, api_key="k", max_retries=0, timeout=60)


def test_runs_that_a_kill_interrupts_are_completed_once(tmp_path: Path) -> None:
    story: Any = {"messages": [{"role": "user", "content": STORY}]}
    program = started(tmp_path)
    try:
        with client_of(program) as client:
            threads = client.beta.threads
            maker = client.beta.assistants.create(model="gpt-4o", name="Helper", tools=[WEATHER])
            waiting = threads.create_and_run_poll(
                assistant_id=maker.id, thread={"messages": [{"role": "user", "content": RAIN}]},
                poll_interval_ms=200,
            )  # fmt: skip
            assert waiting.status == "requires_action"
            place = threads.create(**story)
            stream = threads.runs.create(place.id, assistant_id=maker.id, stream=True)
            next(event for event in stream if event.event == "thread.message.delta")
            run = threads.create_and_run(assistant_id=maker.id, thread=story)
            while run.status == "queued":
                run = threads.runs.retrieve(run.id, thread_id=run.thread_id)
            assert run.status == "in_progress"
            program.kill()
    finally:
        program.stop()
    program = started(tmp_path)
    try:
        with client_of(program) as client:
            assert client.beta.assistants.retrieve(maker.id) == maker
            for thread_id in (place.id, run.thread_id):
                _check_completed(client, thread_id)
            threads = client.beta.threads
            assert waiting.required_action is not None
            (call,) = waiting.required_action.submit_tool_outputs.tool_calls
            last = threads.runs.submit_tool_outputs_and_poll(
                run_id=waiting.id, thread_id=waiting.thread_id, poll_interval_ms=200,
                tool_outputs=[{"tool_call_id": call.id, "output": "Sunny"}],
            )  # fmt: skip
            assert last.status == "completed"
    finally:
        program.stop()


def _check_completed(client: OpenAI, thread_id: str) -> None:
    """One run, one message, one step."""
    threads = client.beta.threads
    (run,) = threads.runs.list(thread_id).data
    done = threads.runs.poll(run.id, thread_id=thread_id, poll_interval_ms=200)
    assert done.status == "completed"
    (message,) = threads.messages.list(thread_id, run_id=run.id).data
    assert message.status == "completed"
    (step,) = threads.runs.steps.list(run.id, thread_id=thread_id).data
    assert step.status == "completed"
    assert step.usage is not None
    assert done.usage is not None
    assert step.usage.model_dump() == done.usage.model_dump()

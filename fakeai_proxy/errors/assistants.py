"""What is particular to assistants, threads, messages, runs and their steps."""

from __future__ import annotations

from collections.abc import Sequence

from fakeai_proxy.errors.bodies import bad_parameter
from fakeai_proxy.errors.kinds import ApiError


def _missing(what: str, object_id: str) -> ApiError:
    return ApiError(404, f"No {what} found with id '{object_id}'.")


def no_such_assistant(assistant_id: str) -> ApiError:
    return _missing("assistant", assistant_id)


def no_such_thread(thread_id: str) -> ApiError:
    return _missing("thread", thread_id)


def no_such_message(message_id: str) -> ApiError:
    return _missing("message", message_id)


def no_such_run(run_id: str) -> ApiError:
    return _missing("run", run_id)


def no_such_run_step(step_id: str) -> ApiError:
    return _missing("run step", step_id)


def no_beta() -> ApiError:
    return ApiError(
        400,
        "You must provide the 'OpenAI-Beta' header to access the Assistants API. Please try again by "
        "setting the header 'OpenAI-Beta: assistants=v2'.",
        code="invalid_beta",
    )


def other_beta(said: str) -> ApiError:
    return ApiError(
        400,
        f"Invalid value for the 'OpenAI-Beta' header: '{said[:100]}'. The Assistants API takes "
        "'assistants=v2'.",
        code="invalid_beta",
    )


def run_is_active(thread_id: str, run_id: str) -> ApiError:
    return ApiError(400, f"Thread {thread_id} already has an active run {run_id}.")


def thread_is_locked(thread_id: str, run_id: str) -> ApiError:
    return ApiError(400, f"Can't add messages to {thread_id} while a run {run_id} is active.")


def message_is_locked(message_id: str, run_id: str) -> ApiError:
    return ApiError(400, f"Can't delete message {message_id} while a run {run_id} is active.")


def message_is_empty(param: str) -> ApiError:
    return bad_parameter(param, "invalid_value", "Message content must be non-empty.")


def cannot_cancel_run(status: str) -> ApiError:
    return ApiError(400, f"Cannot cancel run with status '{status}'.")


def no_outputs_wanted(status: str) -> ApiError:
    return ApiError(400, f'Runs in status "{status}" do not accept tool outputs.')


def wrong_outputs(expected: Sequence[str], got: Sequence[str]) -> ApiError:
    """`expected` and `got` are ids of calls."""
    return bad_parameter(
        "tool_outputs",
        "invalid_value",
        f"Expected tool outputs for call_ids {list(expected)}, got {[one[:100] for one in got[:8]]}",
    )


def names_twice(param: str, name: str) -> ApiError:
    return bad_parameter(
        param, "invalid_value", f"Tool names must be unique: '{name}' comes twice."
    )


def no_such_tool(name: str) -> ApiError:
    return bad_parameter(
        "tool_choice", "invalid_value", f"Tool choice '{name}' not found in 'tools' parameter."
    )

"""What is particular to the Responses API: its memory and its items."""

from __future__ import annotations

from fakeai_proxy.errors.bodies import bad_parameter
from fakeai_proxy.errors.catalogue import of_kind
from fakeai_proxy.errors.kinds import ApiError


def response_not_found(response_id: str) -> ApiError:
    return ApiError(404, f"Response with id '{response_id}' not found.")


def previous_response_not_found(response_id: str) -> ApiError:
    return bad_parameter(
        "previous_response_id",
        "previous_response_not_found",
        f"Previous response with id '{response_id}' not found.",
    )


def item_not_found(item_id: str) -> ApiError:
    return ApiError(
        404,
        f"Item with id '{item_id}' not found. Items are not persisted when `store` is set to false. "
        "Try again with `store` set to true, or remove this item from your input.",
        param="input",
    )


def conversation_not_found(conversation_id: str) -> ApiError:
    return ApiError(404, f"Conversation with id '{conversation_id}' not found.")


def conversation_item_not_found(item_id: str, conversation_id: str) -> ApiError:
    return ApiError(404, f"Item with id '{item_id}' not found in conversation '{conversation_id}'.")


def prompt_not_found(prompt_id: str) -> ApiError:
    return ApiError(404, f"Prompt with id '{prompt_id}' not found.", param="prompt.id")


def nothing_to_answer() -> ApiError:
    return ApiError(
        400,
        "One of 'input' or 'previous_response_id' or 'prompt' or 'conversation' must be provided.",
        param="input",
        code="missing_required_parameter",
    )


def output_without_call(kind: str, call_id: str) -> ApiError:
    """`kind` is function or custom tool."""
    message = f"No tool call found for {kind} call output with call_id {call_id}."
    return ApiError(400, message, param="input")


def call_without_output(kind: str, call_id: str) -> ApiError:
    """`kind` is function or custom tool."""
    return ApiError(400, f"No tool output found for {kind} call {call_id}.", param="input")


def mutually_exclusive(one: str, other: str) -> ApiError:
    return bad_parameter(
        one,
        "mutually_exclusive_parameters",
        f"Mutually exclusive parameters: '{one}' and '{other}'. Ensure you are only providing one of: "
        f"'{one}' or '{other}'.",
    )


def context_window_exceeded(most: int, tokens: int) -> ApiError:
    return of_kind(
        "context_length",
        "Your input exceeds the context window of this model. Please adjust your input and try "
        "again.",
        param="input",
        limit_tokens=most,
        tokens=tokens,
    )


def not_cancellable() -> ApiError:
    return ApiError(400, "Cannot cancel a synchronous response.")

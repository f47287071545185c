"""What is particular to realtime sessions: told in events, not over HTTP."""

from __future__ import annotations

from fakeai_proxy.errors.kinds import ApiError


def _wrong(code: str, message: str, param: str | None = None) -> ApiError:
    return ApiError(400, message, param=param, code=code)


def no_event() -> ApiError:
    return _wrong("invalid_json", "Invalid JSON: an event is a JSON object in a text message.")


def session_expired(minutes: int) -> ApiError:
    message = f"Your session hit the maximum duration of {minutes} minutes."
    return _wrong("session_expired", message)


def session_type_fixed(asked: str, kind: str) -> ApiError:
    message = f"Passing a {asked} session update event to a {kind} session is not allowed."
    return _wrong("invalid_value", message, "session.type")


def session_model_fixed(model: str) -> ApiError:
    message = f"Cannot update a session's model, which is '{model}'."
    return _wrong("invalid_value", message, "session.model")


def voice_fixed(param: str) -> ApiError:
    message = "Cannot update a conversation's voice if assistant audio is present."
    return _wrong("cannot_update_voice", message, param)


def audio_buffer_too_small(least_ms: int, length_ms: float) -> ApiError:
    return _wrong(
        "input_audio_buffer_commit_empty",
        "Error committing input audio buffer: buffer too small. Expected at least "
        f"{least_ms}ms of audio, but buffer only has {length_ms:.2f}ms of audio.",
    )


def audio_buffer_full(most_bytes: int) -> ApiError:
    message = f"The input audio buffer holds {most_bytes} bytes at most. Commit or clear it."
    return _wrong("input_audio_buffer_full", message, "audio")


def no_base64(param: str) -> ApiError:
    return _wrong(
        "invalid_value",
        f"Invalid '{param}'. Expected base64-encoded audio bytes, but got an invalid value.",
        param,
    )


def no_responses_in_transcription() -> ApiError:
    message = "Responses are not made in transcription sessions."
    return _wrong("invalid_value", message, "type")


def response_in_progress(response_id: str) -> ApiError:
    return _wrong(
        "conversation_already_has_active_response",
        f"Conversation already has an active response in progress: {response_id}. Wait until the "
        "response is finished before creating a new one.",
    )


def too_many_responses(most: int) -> ApiError:
    message = f"A session has at most {most} responses in progress here."
    return _wrong("too_many_active_responses", message)


def no_response_to_cancel() -> ApiError:
    return _wrong("response_cancel_not_active", "Cancellation failed: no active response found")


def conversation_full(most: int) -> ApiError:
    return _wrong("conversation_full", f"A conversation has at most {most} items here.")


def duplicate_item(item_id: str) -> ApiError:
    return _wrong(
        "item_create_duplicate_item_id",
        f"Error adding item: an item with the id '{item_id}' is already in the conversation.",
        "item.id",
    )


def no_previous_item(item_id: str) -> ApiError:
    return _wrong(
        "item_create_invalid_previous_item_id",
        f"Error adding item: the previous item with id '{item_id}' does not exist.",
        "previous_item_id",
    )


def no_tool_call(call_id: str) -> ApiError:
    message = f"Tool call ID '{call_id}' not found in conversation."
    return _wrong("invalid_tool_call_id", message, "item.call_id")


def no_realtime_item(verb: str, item_id: str) -> ApiError:
    doing = f"{verb.removesuffix('e')}ing"
    message = f"Error {doing} item: the item with id '{item_id}' does not exist."
    return _wrong(f"item_{verb}_invalid_item_id", message, "item_id")


def only_speech_is_truncated() -> ApiError:
    message = "Only model output audio messages can be truncated."
    return _wrong("item_truncate_invalid_role", message, "item_id")


def no_audio_at(index: int) -> ApiError:
    return _wrong(
        "item_truncate_invalid_content_index",
        f"Error truncating item: its content at index {index} is no audio.",
        "content_index",
    )


def audio_is_shorter(length_ms: int, end_ms: int) -> ApiError:
    message = f"Audio content of {length_ms}ms is already shorter than {end_ms}ms"
    return _wrong("invalid_value", message, "audio_end_ms")


def connection_expired(minutes: int) -> ApiError:
    message = (
        f"Responses websocket connection limit reached ({minutes} minutes). Create a new websocket "
        "connection to continue."
    )
    return _wrong("websocket_connection_limit_reached", message)

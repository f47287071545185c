"""What can be wrong with files, uploads and containers."""

from __future__ import annotations

from collections.abc import Sequence

from fakeai_proxy.errors.kinds import ApiError


def no_such_file(file_id: str, param: str = "id") -> ApiError:
    return ApiError(404, f"No such File object: {file_id[:100]}", param=param)


def no_such_upload(upload_id: str) -> ApiError:
    return ApiError(404, f"No such Upload object: {upload_id}", param="id")


def no_such_part(part_id: str) -> ApiError:
    return ApiError(400, f"No such Upload Part object: {part_id}", param="part_ids")


def no_such_container(container_id: str) -> ApiError:
    return ApiError(404, f"Container with id '{container_id}' not found.")


def no_such_container_file(file_id: str) -> ApiError:
    return ApiError(404, f"Container file with id '{file_id}' not found.")


def container_expired() -> ApiError:
    return ApiError(404, "Container is expired.", code="container_expired")


def file_too_large(limit_bytes: int, size_bytes: int) -> ApiError:
    message = f"File is too large: {size_bytes} bytes, where {limit_bytes} are allowed."
    return ApiError(413, message, param="file", code="file_too_large")


def file_is_empty() -> ApiError:
    return ApiError(400, "File is empty.", param="file", code="empty_file")


def not_jsonl(api: str) -> ApiError:
    """`api` is the one that the file is for: Batch, Fine-Tuning."""
    message = f"Invalid file format for {api} API. Must be .jsonl"
    return ApiError(400, message, param="file", code="invalid_file_format")


def bad_extension(extension: str, supported: Sequence[str]) -> ApiError:
    listed = ", ".join(f'"{one}"' for one in supported)
    return ApiError(
        400,
        f"Invalid extension {extension[:100] or '(none)'}. Supported formats: {listed}",
        param="file",
        code="unsupported_file",
    )


def line_is_no_object(line: int, start: str) -> ApiError:
    """`start` is how the line begins, to find it by."""
    return ApiError(
        400,
        "Expected file to have JSONL format, where every line is a valid JSON dictionary. "
        f'Line {line} is not a dictionary (HINT: line starts with: "{start}").',
        param="file",
        code="invalid_jsonl",
    )


def upload_not_pending(status: str) -> ApiError:
    return ApiError(400, f"Upload is not pending: its status is '{status}'.")


def upload_incomplete(expected_bytes: int, found_bytes: int) -> ApiError:
    return ApiError(
        400,
        f"The parts have {found_bytes} bytes in total, but the Upload was created for "
        f"{expected_bytes} bytes.",
        param="part_ids",
    )


def wrong_md5(expected: str, found: str) -> ApiError:
    message = (
        f"The md5 checksum of the uploaded bytes is {found}, but {expected[:64]} was expected."
    )
    return ApiError(400, message, param="md5")


# --- vector stores ---------------------------------------------------------------------------------


def no_such_vector_store(store_id: str) -> ApiError:
    return ApiError(404, f"Vector store with id [{store_id}] not found.")


def no_such_vector_store_file(file_id: str) -> ApiError:
    return ApiError(404, f"No file found with id '{file_id}' in the vector store.")


def no_such_file_batch(batch_id: str) -> ApiError:
    return ApiError(404, f"No file batch found with id '{batch_id}'.")


def vector_store_expired(store_id: str) -> ApiError:
    return ApiError(400, f"Vector store {store_id} has expired.", code="vector_store_expired")


def bad_overlap(path: str, size_tokens: int, overlap_tokens: int) -> ApiError:
    message = (
        f"Invalid '{path}': chunk_overlap_tokens ({overlap_tokens}) must not be more than half of "
        f"max_chunk_size_tokens ({size_tokens})."
    )
    return ApiError(400, message, param=path, code="invalid_value")


def file_not_processed(status: str) -> ApiError:
    return ApiError(400, f"The file has no content: its status is '{status}'.")


def batch_not_cancellable(status: str) -> ApiError:
    return ApiError(400, f"Cannot cancel a file batch with status '{status}'.")


def no_weights(path: str) -> ApiError:
    message = f"Invalid '{path}': embedding_weight and text_weight must not both be zero."
    return ApiError(400, message, param=path, code="invalid_value")

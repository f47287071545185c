"""What can be wrong with batches and with the files that they are made of.

The codes of lines are those of learn.microsoft.com/azure/ai-services/openai/how-to/batch and of failed
batches that users posted.
"""

from __future__ import annotations

from typing import NamedTuple

from fakeai_proxy.errors.kinds import ApiError


class LineError(NamedTuple):
    """What is told of a line in the `errors` of a batch that failed; `line` counts from 1."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None


def no_such_batch(batch_id: str) -> ApiError:
    return ApiError(404, f"No batch found with id '{batch_id[:100]}'.")


def batch_is_over(status: str) -> ApiError:
    return ApiError(409, f"Cannot cancel a batch with status '{status}'.")


def not_for_batches(purpose: str) -> ApiError:
    return ApiError(
        400,
        f"Invalid file purpose: the input of a batch is a file with purpose 'batch', not '{purpose}'.",
        param="input_file_id",
        code="invalid_file_purpose",
    )


def not_in_batches(param: str) -> ApiError:
    return ApiError(
        400,
        f"Unsupported parameter: '{param}' is not supported in the Batch API.",
        param=param,
        code="unsupported_parameter",
    )


def bad_batch_line(line: int) -> LineError:
    return LineError("invalid_json_line", "This line is not parseable as valid JSON.", None, line)


def batch_line_lacks(param: str, line: int) -> LineError:
    message = f"Missing required parameter: '{param}'."
    return LineError("missing_required_parameter", message, param, line)


def batch_line_type(param: str, wanted: str, line: int) -> LineError:
    return LineError("invalid_type", f"Invalid type for '{param}': expected {wanted}.", param, line)


def batch_line_method(method: str, line: int) -> LineError:
    message = f"Invalid value: '{method[:100]}'. Supported values are: 'POST'."
    return LineError("invalid_value", message, "method", line)


def batch_line_url(line: int) -> LineError:
    return LineError(
        "invalid_url",
        "The URL provided for this request does not match the batch endpoint.",
        "url",
        line,
    )


def batch_line_repeats(line: int) -> LineError:
    return LineError(
        "duplicate_custom_id",
        "The custom_id for this request is a duplicate of another request. The custom_id parameter "
        "must be unique for each request in a batch.",
        "custom_id",
        line,
    )


def batch_line_model(line: int) -> LineError:
    return LineError(
        "mismatched_model",
        "The model for this request does not match the rest of the batch. Each batch must contain "
        "requests for a single model.",
        "body.model",
        line,
    )


def batch_model_unknown(model: str, line: int) -> LineError:
    message = f"The provided model '{model[:100]}' is not supported by the Batch API."
    return LineError("model_not_found", message, "body.model", line)


def batch_is_empty() -> LineError:
    return LineError("empty_file", "The input file holds no requests: it needs at least one.")


def batch_has_too_many(limit: int) -> LineError:
    message = f"The input file holds more requests than the {limit:,} that a batch may have."
    return LineError("too_many_tasks", message)


def batch_has_too_many_inputs(limit: int) -> LineError:
    message = f"The requests hold more embedding inputs than the {limit:,} that a batch may have."
    return LineError("too_many_inputs", message)


def batch_queue_is_full(model: str, limit_tokens: int) -> LineError:
    return LineError(
        "token_limit_exceeded",
        f"Enqueued token limit reached for {model} in organization org-fakeai. Limit: "
        f"{limit_tokens:,} enqueued tokens. Please try again once some in_progress batches have been "
        "completed.",
    )


#: What is told of a line that was not asked.
UNDONE = {
    "batch_expired": "This request could not be executed before the completion window expired.",
    "batch_cancelled": "This request was not executed because the batch was cancelled.",
}

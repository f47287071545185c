"""What can be wrong with fine-tuning jobs, their files and their checkpoints."""

from __future__ import annotations

from fakeai_proxy.errors.kinds import ApiError


def no_such_job(job_id: str) -> ApiError:
    message = f"Could not find fine tune: {job_id[:100]}"
    return ApiError(404, message, param="fine_tune_id", code="fine_tune_not_found")


def no_such_event(event_id: str) -> ApiError:
    return ApiError(404, f"No such fine-tuning event: {event_id[:100]}", param="after")


def no_such_checkpoint(name: str) -> ApiError:
    message = f"Could not find fine-tuned model checkpoint: {name[:200]}"
    return ApiError(404, message, code="checkpoint_not_found")


def no_such_permission(permission_id: str) -> ApiError:
    return ApiError(404, f"No such checkpoint permission: {permission_id[:100]}")


def has_permission(project_id: str) -> ApiError:
    message = f"Project {project_id[:100]} already has access to this checkpoint."
    return ApiError(400, message, param="project_ids", code="permission_exists")


def not_tunable(model: str) -> ApiError:
    message = f"Model {model[:200]} is not available for fine-tuning or does not exist."
    return ApiError(400, message, param="model", code="model_not_available")


def method_not_of_model(method: str, model: str) -> ApiError:
    message = f"Fine-tuning method '{method}' is not available for model {model[:200]}."
    return ApiError(400, message, param="method.type", code="unsupported_method")


def invalid_tuning_file(param: str, file_id: str) -> ApiError:
    return ApiError(400, f"invalid {param}: {file_id[:100]}", param=param, code="invalid_file")


def wrong_tuning_purpose(param: str, file_id: str, purpose: str) -> ApiError:
    message = f"Invalid file purpose: {file_id[:100]} is for '{purpose}', expected 'fine-tune'."
    return ApiError(400, message, param=param, code="invalid_file_purpose")


def job_is_over(job_id: str) -> ApiError:
    return ApiError(400, f"Job has already completed: {job_id}", code="invalid_request")


def job_not_pausable(status: str) -> ApiError:
    message = f"Only a running fine-tuning job can be paused. Its status is '{status}'."
    return ApiError(400, message, code="invalid_request")


def job_not_paused(status: str) -> ApiError:
    message = f"Only a paused fine-tuning job can be resumed. Its status is '{status}'."
    return ApiError(400, message, code="invalid_request")


def bad_grader(path: str, reason: str) -> ApiError:
    return ApiError(400, f"Invalid grader. {reason}", param=path, code="invalid_grader")


def no_such_eval(eval_id: str) -> ApiError:
    return ApiError(404, f"No eval found with id '{eval_id[:100]}'.", code="not_found")


def no_such_eval_run(run_id: str) -> ApiError:
    return ApiError(404, f"No eval run found with id '{run_id[:100]}'.", code="not_found")


def no_such_output_item(item_id: str) -> ApiError:
    return ApiError(404, f"No output item found with id '{item_id[:100]}'.", code="not_found")


def eval_run_is_over(status: str) -> ApiError:
    return ApiError(400, f"Eval run cannot be canceled: its status is '{status}'.")


def not_for_evals(file_id: str, purpose: str) -> ApiError:
    message = f"File {file_id[:100]} is for '{purpose}', where 'evals' is expected."
    return ApiError(400, message, param="data_source.source.id", code="invalid_file_purpose")


def item_lacks(name: str, row: int) -> ApiError:
    message = f"Row {row} does not match the eval's item schema: '{name[:100]}' is required."
    return ApiError(400, message, param="data_source.source.content", code="invalid_item")


def eval_model_unknown(name: str) -> ApiError:
    message = f"The model '{name[:200]}' does not exist or you do not have access to it."
    return ApiError(400, message, param="data_source.model", code="model_not_found")

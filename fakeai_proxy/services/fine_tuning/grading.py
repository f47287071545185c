"""Graders on trial: whether one can be used, and what it says of a sample."""

from __future__ import annotations

from typing import Any

from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.graders.checking import check_grader
from fakeai_proxy.services.graders.grading import Graders, Verdict, sample_of
from fakeai_proxy.services.graders.wire import AnyGrader
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.wire import Shape, json_reply

#: Everything that can go wrong, as it is when nothing does.
_FINE: dict[str, Any] = {
    "formula_parse_error": False, "sample_parse_error": False,
    "truncated_observation_error": False, "unresponsive_reward_error": False,
    "invalid_variable_error": False, "other_error": False, "python_grader_server_error": False,
    "python_grader_server_error_type": None, "python_grader_runtime_error": False,
    "python_grader_runtime_error_details": None, "model_grader_server_error": False,
    "model_grader_refusal_error": False, "model_grader_parse_error": False,
    "model_grader_server_error_details": None,
}  # fmt: skip


class RunGraderRequest(Shape):
    grader: AnyGrader
    model_sample: str
    item: dict[str, Any] | None = None


class ValidateGraderRequest(Shape):
    grader: AnyGrader


def run_grader(call: Call) -> Reply:
    asked: RunGraderRequest = call.body
    check_grader(asked.grader, "grader", call.catalogue)
    begun_at = call.wall()
    graders = Graders(call.dice, call.catalogue, call.embedder, call.runs_python)
    verdict = graders.grade(asked.grader, sample_of(asked.model_sample), asked.item or {})
    return json_reply(_shown(asked, verdict, call.wall() - begun_at))


def _shown(asked: RunGraderRequest, verdict: Verdict, spent_s: float) -> dict[str, Any]:
    grader = asked.grader
    by_model = {model: sum(counts) for model, counts in verdict.usage().items()}
    scores = {key: part.score for key, part in verdict.parts.items()}
    return {
        "reward": verdict.score,
        "metadata": {
            "name": grader.name,
            "type": grader.type,
            "errors": _FINE | verdict.errors,
            "execution_time": round(spent_s, 6),
            "scores": scores or {grader.name: verdict.score},
            "token_usage": sum(by_model.values()) if by_model else None,
            "sampled_model_name": verdict.model,
        },
        "sub_rewards": scores,
        "model_grader_token_usage_per_model": by_model,
    }


def validate_grader(call: Call) -> Reply:
    asked: ValidateGraderRequest = call.body
    check_grader(asked.grader, "grader", call.catalogue)
    return json_reply({"grader": asked.grader.model_dump(mode="json", exclude_unset=True)})

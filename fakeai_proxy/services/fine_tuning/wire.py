"""The shapes of requests for fine-tuning."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fakeai_proxy.services.graders.wire import AnyGrader
from fakeai_proxy.services.wire import Metadata, Shape

_Auto = Literal["auto"]
_Epochs = _Auto | Annotated[int, Field(ge=1, le=50)]
_BatchSize = _Auto | Annotated[int, Field(ge=1, le=256)]
_Rate = _Auto | Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
_Count = _Auto | Annotated[int, Field(ge=1, le=100_000)]


class Hyperparameters(Shape):
    n_epochs: _Epochs = "auto"
    batch_size: _BatchSize = "auto"
    learning_rate_multiplier: _Rate = "auto"


class DpoHyperparameters(Hyperparameters):
    beta: _Auto | Annotated[float, Field(gt=0, le=2, allow_inf_nan=False)] = "auto"


class ReinforcementHyperparameters(Hyperparameters):
    reasoning_effort: Literal["default", "low", "medium", "high"] = "default"
    compute_multiplier: _Auto | Annotated[float, Field(gt=0.00001, le=10)] = "auto"
    eval_interval: _Count = "auto"
    eval_samples: _Count = "auto"


class Supervised(Shape):
    hyperparameters: Hyperparameters | None = None


class Dpo(Shape):
    hyperparameters: DpoHyperparameters | None = None


class Reinforcement(Shape):
    grader: AnyGrader
    hyperparameters: ReinforcementHyperparameters | None = None


class Method(Shape):
    type: Literal["supervised", "dpo", "reinforcement"]
    supervised: Supervised | None = None
    dpo: Dpo | None = None
    reinforcement: Reinforcement | None = None


class Wandb(Shape):
    project: Annotated[str, Field(min_length=1)]
    name: str | None = None
    entity: str | None = None
    tags: list[str] | None = None


class Integration(Shape):
    type: Literal["wandb"]
    wandb: Wandb


class CreateJobRequest(Shape):
    model: str
    training_file: str
    hyperparameters: Hyperparameters | None = None
    suffix: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    validation_file: str | None = None
    integrations: Annotated[list[Integration], Field(max_length=5)] | None = None
    seed: Annotated[int, Field(ge=0, le=2_147_483_647)] | None = None
    method: Method | None = None
    metadata: Metadata | None = None


class CreatePermissionsRequest(Shape):
    project_ids: Annotated[list[str], Field(min_length=1, max_length=100)]

"""How a serving engine is set up."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Admission = Literal["full_isl", "first_chunk", "reserve_total"]


class EngineLimits(BaseModel):
    """The names are vLLM's where it has one."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    max_num_batched_tokens: int = Field(
        8192, ge=1, le=1 << 20, description="Tokens of one step, prompts and answers together."
    )
    max_num_seqs: int = Field(256, ge=1, le=65_536, description="Sequences that run at a time.")
    block_size: int = Field(16, ge=1, le=2048, description="Tokens of a KV block.")
    admission: Admission = Field(
        "full_isl",
        description="Room that a waiting prompt needs: all of it (vLLM), its first chunk (older "
        "vLLM), or the longest answer too (TensorRT-LLM, which never preempts).",
    )
    mixed: bool = Field(
        True, description="Whether one step may prefill and decode; SGLang's do one or the other."
    )
    stream_interval: int = Field(
        1,
        ge=1,
        le=1000,
        description="Tokens that leave for the client together, the first ones too.",
    )
    enable_prefix_caching: bool = True
    max_loras: int = Field(0, ge=0, le=4096, description="Adapters in one batch; 0 is no limit.")

    @model_validator(mode="after")
    def _every_sequence_gets_its_token(self) -> Self:
        if self.max_num_batched_tokens < self.max_num_seqs:
            raise ValueError(
                f"max_num_batched_tokens: {self.max_num_batched_tokens} is less than max_num_seqs "
                f"({self.max_num_seqs}); each of these gets a token in every step"
            )
        return self

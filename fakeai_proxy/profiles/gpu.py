"""GPUs: what they hold, move, compute and draw, and how much of that a serving engine gets."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from fakeai_proxy.profiles import reading
from fakeai_proxy.profiles.quantization import FORMATS, Precision, Quantization


class Efficiency(reading.Data):
    """The shares of the sheet's figures that an engine reaches, and what a layer costs besides."""

    weights: float = Field(gt=0, le=1.2, description="Of bandwidth, reading weights.")
    weights_fp8: float | None = Field(None, gt=0, le=1.2, description="The same for 8 bits.")
    weights_fp4: float | None = Field(None, gt=0, le=1.2, description="The same for 4 bits.")
    compute: float = Field(gt=0, le=1.2, description="Of FLOP/s, in matrix products.")
    compute_fp8: float | None = Field(None, gt=0, le=1.2, description="The same in fp8.")
    compute_fp4: float | None = Field(None, gt=0, le=1.2, description="The same in fp4.")
    block_scales: float = Field(
        1.0, gt=0, le=1, description="Of these, where weights have a scale per block (fp8_block)."
    )
    attention: float = Field(gt=0, le=1.2, description="Of FLOP/s, in prefill attention.")
    kv: float = Field(gt=0, le=1.2, description="Of bandwidth, reading the KV cache.")
    link: float = Field(gt=0, le=1.2, description="Of link bandwidth, in collectives.")
    layer_us: float = Field(ge=0, le=1000, description="Per layer and step, whatever the batch.")
    link_latency_us: float = Field(ge=0, le=1000, description="Per all-reduce.")
    half_tokens: float = Field(ge=0, le=4096, description="Tokens added to a step's own: a small "
                               "batch cannot fill the tensor cores.")  # fmt: skip

    half_tokens_narrow: float = Field(0.0, ge=0, le=4096, description="The same for weights of 8 bits "
                                      "and fewer.")  # fmt: skip

    def weights_share(self, quantization: Quantization) -> float:
        precision, fp8 = FORMATS[quantization].precision, self.weights_fp8 or self.weights
        share = {"bf16": self.weights, "fp8": fp8, "fp4": self.weights_fp4 or fp8}[precision]
        return share * self.scales(quantization)

    def compute_share(self, precision: Precision, quantization: Quantization) -> float:
        fp8 = self.compute_fp8 or self.compute
        share = {"bf16": self.compute, "fp8": fp8, "fp4": self.compute_fp4 or fp8}[precision]
        return share * self.scales(quantization)

    def scales(self, quantization: Quantization) -> float:
        return self.block_scales if quantization == "fp8_block" else 1.0


class Power(reading.Data):
    """Shares of the span from idle to TDP: of being busy, of memory traffic, of tensor cores at
    work at all, and of how much."""

    busy: float = Field(ge=0, le=1)
    memory: float = Field(ge=0, le=1)
    tensor_on: float = Field(ge=0, le=1)
    tensor: float = Field(ge=0, le=1)


class Gpu(reading.Data):
    """`profiles/gpus/*.toml`. `sources` says for each field or table where its numbers are from."""

    name: str = Field(min_length=1)
    description: str = Field(min_length=1)
    estimated: bool = Field(description="Whether the efficiencies are guesses.")
    sources: dict[str, str]
    device_name: str = Field(min_length=1, description="As DCGM reports it.")
    architecture: str = Field(min_length=1)
    hbm_mib: int = Field(gt=0, le=4_000_000)
    hbm_tb_s: float = Field(gt=0, le=100)
    bf16_tflops: float = Field(gt=0, le=100_000)
    fp8_tflops: float | None = Field(None, gt=0, le=100_000)
    fp4_tflops: float | None = Field(None, gt=0, le=100_000)
    nvlink_gb_s: float = Field(0.0, ge=0, le=10_000, description="Per direction; 0 without NVLink.")
    pcie_gb_s: float = Field(gt=0, le=1000)
    tdp_w: float = Field(gt=0, le=10_000)
    idle_w: float = Field(gt=0, le=1000)
    sm_clock_max_mhz: int = Field(gt=0, le=10_000)
    sm_clock_idle_mhz: int = Field(gt=0, le=10_000)
    memory_clock_mhz: int = Field(gt=0, le=100_000)
    efficiency: Efficiency
    calibration_scale: float = Field(
        1.0,
        gt=0,
        le=10,
        description="Of every step's time: what measured servers took over what "
        "the efficiencies say.",
    )
    power: Power

    @model_validator(mode="after")
    def _every_number_has_a_source(self) -> Self:
        exempt = {"name", "description", "estimated", "sources", "device_name", "architecture"}
        for name in self.model_fields_set - exempt:
            if not self.sources.get(name, "").strip():
                raise ValueError(f"sources: {name} has none; say where its number is from")
        return self

    def tflops(self, precision: Precision) -> float | None:
        """Dense; None without units for it."""
        return {"bf16": self.bf16_tflops, "fp8": self.fp8_tflops, "fp4": self.fp4_tflops}[precision]

    def precision(self, quantization: Quantization) -> Precision:
        """What matrices of a quantisation are multiplied in here."""
        form = FORMATS[quantization]
        return form.precision if self.tflops(form.precision) else form.fallback

    @property
    def link_gb_s(self) -> float:
        """Per direction, between the GPUs of one node."""
        return self.nvlink_gb_s or self.pcie_gb_s


def gpu_names() -> list[str]:
    return reading.names("gpus")


def load_gpu(name: str) -> Gpu:
    """By the name it is shipped under, or a file. Raises ConfigError."""
    return reading.load(Gpu, "gpus", name)

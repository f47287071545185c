"""Number formats: how many bytes a weight takes in memory, and which units multiply it."""

from __future__ import annotations

from typing import Literal, NamedTuple

#: What matrices are multiplied in.
Precision = Literal["bf16", "fp8", "fp4"]

Quantization = Literal["bf16", "fp8", "fp8_block", "int8", "nvfp4", "mxfp4", "int4"]


class Format(NamedTuple):
    """Of the weights of one quantisation scheme."""

    bytes_per_weight: float
    precision: Precision
    #: What is multiplied where the GPU lacks units for `precision`: weights alone are compressed.
    fallback: Precision


#: Scales included: one fp32 per 128x128 weights (fp8_block), one fp8 per 16 (nvfp4), one byte per
#: 32 (mxfp4, OCP Microscaling 1.0), one fp16 scale and zero per 128 (int4, as AWQ and GPTQ).
FORMATS: dict[Quantization, Format] = {
    "bf16": Format(2.0, "bf16", "bf16"),
    "fp8": Format(1.0, "fp8", "bf16"),
    "fp8_block": Format(1.0 + 4 / 128**2, "fp8", "bf16"),
    "int8": Format(1.0, "fp8", "bf16"),
    "nvfp4": Format(0.5 + 1 / 16, "fp4", "bf16"),
    "mxfp4": Format(0.5 + 1 / 32, "fp4", "bf16"),
    "int4": Format(0.5 + 4 / 128, "bf16", "bf16"),
}

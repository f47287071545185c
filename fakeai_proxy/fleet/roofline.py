"""The closed form of a step: weights and KV cache against bandwidth, products against FLOP/s,
collectives against links, and what the host adds. Knows no queue, no request and no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.fleet.cost import Chunk, Cost
from fakeai_proxy.profiles.architecture import Architecture
from fakeai_proxy.profiles.gpu import Gpu
from fakeai_proxy.profiles.quantization import FORMATS, Quantization
from fakeai_proxy.profiles.serving import ServingEngine

_MIB, _GIB = 2**20, 2**30

#: What an engine keeps for the CUDA context, graphs and collectives, and for the activations of a
#: step of 8,192 tokens. vLLM's log of a 24 GB card with an 8B model in bf16 implies 1.6 GiB at
#: 2,048 tokens a step; servers with 8,192 leave about 3.5 GiB unused.
_CONTEXT_GIB, _ACTIVATIONS_GIB = 1.0, 2.4

#: Activations and everything between kernels are 16 bits wide.
_ACTIVATION_BYTES = 2.0

#: GPUs whose switches take part in an all-reduce (NVLink SHARP).
_SWITCHES_THAT_ADD = {"hopper", "blackwell"}

#: The largest step that engines have recorded as a CUDA graph (vLLM's cudagraph_capture_sizes end
#: at 512); kernels of larger ones are launched one by one, which the host may be slower at than the
#: GPU is at their work.
_GRAPH_TOKENS = 512

#: Sizes of a decode batch whose costs are kept.
_REMEMBERED = 4096


@dataclass(frozen=True)
class Layout:
    """How a worker's model is spread over its GPUs and stored. Attention is split `tp` ways in each
    of `attention_dp` groups that take sequences of their own; experts over all GPUs, whole within
    each of `ep` groups."""

    tp: int = 1
    attention_dp: int = 1
    ep: int = 1
    quantization: Quantization = "bf16"
    kv_bytes_per_value: float = 2.0

    @property
    def gpus(self) -> int:
        return self.tp * self.attention_dp


@dataclass(frozen=True)
class Memory:
    """What of a GPU's memory the engine takes."""

    utilization: float = 0.9
    #: The most that a step computes: its activations have to fit.
    step_tokens: int = 8192
    block_tokens: int = 16
    #: vLLM's num_gpu_blocks_override.
    blocks: int | None = None

    @property
    def reserved_gib(self) -> float:
        return _CONTEXT_GIB + _ACTIVATIONS_GIB * self.step_tokens / 8192


class Roofline:
    """One model replica on `layout.gpus` GPUs. Implements StepModel."""

    def __init__(
        self,
        gpu: Gpu,
        model: Architecture,
        layout: Layout,
        serving: ServingEngine,
        memory: Memory | None = None,
        calibration_scale: float = 1.0,
    ) -> None:
        self.gpu, self.model, self.layout, self.serving = gpu, model, layout, serving
        self._memory = memory or Memory()
        self._scale = calibration_scale * gpu.calibration_scale * serving.time_share
        self._weigh_products()
        self._weigh_experts()
        self._weigh_attention()
        self._weigh_links()
        layer_s = gpu.efficiency.layer_us * serving.layer_share * 1e-6
        self._fixed_s = model.layers * layer_s
        if model.experts is not None:
            self._fixed_s += model.moe_layers * model.experts.layer_us * 1e-6
        self._host_s, self._sequence_s = serving.host_ms * 1e-3, serving.sequence_us * 1e-6
        self._launch_s = model.layers * serving.launch_us * 1e-6
        self._scaled_kv_s = self._kv_s * self._scale
        #: By the number of sequences that decode: such a step without their caches.
        self._alone: dict[int, Cost] = {}

    # -- coefficients, once -------------------------------------------------------------------

    def _weigh_products(self) -> None:
        gpu, model, layout, share = self.gpu, self.model, self.layout, self.gpu.efficiency
        hbm = gpu.hbm_tb_s * 1e12
        attention = model.attention_format(layout.quantization)
        read_s = 0.0
        for parameters, quantization in (
            (model.attention_parameters, attention),
            (model.feed_forward_parameters, layout.quantization),
        ):
            at = share.weights_share(quantization)
            read_s += parameters * FORMATS[quantization].bytes_per_weight / (hbm * at)
        head_s = model.head_bytes / (hbm * share.weights)
        self._read_s = (read_s + head_s) / layout.tp
        self._dense_bytes = (model.dense_bytes(layout.quantization) + model.head_bytes) / layout.tp
        multiply_s = 0.0
        for parameters, quantization in (
            (model.attention_parameters, attention),
            (model.feed_forward_parameters, layout.quantization),
        ):
            multiply_s += 2 * parameters / self._flop_s(quantization)
        self._multiply_s = multiply_s * self.serving.prefill_share / layout.tp
        self._head_multiply_s = 2 * model.head_parameters / self._flop_s("bf16") / layout.tp
        dense = model.attention_parameters + model.feed_forward_parameters
        self._dense_flops = 2 * dense / layout.tp
        self._head_flops = 2 * model.head_parameters / layout.tp
        wide = layout.quantization == "bf16"
        self._half_tokens = share.half_tokens if wide else share.half_tokens_narrow
        self._half_expert_tokens = share.half_tokens

    def _flop_s(self, quantization: Quantization) -> float:
        """Of one GPU in matrix products of that quantisation."""
        precision = self.gpu.precision(quantization)
        tflops = self.gpu.tflops(precision) or self.gpu.bf16_tflops
        return tflops * 1e12 * self.gpu.efficiency.compute_share(precision, quantization)

    def _weigh_experts(self) -> None:
        self._untouched, self._experts_s = 0.0, 0.0
        experts, layout = self.model.experts, self.layout
        if experts is None:
            return
        # Grouped products have kernels of their own; what dense ones get in narrow formats says
        # nothing of them.
        scales = self.gpu.efficiency.scales(layout.quantization)
        at = self.gpu.efficiency.weights * experts.weights_share
        self._expert_bytes = self.model.expert_bytes(layout.quantization) / layout.gpus
        self._experts_s = self._expert_bytes / (self.gpu.hbm_tb_s * 1e12 * at)
        active = self.model.expert_parameters * experts.per_token / experts.count
        self._expert_flops = 2 * active / layout.gpus
        self._expert_multiply_s = (
            self._expert_flops * scales / self._flop_s(layout.quantization) / experts.compute_share
        ) * self.serving.prefill_share
        self._untouched = 1 - experts.per_token / experts.count

    def _weigh_attention(self) -> None:
        gpu, model, layout, share = self.gpu, self.model, self.layout, self.gpu.efficiency
        flop_s = gpu.bf16_tflops * 1e12 * share.attention
        hbm = gpu.hbm_tb_s * 1e12 * share.kv
        latent = model.latent
        if latent is None:
            pair_flops = 4.0 * model.heads * model.head_dim
            copies = min(layout.tp, model.kv_heads)
            cached_flops = pair_flops
        else:
            pair_flops = 2.0 * model.heads * (latent.nope_dim + latent.rope_dim + latent.value_dim)
            copies = 1  # every GPU reads the latent vectors whole
            cached_flops = 2.0 * model.heads * (2 * latent.kv_rank + latent.rope_dim)
        kept = model.kv_bytes_per_token(layout.kv_bytes_per_value) / copies
        self._window = model.sliding_window_tokens
        sliding = model.sliding_layers / model.cached_layers
        layers = model.cached_layers
        self._pair_flops = layers * pair_flops / layout.tp
        self._pair_s = self._pair_flops / flop_s
        self._sliding = sliding
        self._kv_bytes = kept
        # The absorbed form multiplies each latent vector with all heads; it overlaps the reading.
        self._kv_s = max(kept / hbm, layers * cached_flops / layout.tp / flop_s)
        state = 2 * model.state_bytes_per_sequence / layout.tp
        self._state_bytes, self._state_s = state, state / hbm

    def _weigh_links(self) -> None:
        gpu, model, layout = self.gpu, self.model, self.layout
        tp, gpus, layers = layout.tp, layout.gpus, model.layers
        per_token = model.hidden * _ACTIVATION_BYTES * 2 * layers
        # One all-reduce of a group's own tokens after attention, one of all tokens after the rest.
        self._link_group = per_token * self._reduced_share(tp)
        self._link_all = per_token * self._reduced_share(gpus)
        link = gpu.link_gb_s * 1e9 * gpu.efficiency.link
        self._link_s_per_byte = self.serving.link_share / link
        count = layers * ((tp > 1) + (gpus > 1))
        latency_us = gpu.efficiency.link_latency_us + self.serving.collective_us
        self._collectives_s = count * latency_us * 1e-6

    def _reduced_share(self, gpus: int) -> float:
        """Half of what an all-reduce over so many GPUs sends from each, as a share of its vector: a
        ring's two rounds, or less where the switch itself adds up (NVLink from Hopper on)."""
        ring = 2 * (gpus - 1) / gpus
        if self.gpu.nvlink_gb_s and self.gpu.architecture in _SWITCHES_THAT_ADD:
            ring = min(ring, 1 + 1 / gpus)
        return ring / 2

    # -- per step -----------------------------------------------------------------------------

    def cost(self, chunks: Sequence[Chunk], decodes: int, kv_tokens: int) -> Cost:
        if chunks:
            return self._whole(chunks, decodes, kv_tokens)
        known = self._alone.get(decodes)
        if known is None:
            if len(self._alone) >= _REMEMBERED:
                self._alone.clear()
            known = self._alone[decodes] = self._whole((), decodes, 0)
        seconds, busy_s, flops, traffic, link_bytes = known
        kv = self._cached(kv_tokens, decodes) if self._sliding else kv_tokens
        kv /= self.layout.attention_dp
        read_s = self._scaled_kv_s * kv
        return Cost(
            seconds + read_s,
            busy_s + read_s,
            flops + self._pair_flops * kv,
            traffic + self._kv_bytes * kv,
            link_bytes,
        )

    def _whole(self, chunks: Sequence[Chunk], decodes: int, kv_tokens: int) -> Cost:
        groups = self.layout.attention_dp
        own = float(decodes)
        prompt = pairs = context = 0.0
        if chunks:
            prompt, pairs, context = self._prompt(chunks)
            # A prompt is computed by one group: fewer prompts than groups leave some without work.
            spread = min(groups, len(chunks))
            own_prompt = prompt / spread
            pairs, context = pairs / spread, context / spread
        else:
            own_prompt = 0.0
        tokens = own + prompt
        group_tokens = own / groups + own_prompt
        sampled = (own + len(chunks)) / groups
        half = self._half_tokens
        compute_s = self._multiply_s * (group_tokens + half) + self._head_multiply_s * (
            sampled + half
        )
        busy_s = self._fixed_s + self._collectives_s + _smooth_max(self._read_s, compute_s)
        flops = self._dense_flops * group_tokens + self._head_flops * sampled
        traffic = self._dense_bytes
        if self._untouched:
            touched = 1 - self._untouched**tokens
            busy_s += _smooth_max(
                self._experts_s * touched,
                self._expert_multiply_s * (tokens + self._half_expert_tokens),
            )
            flops += self._expert_flops * tokens
            traffic += self._expert_bytes * touched
        kv = self._cached(kv_tokens, decodes) / groups
        read = kv + context
        busy_s += self._kv_s * read + self._pair_s * pairs + self._state_s * decodes / groups
        link_bytes = self._link_group * group_tokens + self._link_all * tokens
        busy_s = (busy_s + link_bytes * self._link_s_per_byte) * self._scale
        seconds = busy_s
        if chunks and tokens > _GRAPH_TOKENS:
            seconds = _smooth_max(busy_s, self._launch_s)
        return Cost(
            seconds + self._host_s + self._sequence_s * decodes,
            busy_s,
            flops + self._pair_flops * (pairs + kv),
            traffic + self._kv_bytes * read + self._state_bytes * decodes / groups,
            link_bytes,
        )

    def _cached(self, kv_tokens: float, decodes: int) -> float:
        """Of `kv_tokens`, what is read where some layers look back no further than their window."""
        if not self._sliding or not decodes:
            return kv_tokens
        seen = min(kv_tokens, decodes * self._window)
        return kv_tokens + self._sliding * (seen - kv_tokens)

    def _prompt(self, chunks: Sequence[Chunk]) -> tuple[float, float, float]:
        """Tokens, pairs of tokens that attend, and cached tokens read."""
        tokens = pairs = context = 0.0
        window, sliding = self._window, self._sliding
        for count, before in chunks:
            back, read = before + count / 2, float(before)
            if sliding:
                back += sliding * (min(back, window) - back)
                read += sliding * (min(read, window) - read)
            tokens += count
            pairs += count * back
            context += read
        return tokens, pairs, context

    # -- memory -------------------------------------------------------------------------------

    @property
    def kv_bytes_per_token(self) -> float:
        """Over all GPUs of a group; layers with a window keep so little that it does not count."""
        model, layout = self.model, self.layout
        copies = layout.tp if model.latent else max(1, layout.tp // model.kv_heads)
        whole = model.kv_bytes_per_token(layout.kv_bytes_per_value)
        return whole * (1 - self._sliding) * copies

    @property
    def context_tokens(self) -> int:
        return self.model.context_tokens

    @property
    def kv_capacity_tokens(self) -> int:
        """Of all groups together. Raises ConfigError where the weights leave no room."""
        memory, layout = self._memory, self.layout
        if memory.blocks is not None:
            return memory.blocks * memory.block_tokens
        hbm = self.gpu.hbm_mib * _MIB * memory.utilization - memory.reserved_gib * _GIB
        free = layout.gpus * hbm - self.resident_bytes
        tokens = int(free / self.kv_bytes_per_token) // memory.block_tokens * memory.block_tokens
        if tokens <= 0:
            need = self.resident_bytes / layout.gpus / _GIB + memory.reserved_gib
            raise ConfigError(
                f"{self.model.name} in {layout.quantization} needs {need:.0f} GiB on each of "
                f"{layout.gpus} {self.gpu.name}, which give {memory.utilization:.0%} of "
                f"{self.gpu.hbm_mib / 1024:.0f} GiB. Use more GPUs or fewer bits."
            )
        return tokens

    @property
    def resident_bytes(self) -> float:
        """Weights over all GPUs; each attention group holds its own dense ones."""
        model, layout = self.model, self.layout
        experts = model.expert_bytes(layout.quantization)
        return (model.weight_bytes(layout.quantization) - experts) * layout.attention_dp + experts


def _smooth_max(a: float, b: float) -> float:
    """The fourth power mean of two times that overlap."""
    a, b = a * a, b * b
    return sqrt(sqrt(a * a + b * b))

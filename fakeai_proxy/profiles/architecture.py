"""Models: the shapes that decide how many bytes a step reads and how much it multiplies."""

from __future__ import annotations

from functools import cache, cached_property
from typing import Self

from pydantic import Field, model_validator

from fakeai_proxy.profiles import reading
from fakeai_proxy.profiles.quantization import FORMATS, Quantization


class Experts(reading.Data):
    """A mixture of experts: each token is computed by `per_token` of `count`, and by `shared`."""

    count: int = Field(gt=0, le=100_000)
    per_token: int = Field(gt=0, le=1000)
    ffn: int = Field(gt=0, le=1_000_000, description="Width of one expert.")
    shared: int = Field(0, ge=0, le=100)
    dense_layers: int = Field(0, ge=0, le=1000, description="Leading layers without experts.")
    weights_share: float = Field(
        1.0, gt=0, le=2, description="Of the bandwidth that dense weights are read with."
    )
    compute_share: float = Field(
        1.0, gt=0, le=2, description="Of the FLOP/s that dense products reach."
    )
    layer_us: float = Field(0.0, ge=0, le=1000, description="Routing, per layer and step.")


class LatentAttention(reading.Data):
    """Keys and values come from one latent vector per token (MLA), which all heads share."""

    query_rank: int = Field(ge=0, le=100_000, description="0: queries are not compressed.")
    kv_rank: int = Field(gt=0, le=100_000)
    rope_dim: int = Field(gt=0, le=10_000)
    nope_dim: int = Field(gt=0, le=10_000)
    value_dim: int = Field(gt=0, le=10_000)


class LinearAttention(reading.Data):
    """Layers that keep a state of fixed size per sequence in place of a KV cache."""

    layers: int = Field(gt=0, le=10_000)
    key_heads: int = Field(gt=0, le=10_000)
    value_heads: int = Field(gt=0, le=10_000)
    head_dim: int = Field(gt=0, le=10_000)


class Architecture(reading.Data):
    """`profiles/models/*.toml`: what a model's configuration file says. Parameters are counted
    without norms and biases, which are less than a thousandth."""

    name: str = Field(min_length=1)
    description: str = Field(min_length=1)
    sources: dict[str, str] = Field(min_length=1)
    aliases: tuple[str, ...] = Field((), description="Names it goes by on hubs and servers.")
    vocabulary: str = Field(min_length=1, description="The BPE it is served with here.")
    quantization: Quantization = Field("bf16", description="As it is published.")
    context_tokens: int = Field(gt=0, le=100_000_000)
    layers: int = Field(gt=0, le=10_000)
    hidden: int = Field(gt=0, le=1_000_000)
    heads: int = Field(gt=0, le=10_000)
    kv_heads: int = Field(gt=0, le=10_000)
    head_dim: int = Field(gt=0, le=10_000)
    ffn: int = Field(0, ge=0, le=10_000_000, description="Of the layers without experts.")
    vocabulary_tokens: int = Field(gt=0, le=10_000_000)
    tied_embeddings: bool = False
    gated_attention: bool = Field(False, description="Whether a gate doubles the query product.")
    sliding_window_tokens: int = Field(0, ge=0, le=100_000_000)
    sliding_layers: int = Field(0, ge=0, le=10_000, description="That look back only so far.")
    unquantized_attention: tuple[Quantization, ...] = Field(
        (), description="Quantisations whose checkpoints leave attention in bf16."
    )
    experts: Experts | None = None
    latent: LatentAttention | None = None
    linear: LinearAttention | None = None

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        if self.heads % self.kv_heads:
            raise ValueError("heads: is no multiple of kv_heads")
        dense = self.layers if self.experts is None else self.experts.dense_layers
        if dense and not self.ffn:
            raise ValueError("ffn: is missing; there are layers without experts")
        linear = self.linear.layers if self.linear else 0
        if self.sliding_layers + linear > self.layers or dense > self.layers:
            raise ValueError("layers: are fewer than their kinds together")
        if self.sliding_layers and not self.sliding_window_tokens:
            raise ValueError("sliding_window_tokens: is missing")
        return self

    # -- parameters ---------------------------------------------------------------------------

    @cached_property
    def moe_layers(self) -> int:
        return self.layers - self.experts.dense_layers if self.experts else 0

    @cached_property
    def cached_layers(self) -> int:
        """Layers with a KV cache."""
        return self.layers - (self.linear.layers if self.linear else 0)

    @cached_property
    def attention_parameters(self) -> int:
        if self.latent is not None:
            return self.layers * self._latent_parameters(self.latent)
        width = self.heads * self.head_dim
        query = width * (2 if self.gated_attention else 1)
        full = self.hidden * (query + width + 2 * self.kv_heads * self.head_dim)
        if self.linear is None:
            return self.layers * full
        keys = self.linear.key_heads * self.linear.head_dim
        values = self.linear.value_heads * self.linear.head_dim
        # Query, key, value, output gate and output.
        return self.cached_layers * full + self.linear.layers * self.hidden * (
            2 * keys + 3 * values
        )

    def _latent_parameters(self, latent: LatentAttention) -> int:
        query_out = self.heads * (latent.nope_dim + latent.rope_dim)
        query = (
            latent.query_rank * (self.hidden + query_out)
            if latent.query_rank
            else self.hidden * query_out
        )
        down = self.hidden * (latent.kv_rank + latent.rope_dim)
        up = latent.kv_rank * self.heads * (latent.nope_dim + latent.value_dim)
        return query + down + up + self.heads * latent.value_dim * self.hidden

    @cached_property
    def feed_forward_parameters(self) -> int:
        """Of what every token passes: dense layers and shared experts."""
        matrices = 3 * self.hidden  # gate, up and down
        if self.experts is None:
            return self.layers * matrices * self.ffn
        dense = self.experts.dense_layers * self.ffn
        return matrices * (dense + self.moe_layers * self.experts.shared * self.experts.ffn)

    @cached_property
    def expert_parameters(self) -> int:
        """Of all routed experts."""
        if self.experts is None:
            return 0
        return self.moe_layers * self.experts.count * 3 * self.hidden * self.experts.ffn

    @cached_property
    def head_parameters(self) -> int:
        """Of the product with the vocabulary."""
        return self.hidden * self.vocabulary_tokens

    @cached_property
    def parameters(self) -> int:
        embeddings = self.head_parameters * (1 if self.tied_embeddings else 2)
        layers = self.attention_parameters + self.feed_forward_parameters + self.expert_parameters
        return layers + embeddings

    @cached_property
    def active_parameters(self) -> int:
        """What one token is multiplied with, the vocabulary included."""
        experts = self.experts
        routed = self.expert_parameters * experts.per_token // experts.count if experts else 0
        layers = self.attention_parameters + self.feed_forward_parameters + routed
        return layers + self.head_parameters

    # -- bytes --------------------------------------------------------------------------------

    def attention_format(self, quantization: Quantization) -> Quantization:
        return "bf16" if quantization in self.unquantized_attention else quantization

    def dense_bytes(self, quantization: Quantization) -> float:
        """Of the layers' weights without the routed experts."""
        attention = FORMATS[self.attention_format(quantization)].bytes_per_weight
        rest = FORMATS[quantization].bytes_per_weight
        return self.attention_parameters * attention + self.feed_forward_parameters * rest

    def expert_bytes(self, quantization: Quantization) -> float:
        return self.expert_parameters * FORMATS[quantization].bytes_per_weight

    @property
    def head_bytes(self) -> float:
        """Checkpoints leave the vocabulary in bf16."""
        return self.head_parameters * FORMATS["bf16"].bytes_per_weight

    def weight_bytes(self, quantization: Quantization) -> float:
        """Of all weights, embeddings included."""
        embeddings = self.head_bytes * (1 if self.tied_embeddings else 2)
        return self.dense_bytes(quantization) + self.expert_bytes(quantization) + embeddings

    def kv_bytes_per_token(self, bytes_per_value: float = 2.0) -> float:
        """Of one copy of the cache, over all layers that keep one."""
        if self.latent is not None:
            width = self.latent.kv_rank + self.latent.rope_dim
        else:
            width = 2 * self.kv_heads * self.head_dim
        return self.cached_layers * width * bytes_per_value

    @property
    def state_bytes_per_sequence(self) -> float:
        """Of linear-attention layers, kept in fp32."""
        if self.linear is None:
            return 0.0
        return 4.0 * self.linear.layers * self.linear.value_heads * self.linear.head_dim**2


def model_names() -> list[str]:
    return reading.names("models")


def load_model(name: str) -> Architecture:
    """By the name it is shipped under, one of its aliases, or a file. Raises ConfigError."""
    return reading.load(Architecture, "models", _aliases().get(name.lower(), name))


@cache
def _aliases() -> dict[str, str]:
    known = {}
    for name in model_names():
        for alias in reading.load(Architecture, "models", name).aliases:
            known[alias.lower()] = name
    return known

"""Sizes of a model, from which memory is computed."""

from pydantic import Field, model_validator

from serving.config import Frozen


class ModelShape(Frozen):
    """Sizes of a model, as in its config.json, from which memory is computed. Local weights need none."""

    parameters: int = Field(ge=1, description="Number of parameters, all experts included.")
    layers: int = Field(ge=1, description="Number of transformer layers.")
    kv_heads: int = Field(ge=1, description="Number of key-value heads.")
    head_dim: int = Field(ge=1, description="Size of one attention head.")
    weight_bits: float = Field(
        default=16, gt=0, description="Bits per parameter as served: 16 for bf16, 8 for FP8, about 4.5 for AWQ."
    )
    kv_bits: int = Field(default=16, ge=4, description="Bits per value in the key-value cache.")
    active_parameters: int | None = Field(
        default=None, ge=1, description="Parameters that one token uses, in a mixture of experts. None: all."
    )
    full_attention_layers: int | None = Field(
        default=None, ge=0, description="Layers that cache the whole context. None: all. The others cache a window."
    )
    window_tokens: int = Field(
        default=0, ge=0, description="Length of the sliding window of the layers without full attention."
    )

    linear_width: int | None = Field(
        default=None,
        ge=1,
        description="Inputs plus outputs of all linear layers of one transformer layer, those of all experts included,"
        " for the memory of adapters. None: estimated, for models without experts.",
    )

    @model_validator(mode="after")
    def _parts_are_not_larger_than_the_whole(self) -> "ModelShape":
        if self.active_parameters is not None and self.active_parameters > self.parameters:
            raise ValueError(f"active_parameters is {self.active_parameters}, but parameters is {self.parameters}")
        if self.full_attention_layers is not None and self.full_attention_layers > self.layers:
            raise ValueError(f"full_attention_layers is {self.full_attention_layers}, but layers is {self.layers}")
        if (self.windowed_layers > 0) != (self.window_tokens > 0):
            raise ValueError("full_attention_layers (below layers) and window_tokens belong together; set both")
        return self

    @property
    def windowed_layers(self) -> int:
        """Number of layers that cache a sliding window."""
        return 0 if self.full_attention_layers is None else self.layers - self.full_attention_layers

    @property
    def weight_bytes(self) -> float:
        """Size of all weights as served."""
        return self.parameters * self.weight_bits / 8

    @property
    def kv_bytes_per_token(self) -> float:
        """Keys and values of one more token, in the layers that cache the whole context."""
        return (self.layers - self.windowed_layers) * self._layer_bytes_per_token

    @property
    def window_bytes(self) -> float:
        """Keys and values of one request in the layers that cache a sliding window."""
        return self.windowed_layers * self.window_tokens * self._layer_bytes_per_token

    @property
    def _layer_bytes_per_token(self) -> float:
        return 2 * self.kv_heads * self.head_dim * self.kv_bits / 8

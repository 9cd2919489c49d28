"""Sizes that contradict each other are refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from deployments.model_shape import ModelShape

SIZES = {"parameters": 1000, "layers": 6, "kv_heads": 4, "head_dim": 8}


def test_every_layer_caches_the_whole_context_by_default() -> None:
    shape = ModelShape(**SIZES)
    assert shape.windowed_layers == 0
    assert shape.window_bytes == 0
    assert shape.kv_bytes_per_token == 6 * 2 * 4 * 8 * 2


def test_only_layers_with_full_attention_grow_with_the_context() -> None:
    shape = ModelShape(**SIZES, full_attention_layers=2, window_tokens=64, kv_bits=8)
    assert shape.windowed_layers == 4
    assert shape.kv_bytes_per_token == 2 * 2 * 4 * 8
    assert shape.window_bytes == 4 * 64 * 2 * 4 * 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"active_parameters": 1001}, "active_parameters is 1001, but parameters is 1000"),
        ({"full_attention_layers": 7, "window_tokens": 1}, "full_attention_layers is 7, but layers is 6"),
        ({"full_attention_layers": 2}, "belong together; set both"),
        ({"window_tokens": 64}, "belong together; set both"),
    ],
)
def test_sizes_that_contradict_each_other(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ModelShape(**SIZES, **changes)

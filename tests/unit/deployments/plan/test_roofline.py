"""Times of a roofline, against values computed by hand."""

import pytest

from deployments.model_shape import ModelShape
from deployments.plan.roofline import Roofline

# 10 GB of weights; keys and values of 2 x 1 head x 100 x 16 bits in 10 layers: 4,000 bytes per token.
DENSE = {"parameters": 10_000_000_000, "layers": 10, "kv_heads": 1, "head_dim": 100, "weight_bits": 8}
# Reads 1 TB/s and computes 100 TFLOPS: 10 ms for the weights, 0.2 ms for a token's 20 GFLOP.
SPEED = {"bytes_per_s": 1e12, "flops": 100e12}


def roofline(**changes: object) -> Roofline:
    return Roofline(ModelShape.model_validate({**DENSE, **changes}), **SPEED)


def test_a_long_prompt_takes_the_time_of_its_operations() -> None:
    assert roofline().prefill_s(1000) == pytest.approx(0.2)


def test_a_short_prompt_takes_the_time_of_reading_the_weights() -> None:
    assert roofline().prefill_s(10) == pytest.approx(0.01 + 10 * 4000 / 1e12)


def test_a_step_reads_the_weights_once_and_the_cache_of_each_request() -> None:
    assert roofline().step_s(1, 1000) == pytest.approx(0.01 + 0.000004)
    assert roofline().step_s(32, 1000) == pytest.approx(0.01 + 32 * 0.000004)


def test_a_large_batch_takes_the_time_of_its_operations() -> None:
    assert roofline().step_s(100, 1000) == pytest.approx(0.02)


def test_a_few_tokens_read_the_experts_that_they_use_and_many_read_all() -> None:
    sparse = roofline(active_parameters=1_000_000_000)
    assert sparse.step_s(1, 0) == pytest.approx(0.001)
    assert sparse.step_s(4, 0) == pytest.approx(0.004)
    assert sparse.step_s(32, 0) == pytest.approx(0.01)
    assert sparse.prefill_s(1000) == pytest.approx(0.02)


def test_a_sliding_window_is_read_up_to_its_length() -> None:
    windowed = roofline(full_attention_layers=5, window_tokens=100)
    assert windowed.cache_bytes(50) == pytest.approx(50 * 4000)
    assert windowed.cache_bytes(1000) == pytest.approx(1000 * 2000 + 100 * 2000)


def test_an_answer_alone_is_a_prefill_and_a_step_for_each_further_token() -> None:
    first_s, last_s = roofline().answer_s(1000, 101)
    assert first_s == pytest.approx(0.2)
    assert last_s == pytest.approx(0.2 + 100 * (0.01 + 1050.5 * 4000 / 1e12))


def test_prompts_of_others_are_computed_between_the_tokens() -> None:
    # Each of three other requests has its 0.2 s of prefill within the 100 tokens.
    step_s = 0.01 + 4 * 1050 * 4000 / 1e12
    assert roofline().token_s(1000, 100, calls=4) == pytest.approx(step_s + 3 * 0.2 / 100)


def test_a_busy_replica_spends_a_share_of_each_step_on_a_request() -> None:
    expected = 0.2 + 100 * (0.01 + 10 * 1050 * 4000 / 1e12) / 10
    assert roofline().busy_s(1000, 100, batch=10) == pytest.approx(expected)


def test_several_answers_to_one_prompt_compute_it_once() -> None:
    one, six = (roofline().busy_s(1000, 100, batch=10, choices=choices) for choices in (1, 6))
    assert six - 0.2 == pytest.approx(6 * (one - 0.2))
    # They are decoded together, and no prompt of another call comes between their tokens.
    assert roofline().token_s(1000, 100, calls=1, choices=6) == pytest.approx(roofline().step_s(6, 1050))

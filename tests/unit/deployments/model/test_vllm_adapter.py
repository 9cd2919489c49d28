"""What vLLM says, in the contract's words."""

import pytest

from deployments.model.vllm_adapter import finish_reason
from serving.errors import EngineFailed, IncompleteGeneration


@pytest.mark.parametrize(
    ("given", "meant"), [(None, None), ("stop", "stop"), ("length", "length"), ("repetition", "stop")]
)
def test_how_a_choice_ended(given: str | None, meant: str | None) -> None:
    assert finish_reason("m", given) == meant


def test_an_answer_that_the_engine_gave_up_is_not_a_whole_one() -> None:
    with pytest.raises(IncompleteGeneration, match="gave the request up"):
        finish_reason("m", "abort")
    with pytest.raises(EngineFailed, match="'error'"):
        finish_reason("m", "error")

"""Log probabilities of vLLM as the project's, and the echo of a prompt before a choice."""

import math

import pytest
from vllm.logprobs import Logprob

from deployments.model.echo import Echo
from deployments.model.token_logprobs import token_logprobs
from serving.errors import EngineFailed
from serving.types import Delta, TokenLogprob

POSITIONS = [None, {6: Logprob(-2.0, 4, "lo"), 8: Logprob(-0.1, 1, "p"), 9: Logprob(-0.5, 2, "y")}]
OWN = TokenLogprob("!", -1.0, b"!")


def echo() -> Echo:
    return Echo("m", "Hello", (5, 6), lambda token_id: {5: "Hel"}[token_id])


def test_alternatives_come_in_their_order() -> None:
    assert token_logprobs((6,), POSITIONS[1:], 1) == (
        TokenLogprob("lo", -2.0, b"lo", (TokenLogprob("p", -0.1, b"p"),)),
    )
    assert token_logprobs((6,), POSITIONS[1:], 0) == (TokenLogprob("lo", -2.0, b"lo"),)
    assert token_logprobs((6,), [{6: Logprob(-2.0, None, None)}], 1)[0].token == ""


def test_each_choice_begins_with_the_prompt_once() -> None:
    one = echo()
    assert one.before(Delta("!", 0), None, None) == Delta("Hello!", 0)
    assert one.before(Delta("?", 1), None, None) == Delta("Hello?", 1)
    assert one.before(Delta("!", 0), None, None) == Delta("!", 0)


def test_the_first_token_of_the_prompt_has_no_probability() -> None:
    delta = echo().before(Delta("!", logprobs=(OWN,)), POSITIONS, 2)
    assert delta.text == "Hello!"
    first, second, third = delta.logprobs or ()
    assert (first.token, math.isnan(first.logprob), first.top) == ("Hel", True, ())
    assert (second.logprob, [top.token for top in second.top]) == (-2.0, ["p", "y"])
    assert third == OWN


def test_a_later_choice_may_come_without_the_prompts_probabilities() -> None:
    """The engine gives them once: an output that holds pieces of two choices has those of its first piece alone."""
    one = echo()
    first = one.before(Delta("!", 0), POSITIONS, 0)
    second = one.before(Delta("?", 1), [], 0)
    assert [token.token for token in second.logprobs] == [token.token for token in first.logprobs] == ["Hel", "lo"]


def test_without_tokens_of_its_own_a_choice_is_the_prompt() -> None:
    delta = echo().before(Delta(finish_reason="length"), POSITIONS, 0)
    assert (delta.text, len(delta.logprobs or ()), delta.finish_reason) == ("Hello", 2, "length")


@pytest.mark.parametrize("positions", [None, [], POSITIONS[:1]])
def test_missing_probabilities_are_an_error(positions: list[None] | None) -> None:
    with pytest.raises(EngineFailed, match="log probabilities for the 2 tokens of the prompt"):
        echo().before(Delta("!"), positions, 1)

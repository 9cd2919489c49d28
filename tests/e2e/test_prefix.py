"""Loops of tool calls on real engines: the next call finds its prompt in the prefix cache.

`tool_choice: required` is structured output, so that the calls are valid whatever the weights have learned.
"""

import time

import openai
import pytest

from loadtest.bench.tool_loop import loop
from tests.e2e.conftest import MODELS, Stats

BLOCK_TOKENS = 32  # of the profile: the last block of a prompt is computed again
WHOLE, ONE_EMPTY = 2003, 1074  # seeds of conversations: to the second a proposer gives an empty answer
RESULT_TOKENS = 64  # more than a tool's result and the template around it


def wait_until_idle(stats: Stats) -> None:
    """Return when no engine has worked for a second: prefills of the next turn have ended."""
    before: object = None
    while (now := stats()) != before or any(one["unfinished_requests"] for one in now.values()):
        before = now
        time.sleep(1)


@pytest.mark.parametrize(("model", "seed"), [("moa-lite", WHOLE), ("moa-lite", ONE_EMPTY), ("tiny-qwen", WHOLE)])
def test_a_later_call_finds_nine_tenths_of_its_prompt_in_the_cache(
    client: openai.OpenAI, model: str, seed: int
) -> None:
    first, *later = loop(client, model, lambda: None, calls=3, words=500, seed=seed)
    assert first.prompt_tokens > 1000
    assert first.agents == (len(MODELS) + 1 if model == "moa-lite" else 1)
    for call in later:
        assert call.agents == 1  # the panel is asked once per user turn
        assert call.prompt_tokens > first.prompt_tokens
        assert call.cached_share >= 0.9


@pytest.mark.timeout(300)
def test_while_the_client_runs_its_tool_the_call_itself_is_computed(client: openai.OpenAI, stats: Stats) -> None:
    """The generated tokens are no prefix of the next prompt, whose template writes the calls in another way."""
    calls = loop(client, "moa-lite", lambda: wait_until_idle(stats), calls=3, words=500, seed=WHOLE)
    for call in calls[1:]:
        assert call.prompt_tokens - call.cached_tokens <= BLOCK_TOKENS + RESULT_TOKENS

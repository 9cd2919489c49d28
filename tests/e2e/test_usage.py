"""Records of real answers: their sums equal the usage in the answers, to the token."""

import httpx

from loadtest.usage_sum import compared, table
from tests.e2e.conftest import MODELS


async def test_the_sum_of_the_records_is_the_sum_of_the_answers_usage(base_url: str) -> None:
    """Each dialect, whole and streamed, with a model and with recipes; prompts are partly in the prefix cache."""
    async with httpx.AsyncClient(base_url=base_url, timeout=240) as client:
        sums, found = await compared(client, [MODELS[0], "moa-lite", "vote", "cascade"], 20, 12, 4)
    assert sums["requests"] == 20
    assert sums["prompt_tokens"] > sums["completion_tokens"] > 0
    assert dict(sums) == dict(found), table(sums, found)

"""Vote: the most frequent answer."""

from tests.support.recipes import Ask, Trio, run


async def test_vote_gives_the_most_frequent_answer(trio: Trio, ask: Ask) -> None:
    trio["a"].answer, trio["b"].answer, trio["c"].answer = "It is 41.", "So: 42", "The sum is 42!"
    done = await run(trio, ask(), {"preset": "vote", "answer_kind": "number"})
    assert done.text == "So: 42"

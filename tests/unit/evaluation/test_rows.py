"""Properties of an answer's row."""

from tests.support.rows import agent, row


def test_calls_are_counted_once_for_samples_of_one_call() -> None:
    samples = [agent("a", "x"), agent("a", "y", position=1, prompt_tokens=0, completion_tokens=0)]
    assert row("self", "1", "x", trace=[*samples, agent("a", "x", layer=2, role="aggregator")]).calls == 2
    assert row("self", "1", "x", trace=[agent("a", "x", prompt_tokens=None)]).calls == 1
    assert row("single", "1", "x").calls == 1

"""Votes of proposals by their short answers."""

from serving.conversation import ToolCall
from serving.recipes.voting import majority, votes
from serving.references import Draft, Reference


def references(*texts: str) -> tuple[Reference, ...]:
    return tuple(Reference("m", text) for text in texts)


def test_equal_answers_are_votes_for_the_same() -> None:
    assert votes(references("It is 0.5.", "so 1/2", "It is 3", "no idea"), "number") == {
        ("text", "1/2"): 2,
        ("text", "3"): 1,
    }


def test_calls_are_votes_too_and_no_text_is_a_vote_for_calls() -> None:
    call = ToolCall("c1", "look", "{}")
    drafts = [Draft("", (call,), ballot) for ballot in ("[look]", None, "[look]")]
    given = (*references("calls [look]", "[look]"), *(Reference("m", "prose", draft=draft) for draft in drafts))
    assert votes(given, "text") == {("text", "calls [look]"): 1, ("text", "[look]"): 1, ("calls", "[look]"): 2}
    assert majority(given, "text") is given[2]


def test_the_first_proposal_of_the_most_frequent_answer_wins() -> None:
    given = references("It is 3", "It is 0.5.", "so 1/2")
    assert majority(given, "number") is given[1]


def test_a_tie_is_won_by_the_earlier_proposal() -> None:
    given = references("no idea", "It is 3", "It is 4")
    assert majority(given, "number") is given[1]


def test_without_any_answer_the_first_proposal_wins() -> None:
    given = references("no idea", "none")
    assert majority(given, "number") is given[0]

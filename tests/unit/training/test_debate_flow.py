"""Course of a debate's answers."""

import pytest

from evaluation.rows import AgentRow, Row
from training.debate_flow import DebateFlow, debate_flow


def agent(layer: int, role: str, text: str, tokens: int | None) -> AgentRow:
    return AgentRow(layer=layer, agent=0, role=role, model="m", outcome="ok", text=text, completion_tokens=tokens)


def row(item: str, final: str, *said: str, tokens: int | None = 2, error: str | None = None) -> Row:
    roles = ("solver", "critic", "solver")
    trace = tuple(agent(n, role, text, tokens) for n, (role, text) in enumerate(zip(roles, said, strict=False), 1))
    return Row(
        arm="debate",
        model="debate",
        dataset="d",
        item=item,
        questions=("2 + 2?",),
        answers=(final,),
        reference="4",
        scorer="exact",
        score=float(final == "4"),
        trace=trace,
        error=error,
    )


ROWS = [
    row("a", "4", "4", "ACCEPT"),
    row("b", "5", "4", "It should be 5.", "5", tokens=6),
    row("c", "4", "5", "It should be 4.", "4", tokens=4),
    row("d", "5", "5", "accept."),
]


def test_shares_of_first_answers_verdicts_and_revisions() -> None:
    assert debate_flow(ROWS) == DebateFlow(4, 0.5, 0.5, 0.25, 0.25, 3.5, 3.5)


def test_an_unknown_count_makes_no_mean() -> None:
    flow = debate_flow([*ROWS, row("e", "4", "4", "ACCEPT", tokens=None)])
    assert flow is not None
    assert (flow.first_right, flow.first_tokens, flow.verdict_tokens) == (pytest.approx(0.6), None, None)


def test_programs_are_not_run_for_the_first_answer() -> None:
    program = row("a", "x = 4", "x = 5", "ACCEPT").model_copy(update={"scorer": "code", "reference": "assert x == 4"})
    assert debate_flow([program]) is None
    assert debate_flow([program, *ROWS]) == debate_flow(ROWS)


def test_failed_answers_and_other_recipes_have_no_course() -> None:
    assert debate_flow([row("a", "4", "4", "ACCEPT", error="429"), row("b", "4", "4"), row("c", "4")]) is None

"""Blend: pairwise wins, then a fusion."""

from serving.types import GenerateRequest
from tests.support.recipes import Ask, Trio, run


async def test_blend_fuses_the_best_by_pairs_in_both_orders(trio: Trio, ask: Ask) -> None:
    trio["b"].answer = "weak"

    def compare(request: GenerateRequest) -> str:
        text = request.messages[-1].content
        if "Candidates" not in text:
            return "c answers"
        return "2" if "\n1. weak" in text else "1"

    trio["c"].answer = compare
    await run(trio, ask(), "blend")
    assert sum("Candidates" in str(request.messages) for request in trio["c"].requests) == 6
    final = trio["a"].requests[-1].messages[0].content
    assert "weak" not in final
    assert "c answers" in final

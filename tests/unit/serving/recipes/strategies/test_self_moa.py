"""Self-MoA and Self-MoA-Seq: one call with n answers, and a window over any number of samples."""

import pytest

from serving.engines.scripted import ScriptedAnswer
from serving.errors import EngineFailed
from serving.types import GenerateRequest
from tests.support.recipes import Ask, Trio, fails_when, reasons, run, shown


async def test_self_moa_is_one_call_with_n_answers(trio: Trio, ask: Ask) -> None:
    done = await run(trio, ask(options={"samples": 4}), "self-moa")
    assert [request.sampling.n for request in trio["b"].requests] == [4]
    assert done.text == "a says 4"


@pytest.mark.parametrize(("samples", "syntheses"), [(6, 0), (7, 1), (12, 2), (30, 8)])
async def test_self_moa_seq_slides_over_any_number(trio: Trio, ask: Ask, samples: int, syntheses: int) -> None:
    done = await run(trio, ask(options={"samples": samples}), "self-moa-seq")
    shown = trio["a"].requests
    assert len(shown) == syntheses + 1
    numbers = ["\n6. " in request.messages[0].content for request in shown[:-1]]
    assert all(numbers)
    assert done.text.startswith("a says")


async def test_self_moa_seq_keeps_slots_for_the_synthesis(trio: Trio, ask: Ask) -> None:
    await run(trio, ask(options={"samples": 9}), "self-moa-seq")
    final = trio["a"].requests[-1].messages[0].content
    assert final.count("a says 6") == 3
    assert final.count("b says 0") == 3


async def test_a_synthesis_on_the_way_that_fails_costs_quality_not_the_request(trio: Trio, ask: Ask) -> None:
    lost = [EngineFailed("a", "gone for a moment")]
    fails_when(trio["a"], shown="Responses from models")
    failing = trio["a"].answer

    def once(request: GenerateRequest) -> str | ScriptedAnswer:
        if lost:
            lost.pop()
            assert callable(failing)
            return failing(request)
        return "a synthesis"

    trio["a"].answer = once
    done = await run(trio, ask(options={"samples": 9}), "self-moa-seq")
    assert done.text == "a synthesis"
    assert "'a' (aggregator, layer 2) failed." in reasons(done)
    assert shown(trio["a"]).count("b says 0") == 6

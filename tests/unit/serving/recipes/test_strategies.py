"""Each strategy over scripted engines: the prompts of its agents, and its answer."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.model_spec import ExternalSpec
from serving.engine import Engine
from serving.engines.scripted import ScriptedEngine
from serving.errors import ConfigError, EngineFailed, InvalidRequest, LimitExceeded
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.recipes.loading import PRESETS
from serving.recipes.strategies.plan import parse_plan
from serving.types import Delta, GenerateRequest
from tests.support.recipes import TEAM, outcomes, run

Trio = dict[str, ScriptedEngine]
Ask = Callable[..., GenerateRequest]


async def test_every_preset_answers(trio: Trio, ask: Ask) -> None:
    for preset in sorted(PRESETS.glob("*.yaml")):
        names = [preset.stem, *({"moa-lite"} & load_recipes([preset.stem], TEAM)[preset.stem].delegates())]
        done = await run(trio, ask("Why is it so?", max_tokens=20), *names)
        assert done.text.strip(), preset.stem


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


async def test_vote_gives_the_most_frequent_answer(trio: Trio, ask: Ask) -> None:
    trio["a"].answer, trio["b"].answer, trio["c"].answer = "It is 41.", "So: 42", "The sum is 42!"
    done = await run(trio, ask(), {"preset": "vote", "answer_kind": "number"})
    assert done.text == "So: 42"


async def test_rank_asks_in_every_order_and_a_favoured_place_cancels_out(trio: Trio, ask: Ask) -> None:
    trio["a"].answer, trio["b"].answer = "good answer", "bad answer"
    verdicts = ScriptedEngine(
        "c", lambda request: "proposal of c" if "Candidates" not in str(request.messages) else "1"
    )
    done = await run({**trio, "c": verdicts}, ask(), "rank")
    orders = [request for request in verdicts.requests if "Candidates" in str(request.messages)]
    assert len(orders) == 3
    assert done.text == "good answer"  # each candidate got one vote: the tie goes to the first

    def prefers(request: GenerateRequest) -> str:
        text = request.messages[-1].content
        if "Candidates" not in text:
            return "proposal of c"
        return next(number for number in "123" if f"\n{number}. bad answer" in text)

    trio["c"].answer = prefers
    assert (await run(trio, ask(), "rank")).text == "bad answer"


async def test_a_judge_that_says_nothing_readable_degrades(trio: Trio, ask: Ask) -> None:
    trio["c"].answer = "no idea"
    done = await run(trio, ask(), "rank")
    assert done.report is not None
    assert done.report.degraded
    assert done.text == "a says 0"


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


async def test_debate_ends_when_the_critic_accepts(trio: Trio, ask: Ask) -> None:
    trio["b"].answer, trio["c"].answer = "42", "ACCEPT"
    done = await run(trio, ask(), "debate")
    assert done.text == "42"
    assert outcomes(done) == [(1, "solver", "b"), (2, "critic", "c")]


@pytest.mark.parametrize(("own", "used"), [(None, 0.0), (0.3, 0.3)])
async def test_a_critic_judges_greedily_unless_told_otherwise(
    trio: Trio, ask: Ask, own: float | None, used: float
) -> None:
    trio["c"].answer = "ACCEPT"
    critic = {"model": "c", "temperature": own}
    await run(trio, ask(temperature=0.9), {"id": "x", "strategy": "debate", "solver": "b", "critic": critic})
    assert [request.sampling.temperature for request in trio["c"].requests] == [used]


async def test_debate_revises_up_to_its_limit(trio: Trio, ask: Ask) -> None:
    trio["c"].answer = "The sign is wrong."
    done = await run(trio, ask(options={"rounds": 3}), "debate")
    assert [role for _, role, _ in outcomes(done)] == ["solver", "critic", "solver", "critic", "solver"]
    assert "The sign is wrong." in trio["b"].requests[-1].messages[-1].content


async def test_plan_runs_independent_parts_and_feeds_dependent_ones(trio: Trio, ask: Ask) -> None:
    plan = [{"task": "find x"}, {"task": "find y"}, {"task": "add", "after": [1, 2]}]
    trio["c"].answer = lambda request: json.dumps(plan) if "JSON list" in str(request.messages) else "c did it"
    done = await run(trio, ask(), "plan")
    executors = [entry for entry in outcomes(done) if entry[1] == "executor"]
    assert len(executors) == 3
    adding = next(r for engine in trio.values() for r in engine.requests if "only this part: add" in str(r.messages))
    assert str(adding.messages).count("Already done") == 2
    final = trio["a"].requests[-1].messages[0].content
    assert [final.index(part) for part in ("1. find x", "2. find y", "3. add")] == sorted(
        final.index(part) for part in ("1. find x", "2. find y", "3. add")
    )


async def test_a_plan_that_cannot_be_read_is_the_whole_task(trio: Trio, ask: Ask) -> None:
    assert (await run(trio, ask(), "plan")).text == "a says 3"


def test_plans_are_read_from_what_models_write() -> None:
    parts = parse_plan('Sure!\n[{"task": "a", "after": [1, 5]}, "b", {"task": "c", "after": [2, 3]}, {"x": 1}]')
    assert [(part.task, part.after) for part in parts] == [("a", ()), ("b", ()), ("c", (1,))]
    assert parse_plan("no list") == parse_plan("[broken") == parse_plan('[{"task": ]') == ()


async def test_cascade_stays_with_a_sure_first_answer(trio: Trio, ask: Ask) -> None:
    done = await run(trio, ask(), "cascade", "moa-lite")
    assert done.text == "b says 0"
    assert outcomes(done) == [(1, "first", "b")]


@pytest.mark.parametrize("keep", [True, False])
async def test_cascade_escalates_below_the_threshold(trio: Trio, ask: Ask, keep: bool) -> None:
    trio["b"].logprob = -1.0
    done = await run(trio, ask(), {"preset": "cascade", "keep_first": keep}, "moa-lite")
    assert done.text == f"a says {3 + keep}"
    if keep:
        assert "1. b says 0" in trio["a"].requests[-1].messages[0].content


@pytest.mark.parametrize("otherwise", ["moa-lite", "c"])
async def test_a_first_answer_is_kept_through_two_hand_overs(trio: Trio, ask: Ask, otherwise: str) -> None:
    trio["a"].logprob = trio["b"].logprob = -5.0
    cascade = {"id": "careful", "strategy": "cascade", "first": "b", "escalate": "auto"}
    auto = {"id": "auto", "strategy": "auto", "otherwise": otherwise}
    await run(trio, ask(), cascade, auto, "moa-lite")
    final = trio["c" if otherwise == "c" else "a"].requests[-1]
    assert "1. b says 0" in final.messages[0].content


async def test_a_defect_while_one_judge_is_asked_leaves_no_other_at_work(trio: Trio, ask: Ask) -> None:
    def verdict(request: GenerateRequest) -> str:
        raise ZeroDivisionError

    async def first_hangs(request: GenerateRequest, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        if request.request_id.endswith("-2-0"):
            await asyncio.Event().wait()
        async for delta in stream:
            yield delta

    trio["c"].intercept, trio["c"].answer = first_hangs, verdict
    rank = {"id": "rank", "strategy": "rank", "proposers": ["a", "b"], "judge": {"model": "c", "temperature": 1}}
    with pytest.raises(ExceptionGroup):
        await run(trio, ask(), rank)
    assert trio["c"].running == 0


async def test_cascade_by_a_judges_grade(trio: Trio, ask: Ask) -> None:
    grades = {"preset": "cascade", "score": "judge", "judge": "c", "threshold": 0.8}
    trio["c"].answer = "9"
    assert (await run(trio, ask(), grades, "moa-lite")).text == "b says 0"
    trio["c"].answer = "3/10"
    assert (await run(trio, ask(), grades, "moa-lite")).text.startswith("a says")


async def test_a_failing_first_model_escalates(trio: Trio, ask: Ask) -> None:
    trio["b"].error = EngineFailed("b", "gone")
    done = await run(trio, ask(), "cascade", "moa-lite")
    assert done.text == "a says 2"


async def test_adaptive_stops_on_verified_agreement(trio: Trio, ask: Ask) -> None:
    trio["a"].answer, trio["b"].answer = "Paris", "paris."
    done = await run(trio, ask(), "adaptive")
    assert done.text == "Paris"
    assert not trio["c"].requests


async def test_adaptive_adds_proposers_while_they_disagree(trio: Trio, ask: Ask) -> None:
    done = await run(trio, ask(), "adaptive")
    assert done.text == "a says 3"
    assert [model for _, role, model in outcomes(done) if role == "proposer"] == ["a", "b", "c"]


async def test_adaptive_never_skips_the_aggregator_on_long_answers(trio: Trio, ask: Ask) -> None:
    trio["b"].answer = trio["c"].answer = "the same long text " * 10
    trio["a"].answer = lambda r: "joined" if len(r.messages) > 1 else "the same long text " * 10
    assert (await run(trio, ask(), "adaptive")).text == "joined"


async def test_auto_follows_its_rules_then_its_default(trio: Trio, ask: Ask) -> None:
    auto = {"id": "auto", "strategy": "auto", "rules": [{"to": "b", "pattern": r"\d+"}], "otherwise": "moa-lite"}
    assert (await run(trio, ask("what is 2+2"), auto, "moa-lite")).text == "b says 0"
    assert (await run(trio, ask("why"), auto, "moa-lite")).text == "a says 3"


async def test_auto_by_a_trained_classifier(trio: Trio, ask: Ask, tmp_path: Path) -> None:
    router = {"idf": {"sum": 1.0, "capital": 1.0}, "bias": {"a": 0.0, "b": 0.1}, "weights": {"a": {"sum": 2}, "b": {}}}
    path = tmp_path / "router.json"
    path.write_text(json.dumps(router))
    auto = {"id": "auto", "strategy": "auto", "classifier": str(path), "otherwise": "a"}
    assert (await run(trio, ask("the sum please"), auto)).text == "a says 0"
    assert (await run(trio, ask("the capital please"), auto)).text == "b says 0"


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"id": "x", "layers": [["a"]], "aggregator": "a", "colour": 1}, "'layered.colour'|'colour'"),
        ({"id": "x", "layers": [["a"]], "aggregator": "a", "min_proposals": 2}, "only 1 proposers"),
        (
            {"id": "x", "strategy": "debate", "solver": "a", "critic": "b", "min_proposals": 2},
            "min_proposals has no effect",
        ),
        (
            {"id": "x", "strategy": "cascade", "first": "a", "escalate": "b", "straggler_grace_s": 1},
            "no effect on .*cascade",
        ),
        ({"preset": "moa-lite", "aggregator": "z"}, "needs the model 'z'"),
        ({"preset": "cascade", "score": "judge"}, "needs a judge"),
        ({"preset": "cascade"}, "delegates to 'moa-lite'"),
        ({"id": "x", "strategy": "auto", "otherwise": "x"}, "in a circle: x -> x"),
        ({"id": "a", "layers": [["a"]], "aggregator": "a"}, "id of a model and of a recipe"),
    ],
)
def test_a_recipe_that_cannot_work_fails_at_start(trio: Trio, recipe: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Orchestrator(trio, load_recipes([recipe], TEAM))


def test_cascade_needs_logprobs_at_start(trio: Trio) -> None:
    trio["b"].unsupported = frozenset({"logprobs"})
    with pytest.raises(ConfigError, match="requires logprobs of 'b'"):
        Orchestrator(trio, load_recipes(["cascade", "moa-lite"], TEAM))


async def test_a_request_may_choose_team_layers_and_recipe(trio: Trio, ask: Ask) -> None:
    assert (await run(trio, ask(options={"models": ["b", "b", "c"]}), "moa-lite")).text == "a says 3"
    done = await run(trio, ask(options={"models": ["b"], "layers": 3}), "moa-lite")
    assert [entry[2] for entry in outcomes(done)] == ["b", "b", "b", "a"]
    assert (await run(trio, ask(options={"recipe": "vote"}), "moa-lite", "vote")).text == "a says 0"
    with pytest.raises(InvalidRequest, match="'z' is not one of the models"):
        await run(trio, ask(options={"models": ["z"]}), "moa-lite")
    with pytest.raises(InvalidRequest, match=r"Change 'moa\.recipe'"):
        await run(trio, ask(options={"recipe": "none"}), "moa-lite")
    with pytest.raises(LimitExceeded, match="81 calls"):
        await run(trio, ask(options={"models": ["a"] * 5, "layers": 16}), "moa-lite")


def documented(language: str, title: str) -> str:
    """The code of one section of `docs/recipes.md`."""
    section = Path("docs/recipes.md").read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]
    return section.partition(f"```{language}\n")[2].partition("```")[0]


async def test_the_documented_own_recipe_works_without_touching_the_package(
    trio: Trio, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = documented("python", "Writing a custom recipe")
    assert 0 < len(source.splitlines()) < 40
    (tmp_path / "documented_recipes.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    own = {"id": "twice", "strategy": "documented_recipes:Twice", "model": "b"}
    assert (await run(trio, ask(), own)).text == "b says 1"

    orchestrator = Orchestrator(trio, load_recipes([own], TEAM))
    trio["b"].answer = "one two three"
    stream = orchestrator.engines["twice"].generate(ask())
    await anext(stream)
    await stream.aclose()
    assert trio["b"].running == 0


async def test_the_documented_external_model_proposes_and_aggregates(
    trio: Trio, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = yaml.safe_load(documented("yaml", "External models"))
    [spec] = [ExternalSpec.model_validate(external) for external in profile["external"]]
    monkeypatch.setenv(str(spec.api_key_env), "secret")
    served = load_recipes(profile["recipes"], TEAM)
    engines: dict[str, Engine] = {**trio, "far": spec.engine()}
    assert set(Orchestrator(engines, served).engines) >= {"far", "moa-far-aggregator", "moa-far-proposer"}
    assert "secret" not in repr(engines["far"])
    scripted = {**trio, "far": ScriptedEngine("far", "far away")}
    assert (await run(scripted, ask(), profile["recipes"][1])).text == "far away"
    assert (await run(scripted, ask(), profile["recipes"][2])).text == "a says 3"
    assert "4. far away" in trio["a"].requests[-1].messages[0].content


async def test_a_mixed_team_with_repeats(trio: Trio, ask: Ask) -> None:
    done = await run(trio, ask(), "moa-mixed")
    assert [model for _, _, model in outcomes(done)] == ["a", "b", "c", "a", "b", "c", "a"]
    asked = [request for engine in trio.values() for request in engine.requests]
    assert [request.sampling.n for request in asked] == [2, 1, 2, 2]


async def test_a_single_proposer_differs_by_temperature(trio: Trio, ask: Ask) -> None:
    await run(trio, ask(), "moa-single")
    assert len({request.sampling.temperature for request in trio["b"].requests}) == 6


@pytest.mark.parametrize(
    ("question", "answers"),
    [("What is 2 + 2?", "b says 0"), ("Explain tides.", "a says 3"), ("which one " * 20, "a says 3")],
)
async def test_auto_is_a_model_id_of_its_own(trio: Trio, ask: Ask, question: str, answers: str) -> None:
    assert (await run(trio, ask(question), "auto", "moa-lite")).text == answers

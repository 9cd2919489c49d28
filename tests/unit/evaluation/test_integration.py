"""Evaluation against the real API, orchestrator and recipes, with scripted engines in this process."""

import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from deployments.config import load_profile
from evaluation.analysis.teams import team
from evaluation.arms import Arm, from_file, from_names
from evaluation.client import Client
from evaluation.datasets.loading import load
from evaluation.judging import judge
from evaluation.judging.judge import JudgeSettings
from evaluation.judging.verdicts import Comparison
from evaluation.rows import Row
from evaluation.runner import RunSettings, run
from evaluation.store import read_answers, read_rows
from serving.api.app import create_app
from serving.api.settings import ApiSettings
from serving.engines.scripted import ScriptedEngine
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.types import GenerateRequest
from tests.support.loops import caller
from tests.support.paths import ROOT

STUDIES = ROOT / "evaluation" / "studies"
SKILLS = {"tiny-qwen": "sums", "tiny-llama": "words", "tiny-mixtral": "facts"}
TEAM = {"proposers": list(SKILLS), "aggregator": "tiny-qwen", "solo": "tiny-qwen", "judge": "tiny-llama"}
PRESETS = [
    "moa",
    "moa-lite",
    "self-moa",
    "self-moa-seq",
    "rank",
    "vote",
    "cascade",
    "adaptive",
    "debate",
    "blend",
    "plan",
    "moa-mixed",
    "moa-single",
    "auto",
]


def specialist(model: str) -> Callable[[GenerateRequest], str]:
    """Answer right in the model's own skill; otherwise repeat a reference that looks like an answer, or guess."""

    def answer(request: GenerateRequest) -> str:
        question = request.messages[-1].content
        if question.startswith(SKILLS[model]):
            return question.rstrip("?").replace(" ", "")
        shown = re.findall(r"^\d+\. (\w+\d)$", request.messages[0].content, re.MULTILINE)
        return shown[0] if shown else f"{model} guesses"

    return answer


@pytest.fixture(scope="module")
def transport() -> httpx.ASGITransport:
    models = {name: ScriptedEngine(name, specialist(name)) for name in SKILLS}
    orchestrator = Orchestrator(models, load_recipes(PRESETS, TEAM))
    cards = orchestrator.cards()
    return httpx.ASGITransport(create_app(orchestrator.engines, cards, ApiSettings()))


async def answered(transport: httpx.ASGITransport, arms: list[Arm], out: Path) -> dict[str, list[Row]]:
    path = out / "questions.jsonl"
    path.write_text(
        "".join(
            f'{{"id": "{skill}", "skill": "{skill}", "question": "{skill} 7?", "answer": "{skill}7"}}\n'
            for skill in SKILLS.values()
        )
    )
    async with Client("http://x", transport=transport, retries=0) as client:
        counts = await run(client, arms, [load(str(path))], RunSettings(), out)
    rows = read_answers(out)
    assert counts.failed == 0, {row.arm: row.error for row in rows if not row.done}
    return {arm.name: [row for row in rows if row.arm == arm.name] for arm in arms}


async def test_single_models_and_teams_are_told_apart(transport: httpx.ASGITransport, tmp_path: Path) -> None:
    rows = await answered(transport, from_names("tiny-qwen,moa-lite,moa,self-moa,vote"), tmp_path)
    kinds = {arm: team(own[0]).kind for arm, own in rows.items()}
    assert kinds == {"tiny-qwen": "single", "moa-lite": "mixed", "moa": "mixed", "self-moa": "self", "vote": "mixed"}
    assert [row.score for row in rows["moa-lite"]] == [1.0, 1.0, 1.0]
    assert sum(row.score or 0 for row in rows["tiny-qwen"]) == 1


async def test_calls_and_tokens_add_up(transport: httpx.ASGITransport, tmp_path: Path) -> None:
    rows = await answered(transport, from_names("tiny-qwen,moa-lite,moa,self-moa"), tmp_path)
    assert {arm: own[0].calls for arm, own in rows.items()} == {"tiny-qwen": 1, "moa-lite": 4, "moa": 7, "self-moa": 2}
    for own in rows.values():
        for row in own:
            assert row.prompt_tokens == sum(agent.prompt_tokens or 0 for agent in row.trace)
            assert row.completion_tokens == sum(agent.completion_tokens or 0 for agent in row.trace)
    assert len(rows["self-moa"][0].trace) == 7


async def test_every_arm_of_the_trios_study_is_accepted(transport: httpx.ASGITransport, tmp_path: Path) -> None:
    arms = from_file(STUDIES / "trio.yaml")
    rows = await answered(transport, arms, tmp_path)
    teams = {arm: team(own[0]) for arm, own in rows.items()}
    assert {len(found.proposers) for found in teams.values() if found.kind == "mixed"} >= {2, 3, 6}
    assert {len(found.proposers) for found in teams.values() if found.kind == "self"} >= {1, 2, 3, 6}
    assert {found.layers for found in teams.values()} >= {2, 3, 4}
    assert {found.aggregator for found in teams.values()} >= set(SKILLS)


@pytest.mark.parametrize("study", ["thinking", "tools"])
async def test_every_arm_of_the_studies_with_thinking_and_tools_is_accepted(study: str, tmp_path: Path) -> None:
    models = {name: caller(name) for name in SKILLS}
    orchestrator = Orchestrator(models, load_recipes(["moa-lite"], TEAM))
    app = create_app(orchestrator.engines, orchestrator.cards(), ApiSettings())
    arms = from_file(STUDIES / f"{study}.yaml")
    async with Client("http://x", transport=httpx.ASGITransport(app), retries=0) as client:
        counts = await run(client, arms, [load(study, limit=2)], RunSettings(max_requests=2), tmp_path)
    assert (counts.asked, counts.failed) == (2 * len(arms), 0)
    thinking = {row.arm for row in read_answers(tmp_path) if row.reasoning_tokens}
    assert thinking == {arm.name for arm in arms if arm.reasoning_effort != "none"}


@pytest.mark.parametrize(("study", "dataset"), [("stop", "tiny"), ("stop-thinking", "thinking")])
async def test_every_arm_of_the_studies_of_votes_is_accepted(study: str, dataset: str, tmp_path: Path) -> None:
    models = {name: ScriptedEngine(name, "42", thinking=True) for name in SKILLS}
    orchestrator = Orchestrator(models, load_recipes(["vote", "adaptive", "moa-lite"], TEAM))
    app = create_app(orchestrator.engines, orchestrator.cards(), ApiSettings())
    arms = from_file(STUDIES / f"{study}.yaml")
    async with Client("http://x", transport=httpx.ASGITransport(app), retries=0) as client:
        counts = await run(client, arms, [load(dataset, limit=2)], RunSettings(max_requests=2), tmp_path)
    assert (counts.asked, counts.failed) == (2 * len(arms), 0)
    proposals = {row.arm: len(row.trace) for row in read_answers(tmp_path)}
    assert min(proposals[arm.name] for arm in arms if "wave" in arm.moa) < max(proposals.values())


async def test_a_served_judge_compares(transport: httpx.ASGITransport, tmp_path: Path) -> None:
    rows = await answered(transport, from_names("moa-lite,tiny-qwen"), tmp_path)
    every = [row for own in rows.values() for row in own]
    async with Client("http://x", transport=transport) as client:
        settings = JudgeSettings("tiny-llama", weighted=True)
        await judge.compare(client, every, "tiny-qwen", settings, tmp_path)
    pairs = read_rows(tmp_path / "comparisons.jsonl", Comparison)
    assert [(pair.arm, pair.error) for pair in pairs] == [("moa-lite", None)] * 3


async def proposals_of(study: str, tmp_path: Path) -> dict[str, list[tuple[str, float | None]]]:
    """Model and temperature of every proposal of each arm of a study, served as the profile `tiny` serves it."""
    profile = load_profile("tiny")
    asked: list[tuple[str, float | None]] = []

    def recorded(model: str) -> Callable[[GenerateRequest], str]:
        def answer(request: GenerateRequest) -> str:
            asked.append((model, request.sampling.temperature))
            return f"answer {len(asked)}"

        return answer

    models = {model.id: ScriptedEngine(model.id, recorded(model.id)) for model in profile.generating}
    orchestrator = Orchestrator(models, load_recipes(profile.recipes, profile.team))
    app = create_app(orchestrator.engines, orchestrator.cards(), ApiSettings())
    found = {}
    async with Client("http://x", transport=httpx.ASGITransport(app), retries=0) as client:
        for arm in from_file(STUDIES / f"{study}.yaml"):
            asked.clear()
            out = tmp_path / str(len(found))
            counts = await run(client, [arm], [load("tiny", limit=1)], RunSettings(), out)
            assert counts.failed == 0, counts.reasons
            found[arm.name] = list(asked)
    return found


@pytest.mark.parametrize("study", ["adaptive", "cascade", "samples", "temperature"])
async def test_the_profile_accepts_every_arm_of_a_study(study: str, tmp_path: Path) -> None:
    assert all((await proposals_of(study, tmp_path)).values())


async def test_the_temperatures_of_the_study_reach_the_proposers(tmp_path: Path) -> None:
    for arm, asked in (await proposals_of("temperature", tmp_path)).items():
        *proposals, (_, final) = asked
        assert {temperature for _, temperature in proposals} == {float(arm.split()[-1])}
        assert final == 0
        assert len({model for model, _ in proposals}) == (1 if arm.startswith("one") else 3)


async def test_the_numbers_of_samples_of_the_study(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    profile = load_profile("tiny")
    models = {model.id: ScriptedEngine(model.id, lambda request: "x") for model in profile.generating}
    orchestrator = Orchestrator(models, load_recipes(profile.recipes, profile.team))
    transport = httpx.ASGITransport(create_app(orchestrator.engines, orchestrator.cards(), ApiSettings()))
    rows = await answered(transport, from_file(STUDIES / "samples.yaml"), tmp_path / "run")
    for arm, own in rows.items():
        expected = 3 * int(arm.rpartition("×")[2]) if "×" in arm else 0 if arm == "one answer" else int(arm.split()[-1])
        assert len(team(own[0]).proposers) == expected, arm

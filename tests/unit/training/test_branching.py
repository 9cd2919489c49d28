"""Branches: the first turns of a trajectory are kept, the others sampled from the server's models."""

import itertools
from dataclasses import replace
from pathlib import Path

from evaluation.items import Item
from serving.types import GenerateRequest
from tests.support.training import scripted_trio, text_of, transport_of
from training.branching import BranchJob, Upstream, branch_out
from training.client import TracingClient
from training.generation import GenerationSettings, generate
from training.scoring import Ranked
from training.team import load_team
from training.tree import Branch, branches, states_of

ITEM = Item("d", "q", "sums", ("What is 2 + 2?",), "4", "exact")
TEXTS = {"tiny-qwen": text_of("tiny-qwen")}
SETTINGS = GenerationSettings(samples=3)


async def test_a_branch_keeps_the_first_turns_and_their_state(tmp_path: Path) -> None:
    numbers = itertools.count(1)

    def debating(request: GenerateRequest) -> str:
        return f"answer number {next(numbers)}"  # the critic never accepts

    engines = scripted_trio({"tiny-qwen": debating})
    team, transport = load_team("tiny", "debate"), transport_of(engines)
    async with TracingClient("http://s", transport=transport, retries=0) as client:
        first = await generate(client, team, TEXTS, [ITEM], SETTINGS, tmp_path / "t.jsonl")
    samples = [Ranked(trajectory=one, task=0.0, reward=float(one.sample)) for one in first]

    chosen = branches(samples, 2)
    assert [(branch.origin.trajectory.sample, len(branch.kept)) for branch in chosen] == [(2, 1), (2, 2)]
    jobs = [BranchJob(ITEM, 3 + place, branch) for place, branch in enumerate(chosen)]
    before = len(engines["tiny-qwen"].requests)
    found = await branch_out(
        Upstream("http://s", "NO_KEY", transport=transport), team, TEXTS, jobs, SETTINGS, tmp_path / "b.jsonl"
    )
    assert len(engines["tiny-qwen"].requests) == before + 2 + 1  # critic and solver; solver
    assert [(one.branch_of, one.kept_turns, one.unusable, one.error) for one in found] == [
        (2, 1, None, None),
        (2, 2, None, None),
    ]
    origin = first[2].turns
    assert [turn.text for turn in found[1].turns[:2]] == [turn.text for turn in origin[:2]]
    assert found[1].turns[2].prompt == origin[2].prompt
    assert found[1].turns[2].text != origin[2].text
    assert found[0].tokens == 9  # three words of each of three turns

    every = [*samples, *(Ranked(trajectory=one, task=0.0, reward=5.0) for one in found)]
    state = states_of(every)[origin[2].model, "solver", origin[2].prompt]
    assert [child.turn.text for child in state.children] == [origin[2].text, found[1].turns[2].text]

    again = len(engines["tiny-qwen"].requests)
    assert found == await branch_out(
        Upstream("http://s", "NO_KEY", transport=transport), team, TEXTS, jobs, SETTINGS, tmp_path / "b.jsonl"
    )
    assert len(engines["tiny-qwen"].requests) == again


async def test_a_branch_whose_model_is_late_or_fails_is_sampled_again(tmp_path: Path) -> None:
    engines = scripted_trio({"tiny-qwen": "wrong"})
    team, transport = load_team("tiny", "debate"), transport_of(engines)
    async with TracingClient("http://s", transport=transport, retries=0) as client:
        [one, *_] = await generate(client, team, TEXTS, [ITEM], SETTINGS, tmp_path / "t.jsonl")
    sample = Ranked(trajectory=one, task=0.0, reward=1.0)
    jobs = [BranchJob(ITEM, 3, Branch(sample, one.turns[:1], "critic"))]
    upstream, path = Upstream("http://s", "NO_KEY", transport=transport), tmp_path / "b.jsonl"
    engines["tiny-qwen"].ttft_s = 60.0
    [late] = await branch_out(replace(upstream, timeout_s=0.2), team, TEXTS, jobs, SETTINGS, path)
    assert late.error
    engines["tiny-qwen"].ttft_s = 0.0
    engines["tiny-qwen"].cut_after = 0
    [failed] = await branch_out(upstream, team, TEXTS, jobs, SETTINGS, path)
    assert failed.error or failed.unusable
    engines["tiny-qwen"].cut_after = None
    [found] = await branch_out(upstream, team, TEXTS, jobs, SETTINGS, path)
    assert found.usable == (failed.unusable is None)

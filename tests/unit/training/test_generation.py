"""Generation against a scripted server: samples, errors, and a run that is resumed."""

from collections import Counter
from pathlib import Path

import httpx
import pytest

from evaluation.errors import EvaluationError
from evaluation.items import Item
from serving.types import GenerateRequest
from tests.support.training import scripted_trio, text_of, transport_of
from training.client import TracingClient
from training.errors import TrainingError
from training.formats import FORMATS
from training.generation import GenerationSettings, generate, read_trajectories, sampling_of
from training.team import load_team
from training.trajectory import Trajectory

ITEMS = [Item("d", f"q{number}", "sums", (f"What is {number} + 1?",), str(number + 1), "exact") for number in range(3)]
TEXTS = {"tiny-qwen": text_of("tiny-qwen")}


def critic_accepts(request: GenerateRequest) -> str:
    return "ACCEPT" if "You check answers" in request.messages[-1].content else "4"


class Counting(httpx.AsyncBaseTransport):
    """Passes requests on, counts them, and fails where `fails` says so."""

    def __init__(self, inner: httpx.AsyncBaseTransport, fails: int = 0) -> None:
        self.inner, self.fails, self.asked = inner, fails, 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.asked <= self.fails:
            return httpx.Response(400, json={"error": {"message": "No.", "type": "t", "param": None, "code": "c"}})
        return await self.inner.handle_async_request(request)


def counting(fails: int = 0) -> Counting:
    return Counting(transport_of(scripted_trio({"tiny-qwen": critic_accepts})), fails)


async def made(transport: Counting, path: Path, **settings: object) -> list[Trajectory]:
    chosen = GenerationSettings(**{"samples": 2, **settings})  # type: ignore[arg-type]
    async with TracingClient("http://s", transport=transport, retries=0) as client:
        return await generate(client, load_team("tiny", "debate"), TEXTS, ITEMS, chosen, path)


async def test_every_question_has_its_samples_with_all_turns(tmp_path: Path) -> None:
    found = await made(counting(), tmp_path / "t.jsonl")
    assert Counter(one.question for one in found) == {"q0": 2, "q1": 2, "q2": 2}
    assert all(one.usable and one.text == "4" for one in found)
    assert [turn.role for turn in found[0].turns] == ["solver", "critic"]
    assert found[0].tokens == 2  # one word of each agent
    assert found == read_trajectories(tmp_path / "t.jsonl")


async def test_varied_formats_reach_the_agents_and_leave_the_prompts(tmp_path: Path) -> None:
    engines = scripted_trio({"tiny-qwen": critic_accepts})
    async with TracingClient("http://s", transport=transport_of(engines), retries=0) as client:
        settings = GenerationSettings(samples=len(FORMATS) + 1, varied_formats=True)
        team = load_team("tiny", "debate")
        found = await generate(client, team, TEXTS, ITEMS[:1], settings, tmp_path / "t.jsonl")
    assert [one.format for one in found] == ["", *FORMATS]
    read = "".join(one.content for request in engines["tiny-qwen"].requests for one in request.messages)
    assert all(text in read for text in FORMATS.values())
    assert {one.turns[0].prompt for one in found} == {found[0].turns[0].prompt}
    assert all(one.usable for one in found)


async def test_failed_requests_are_kept_with_their_error_and_sent_again(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    first = await made(counting(fails=2), path, concurrency=1)
    assert [one.error for one in first if one.error] == ["400: No.", "400: No."]
    second = counting()
    found = await made(second, path)
    assert second.asked == 2
    assert len(found) == 6
    assert all(one.usable for one in found)


async def test_many_failures_end_the_command(tmp_path: Path) -> None:
    with pytest.raises(
        EvaluationError, match=r"3 consecutive answers failed, the last of question 'q\d' with '400: No\.'\. Run the"
    ):
        await made(counting(fails=99), tmp_path / "t.jsonl", max_failures=3)


async def test_a_run_killed_within_a_line_is_resumed(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    whole = await made(counting(), path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - 40])  # as a kill in the middle of a write leaves it
    again = counting()
    resumed = await made(again, path)
    assert [(one.key, one.text, one.usable) for one in resumed] == [(one.key, one.text, True) for one in whole]
    assert sum(one in whole for one in resumed) == 5  # as they were, with their times
    assert again.asked == 1
    assert path.read_bytes().count(b"\n") == 6


def test_seeds_differ_by_question_and_sample() -> None:
    settings = GenerationSettings(seed=3, max_tokens=9)
    seeds = {sampling_of(settings, item.id, sample)["seed"] for item in ITEMS for sample in range(4)}
    assert len(seeds) == 12
    assert sampling_of(settings, "q0", 0) == sampling_of(settings, "q0", 0)
    assert sampling_of(settings, "q0", 0)["max_tokens"] == 9


async def test_a_server_without_the_recipe_or_with_other_weights_is_refused() -> None:
    async with TracingClient("http://s", transport=counting(), retries=0) as client:
        await client.check("debate", {})
        with pytest.raises(EvaluationError, match=r"The server has no model 'nope'; .*its models are: "):
            await client.check("nope", {})
        with pytest.raises(TrainingError, match="does not serve training 'x'"):
            await client.check("debate", {"training": "x"})
    async with TracingClient("http://127.0.0.1:9", retries=0) as client:
        with pytest.raises(EvaluationError, match=r"No server at http://127.0.0.1:9: "):
            await client.check("debate", {})

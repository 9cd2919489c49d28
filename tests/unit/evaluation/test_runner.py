"""Runs against a server in this process: the rows written, and the requests of a second command."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import httpx
import pytest

from evaluation import arms, scoring
from evaluation.arms import Arm
from evaluation.client import Client
from evaluation.datasets.loading import Dataset, load
from evaluation.errors import EvaluationError
from evaluation.items import Item
from evaluation.prices import Price
from evaluation.rescoring import rescored
from evaluation.runner import Counts, RunSettings, run
from evaluation.store import read_answers
from tests.support.rows import MODELS, TeamServer, question_lines


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    path = tmp_path / "questions.jsonl"
    path.write_text(question_lines(4))
    return load(str(path))


async def ran(server: TeamServer, names: list[Arm], data: Dataset, out: Path, **settings: object) -> Counts:
    async with Client("http://x", transport=server.transport, retries=0) as client:
        return await run(client, names, [data], RunSettings(**settings), out)  # type: ignore[arg-type]


ARMS = arms.from_names("team,add")


async def test_every_arm_answers_every_item_once(data: Dataset, tmp_path: Path) -> None:
    counts = await ran(TeamServer(), ARMS, data, tmp_path)
    rows = read_answers(tmp_path)
    assert counts == Counts(asked=24, kept=0)
    assert {(row.arm, row.item) for row in rows} == {(a.name, i.id) for a in ARMS for i in data.items}


async def test_a_row_tells_the_whole_answer(data: Dataset, tmp_path: Path) -> None:
    prices = {name: Price(prompt_usd=1.0, completion_usd=2.0) for name in MODELS}
    await ran(TeamServer(), ARMS, data, tmp_path, prices=prices)
    row = next(row for row in read_answers(tmp_path) if row.arm == "team")
    assert row.text == row.reference == "sums0"
    assert (row.score, row.extracted, row.scorer) == (1.0, "sums0", "exact")
    assert [(a.layer, a.role, a.model) for a in row.trace] == [
        (1, "proposer", "add"),
        (1, "proposer", "spell"),
        (1, "proposer", "know"),
        (2, "aggregator", "know"),
    ]
    assert (row.calls, row.prompt_tokens, row.completion_tokens, row.cached_tokens) == (4, 60, 8, 4)
    assert row.cost_usd == pytest.approx((30 + 20 + 2 * 8) / 1e6)
    assert row.latency_s is not None


async def test_a_second_command_asks_only_what_is_missing(data: Dataset, tmp_path: Path) -> None:
    await ran(TeamServer(), ARMS[:1], data, tmp_path)
    server = TeamServer()
    assert await ran(server, ARMS, data, tmp_path) == Counts(asked=12, kept=12)
    assert {body["model"] for body in server.bodies} == {"add"}


async def test_failed_answers_are_written_down_and_tried_again(data: Dataset, tmp_path: Path) -> None:
    broken = TeamServer()
    broken.refuse_after = 20
    counts = await ran(broken, ARMS, data, tmp_path, concurrency=1)
    assert (counts.asked, counts.failed) == (24, 4)
    lost = [row for row in read_answers(tmp_path) if not row.done]
    assert {row.error for row in lost} == {"503: no replica is ready"}
    assert all(row.score is None for row in lost)
    assert await ran(TeamServer(), ARMS, data, tmp_path) == Counts(asked=4, kept=20)


async def test_a_server_that_went_away_ends_the_run_with_what_it_gave(data: Dataset, tmp_path: Path) -> None:
    gone = TeamServer()
    gone.refuse_after = 5
    with pytest.raises(EvaluationError, match=r"6 consecutive answers failed, the last of arm '.*' with '503"):
        await ran(gone, ARMS, data, tmp_path, concurrency=1, max_failures=6)
    assert sum(row.done for row in read_answers(tmp_path)) == 5


async def test_a_killed_run_loses_nothing_that_was_answered(data: Dataset, tmp_path: Path) -> None:
    server = TeamServer()
    answered = asyncio.Event()

    async def slow(request: httpx.Request) -> httpx.Response:
        if len(server.bodies) >= 7:
            answered.set()
            await asyncio.Event().wait()
        return server(request)

    async with Client("http://x", transport=httpx.MockTransport(slow)) as client:
        task = asyncio.create_task(run(client, ARMS, [data], RunSettings(concurrency=3), tmp_path))
        await answered.wait()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    kept = len(read_answers(tmp_path))
    assert kept == 7
    assert await ran(TeamServer(), ARMS, data, tmp_path) == Counts(asked=24 - kept, kept=kept)


async def test_no_more_requests_at_a_time_than_allowed(data: Dataset, tmp_path: Path) -> None:
    server, running, most = TeamServer(), 0, 0

    async def counted(request: httpx.Request) -> httpx.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        running -= 1
        return server(request)

    async with Client("http://x", transport=httpx.MockTransport(counted)) as client:
        await run(client, ARMS, [data], RunSettings(concurrency=5), tmp_path)
    assert most == 5


async def test_overrides_seeds_and_sampling_reach_the_server(data: Dataset, tmp_path: Path) -> None:
    server = TeamServer()
    arm = Arm(name="two", model="team", moa={"models": ["add", "spell"]}, sampling={"temperature": 0.1})
    await ran(server, [arm], data, tmp_path, samples=2, seed=5, sampling={"temperature": 0.7, "max_tokens": 9})
    assert {str(body["moa"]) for body in server.bodies} == {"{'models': ['add', 'spell'], 'trace': True}"}
    assert {body["temperature"] for body in server.bodies} == {0.1}
    assert {body["max_tokens"] for body in server.bodies} == {9}


async def test_each_item_and_sample_has_its_seed_and_every_arm_the_same(data: Dataset, tmp_path: Path) -> None:
    """Regression test: with one seed for all, an undecided critic rejected every one of 300 answers."""
    server = TeamServer()
    arms = [Arm(name=name, model="team") for name in ("one", "two")]
    await ran(server, arms, data, tmp_path, samples=2, seed=5)
    seeds = Counter(body["seed"] for body in server.bodies)
    assert set(seeds.values()) == {len(arms)}
    assert len(seeds) == 2 * len(data.items)


async def test_second_turns_stand_on_the_arms_own_first_answer(tmp_path: Path) -> None:
    path = tmp_path / "mt.jsonl"
    path.write_text('{"question_id": 1, "category": "c", "turns": ["sums 1?", "sums 2?"]}\n')
    server = TeamServer()
    await ran(server, [Arm(name="team", model="team")], load(str(path)), tmp_path / "out")
    assert [m["role"] for m in server.bodies[1]["messages"]] == ["user", "assistant", "user"]  # type: ignore[attr-defined]
    (row,) = read_answers(tmp_path / "out")
    assert row.answers == ("sums1", "sums2")
    assert (row.score, row.calls, row.tokens) == (None, 8, 136)
    assert [agent.turn for agent in row.trace] == [1] * 4 + [2] * 4
    assert len(row.last_turn) == 4


async def test_an_unknown_model_is_named_before_any_work(data: Dataset, tmp_path: Path) -> None:
    server = TeamServer()
    with pytest.raises(EvaluationError, match=r"has no model 'tema'; did you mean 'team'\? its models are: add, spell"):
        await ran(server, arms.from_names("tema"), data, tmp_path)
    assert server.bodies == []


async def test_answers_of_other_settings_are_never_mixed(data: Dataset, tmp_path: Path) -> None:
    await ran(TeamServer(), ARMS, data, tmp_path, sampling={"temperature": 0.7})
    with pytest.raises(EvaluationError, match="choose another --out"):
        await ran(TeamServer(), ARMS, data, tmp_path, sampling={"temperature": 0.0})


@pytest.mark.parametrize("changed", [{"served": [*MODELS, "team", "judge"]}, {"versions": {"version": "2"}}])
async def test_answers_of_another_server_are_never_mixed(
    data: Dataset, tmp_path: Path, changed: dict[str, object]
) -> None:
    await ran(TeamServer(), ARMS[:1], data, tmp_path)
    other = TeamServer()
    vars(other).update(changed)
    with pytest.raises(EvaluationError, match=r"holds answers of another server: '(models|version)' was .*\bself|1"):
        await ran(other, ARMS, data, tmp_path)
    assert other.bodies == []


def item(name: str, question: str = "sums 1?", **fields: object) -> Item:
    return Item("data", name, "", (question,), "sums1", "exact", **fields)  # type: ignore[arg-type]


def dataset(*items: Item) -> Dataset:
    return Dataset("data", Path("data.jsonl"), "0", items)


async def test_a_question_that_no_request_can_hold_is_that_row_s_error(tmp_path: Path) -> None:
    """Regression test: one lone surrogate ended the run, and every run after it."""
    data = dataset(*(item(f"odd-{i}", f"sums \ud800 {i}?") for i in range(25)), item("good"))
    counts = await ran(TeamServer(), ARMS[1:], data, tmp_path)
    assert (counts.asked, counts.failed) == (26, 25)
    rows = {row.item: row for row in read_answers(tmp_path)}
    assert rows["good"].score == 1.0
    assert rows["odd-0"].error is not None
    assert rows["odd-0"].error.startswith("UnicodeEncodeError")
    assert rows["odd-0"].questions == ("sums � 0?",)
    again = await ran(TeamServer(), ARMS[1:], data, tmp_path)
    assert (again.asked, again.failed, again.kept) == (25, 25, 1)


async def test_an_id_with_a_lone_surrogate_is_known_again(tmp_path: Path) -> None:
    data = dataset(item("odd \udfff"))
    assert (await ran(TeamServer(), ARMS[1:], data, tmp_path, seed=1)).failed == 0
    assert (await ran(TeamServer(), ARMS[1:], data, tmp_path, seed=1)).kept == 1


async def test_a_baseline_that_is_no_text_is_that_row_s_error(tmp_path: Path) -> None:
    data = dataset(item("list", baseline=["a"]), item("good"))
    counts = await ran(TeamServer(), ARMS[1:], data, tmp_path)
    assert (counts.asked, counts.failed) == (2, 1)
    assert next(iter(counts.reasons)).startswith("ValidationError")


@pytest.mark.parametrize("raised", [TypeError("unhashable type: 'dict'"), SystemExit(3), SystemExit()])
async def test_a_scorer_that_fails_loses_no_answer(
    raised: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def extract(self, text: str) -> str:
            return text

        def same(self, extracted: str, reference: str) -> bool:
            raise raised

    monkeypatch.setitem(scoring.SCORERS, "exact", Broken())
    counts = await ran(TeamServer(), ARMS[1:], dataset(item("1"), item("2")), tmp_path)
    said = f"{type(raised).__name__}: {raised}" if str(raised) else type(raised).__name__
    assert counts.reasons == {f"not scored: {said}": 2}
    rows = read_answers(tmp_path)
    assert [(row.text, row.score) for row in rows] == [("sums1", None)] * 2
    assert {row.error for row in rescored(rows, "exact")} == {f"not scored: {said}"}
    assert {row.done for row in rescored(rows, "contains")} == {True}


@pytest.mark.parametrize("content", [["a", "list"], {"a": "dict"}, 7])
async def test_an_answer_that_is_no_text_is_a_failure(content: object, data: Dataset, tmp_path: Path) -> None:
    server = TeamServer()

    def odd(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/v1/chat/completions":
            return server(request)
        return httpx.Response(200, json={"choices": [{"message": {"content": content}}]})

    async with Client("http://x", transport=httpx.MockTransport(odd), retries=0) as client:
        settings = RunSettings(max_failures=1000)
        counts = await run(client, ARMS[1:], [data], settings, tmp_path)
    assert counts.failed == counts.asked == 12
    assert "the answer is not a chat completion" in next(iter(counts.reasons))


async def test_a_lone_surrogate_in_an_answer_is_replaced(data: Dataset, tmp_path: Path) -> None:
    server = TeamServer()

    def odd(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/v1/chat/completions":
            return server(request)
        return httpx.Response(200, content=b'{"choices": [{"message": {"content": "a\\ud800b \\ud83d\\ude00"}}]}')

    async with Client("http://x", transport=httpx.MockTransport(odd), retries=0) as client:
        assert (await run(client, ARMS[1:], [data], RunSettings(), tmp_path)).failed == 0
    assert {row.text for row in read_answers(tmp_path)} == {"a�b 😀"}


async def test_what_failed_before_is_asked_after_what_was_never_asked(data: Dataset, tmp_path: Path) -> None:
    """Items that the server refuses in a row end a run, and must not end the next at the same place."""
    server = TeamServer()
    refused = {f"{skill} {i}?" for skill in ("sums", "words") for i in range(3)}

    def picky(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/chat/completions":
            question = json.loads(request.content)["messages"][-1]["content"]
            if question in refused:
                return httpx.Response(400, json={"error": {"message": "too long"}})
        return server(request)

    async def once() -> None:
        async with Client("http://x", transport=httpx.MockTransport(picky), retries=0) as client:
            await run(client, ARMS[1:], [data], RunSettings(concurrency=1, max_failures=2), tmp_path)

    for _ in range(6):
        with pytest.raises(EvaluationError, match="2 consecutive answers failed"):
            await once()
    assert sum(row.done for row in read_answers(tmp_path)) == len(data.items) - len(refused)


async def test_the_reasons_of_failures_are_counted(data: Dataset, tmp_path: Path) -> None:
    broken = TeamServer()
    broken.refuse_after = 20
    counts = await ran(broken, ARMS, data, tmp_path, concurrency=1)
    assert counts.reasons == {"503: no replica is ready": 4}

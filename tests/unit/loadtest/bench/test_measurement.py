import asyncio

import aiohttp
import pytest

from loadtest.bench.client import Answer
from loadtest.bench.client_side_moa import ClientSideMoa
from loadtest.bench.measurement import (
    Questions,
    closed_loop,
    critical_path,
    measure_client_side,
    measure_pass,
    measure_recipe,
)
from loadtest.bench.rows import OF_KIND, Row
from loadtest.errors import LoadError
from loadtest.results.exchange import Exchange
from loadtest.traffic.prompts import TokenEstimator
from serving.engines.scripted import ScriptedEngine
from serving.errors import EngineFailed
from tests.support.benchmark import MODELS, questions


async def test_pass_through_asks_every_question_once(
    host: str, http: aiohttp.ClientSession, engines: dict[str, ScriptedEngine]
) -> None:
    done: list[int] = []
    row = Row("pass", 3, 8, 10)
    measured = await measure_pass(http, host, "a", row, questions(), done.append)
    assert done == list(range(1, 11))
    assert set(OF_KIND["pass"]) <= set(measured)
    assert measured["tokens_per_s"] == pytest.approx(measured["requests_per_s"] * 8)
    asked = {request.messages[0].content for request in engines["a"].requests}
    assert {questions()[number] for number in range(10)} <= asked
    assert {request.sampling.ignore_eos for request in engines["a"].requests} == {True}


async def test_a_team_s_row_has_every_measure(host: str, http: aiohttp.ClientSession) -> None:
    measured = await measure_recipe(
        http, host, {"prefill": "off"}, Row("team", 2, 5, 4), questions(), lambda done: None
    )
    assert set(measured) == set(OF_KIND["team"])
    assert measured["critical_path"] >= 1
    assert measured["ttft_ms"] <= measured["e2e_ms"]


async def test_the_naive_row_has_its_measures(host: str, http: aiohttp.ClientSession) -> None:
    team = ClientSideMoa(http, dict.fromkeys(MODELS, host), MODELS, "c", dict.fromkeys(MODELS, True))
    measured = await measure_client_side(team, Row("team", 2, 5, 4), questions(), lambda done: None)
    assert set(measured) == {"e2e_ms", "ttft_ms", "after_proposals_ms", "requests_per_s"}


async def test_an_agent_that_does_less_than_asked_ends_the_benchmark(
    host: str, http: aiohttp.ClientSession, engines: dict[str, ScriptedEngine]
) -> None:
    engines["b"].answer = "short"
    with pytest.raises(LoadError, match="was asked for"):
        await measure_recipe(http, host, {}, Row("team", 1, 5, 1), questions(), lambda done: None)


async def test_an_agent_that_fails_ends_the_benchmark(
    host: str, http: aiohttp.ClientSession, engines: dict[str, ScriptedEngine]
) -> None:
    engines["b"].error = EngineFailed("b", "it broke")
    with pytest.raises(LoadError, match=r"'b' did not answer in the benchmark: failed, .*it broke"):
        await measure_recipe(http, host, {}, Row("team", 1, 5, 1), questions(), lambda done: None)


async def test_an_error_ends_the_benchmark(host: str, http: aiohttp.ClientSession) -> None:
    with pytest.raises(LoadError, match="404 model_not_found"):
        await measure_pass(http, host, "nobody", Row("pass", 1, 5, 1), questions(), lambda done: None)


async def test_a_closed_loop_keeps_so_many_open() -> None:
    open_now, most = 0, 0

    async def one(number: int) -> int:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await asyncio.sleep(0)
        open_now -= 1
        return number * 10

    results, _ = await closed_loop(4, 20, one, lambda done: None)
    assert results == [number * 10 for number in range(20)]
    assert most == 4


def traced(*layers: list[tuple[float, float]], total_s: float = 0.4) -> Answer:
    """Agents as (started, total) milliseconds; the way to each engine and back takes 5 more."""
    trace = [
        {
            "layer": number,
            "agents": [
                {"model": "m", "started_ms": started, "total_ms": total, "elapsed_ms": total + 5.0}
                for started, total in agents
            ],
        }
        for number, agents in enumerate(layers, start=1)
    ]
    exchange = Exchange("", "moa", True, 0.0, total_s, first_answer_s=0.25)
    return Answer(exchange, "", {"trace": trace}, 0.0)


def test_the_critical_path_is_the_slowest_of_each_layer() -> None:
    path = critical_path(traced([(1.0, 100.0), (1.0, 180.0), (20.0, 150.0)], [(190.0, 200.0)]))
    assert path.layers_ms == (180.0, 200.0)
    assert path.proposals_end_ms == 186.0
    assert (path.e2e_ms, path.first_ms) == (400.0, 250.0)


def test_a_trace_of_one_layer_has_no_critical_path() -> None:
    with pytest.raises(LoadError, match="1 layers"):
        critical_path(traced([(0.0, 1.0)]))


def test_questions_are_the_same_for_all_but_never_share_a_prefix() -> None:
    plain, again, salted = questions(), questions(), Questions(TokenEstimator(), "row", "off")
    assert [plain[n] for n in range(5)] == [again[n] for n in range(5)]
    assert len({plain[n].split()[0] for n in range(50)}) == 50
    assert plain[3].split()[0] != salted[3].split()[0]
    assert plain[3].split()[1:] == salted[3].split()[1:]


async def test_the_chunks_of_a_staircase_are_one_agent(
    host: str, http: aiohttp.ClientSession, engines: dict[str, ScriptedEngine]
) -> None:
    row = Row("staircase", 1, 40, 2)
    for engine in engines.values():
        engine.itl_s = 1e-3
    engines["c"].answer = " ".join(["word"] * 100)  # its chunks end at their limits, as with `ignore_eos`
    sizes = {"first_chunk_tokens": 4, "chunk_tokens": 8}
    measured = await measure_recipe(http, host, sizes, row, questions(), lambda done: None)
    assert set(measured) == set(OF_KIND["staircase"])
    calls = [request for request in engines["c"].requests if request.prompt_end == "continued"]
    assert calls
    engines["b"].answer = "short"
    with pytest.raises(LoadError, match="was asked for"):
        await measure_recipe(http, host, sizes, row, questions(), lambda done: None)

"""The side-by-side benchmark's measuring, on a scripted server in this process; and its arithmetic."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from deployments.config import load_profile
from loadtest.bench.client import Answer, ask, chat_body, session
from loadtest.bench.client_side_moa import ClientSideMoa
from loadtest.bench.contenders import plain_environment, served_ids, vllm_command
from loadtest.bench.html_report import render
from loadtest.bench.measurement import (
    Questions,
    closed_loop,
    critical_path,
    measure_client_side,
    measure_pass,
    measure_team,
)
from loadtest.bench.processes import run
from loadtest.bench.results import Results
from loadtest.bench.rows import AIMS, MEASURES, OF_KIND, QUICK, ROWS, Row
from loadtest.bench.weights import untrained
from loadtest.errors import LoadError
from loadtest.results.exchange import Exchange
from loadtest.traffic.prompts import TokenEstimator
from serving.api import ApiSettings, create_app
from serving.engines.scripted import ScriptedEngine
from serving.errors import EngineFailed
from serving.orchestrator import Orchestrator
from serving.recipes.loading import load_recipes
from serving.types import GenerateRequest
from tests.support.api import running

MODELS = ("a", "b", "c")


def answered_as_long_as_asked(request: GenerateRequest) -> str:
    return " ".join(["word"] * (request.sampling.max_tokens or 1))


@pytest.fixture
def engines() -> dict[str, ScriptedEngine]:
    return {name: ScriptedEngine(name, answered_as_long_as_asked) for name in MODELS}


@pytest.fixture
async def host(engines: dict[str, ScriptedEngine]) -> AsyncIterator[str]:
    recipe = {"id": "moa-lite", "layers": [list(MODELS)], "aggregator": "c", "min_proposals": 2}
    orchestrator = Orchestrator(engines, load_recipes([recipe]))
    app = create_app(orchestrator.engines, orchestrator.cards(dict.fromkeys(MODELS, 4096)), ApiSettings())
    async with running(app) as url:
        yield url


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with session() as opened:
        yield opened


def questions() -> Questions:
    return Questions(TokenEstimator(), "row")


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
    measured = await measure_team(
        http, host, "moa-lite", {"prefill": "off"}, Row("team", 2, 5, 4), questions(), lambda done: None
    )
    assert set(measured) == set(OF_KIND["team"])
    assert measured["critical_path"] >= 1
    assert measured["ttft_ms"] <= measured["e2e_ms"]


async def test_by_hand_proposals_reach_the_aggregator_numbered(
    host: str, http: aiohttp.ClientSession, engines: dict[str, ScriptedEngine]
) -> None:
    team = ClientSideMoa(http, dict.fromkeys(MODELS, host), MODELS, "c", dict.fromkeys(MODELS, True))
    answer = await team.answer("why?", 3)
    assert 0 < answer.after_proposals_s < answer.first_answer_s <= answer.total_s
    system, user = engines["c"].requests[-1].messages
    assert (system.role, user.content) == ("system", "why?")
    assert system.content.endswith("1. word word word\n2. word word word\n3. word word word")


async def test_by_hand_a_template_without_system_gets_it_in_the_user_turn(
    host: str, http: aiohttp.ClientSession, engines: dict[str, ScriptedEngine]
) -> None:
    team = ClientSideMoa(http, dict.fromkeys(MODELS, host), MODELS, "c", {"c": False})
    await team.answer("why?", 3)
    (user,) = engines["c"].requests[-1].messages
    assert user.role == "user"
    assert user.content.endswith("\n\nwhy?")


async def test_the_naive_row_has_its_measures(host: str, http: aiohttp.ClientSession) -> None:
    team = ClientSideMoa(http, dict.fromkeys(MODELS, host), MODELS, "c", dict.fromkeys(MODELS, True))
    measured = await measure_client_side(team, Row("team", 2, 5, 4), questions(), lambda done: None)
    assert set(measured) == {"e2e_ms", "ttft_ms", "after_proposals_ms", "requests_per_s"}


async def test_an_agent_that_does_less_than_asked_ends_the_benchmark(
    host: str, http: aiohttp.ClientSession, engines: dict[str, ScriptedEngine]
) -> None:
    engines["b"].answer = "short"
    with pytest.raises(LoadError, match="was asked for"):
        await measure_team(http, host, "moa-lite", {}, Row("team", 1, 5, 1), questions(), lambda done: None)


async def test_an_agent_that_fails_ends_the_benchmark(
    host: str, http: aiohttp.ClientSession, engines: dict[str, ScriptedEngine]
) -> None:
    engines["b"].error = EngineFailed("b", "it broke")
    with pytest.raises(LoadError, match=r"'b' did not answer in the benchmark: failed, .*it broke"):
        await measure_team(http, host, "moa-lite", {}, Row("team", 1, 5, 1), questions(), lambda done: None)


async def test_an_error_ends_the_benchmark(host: str, http: aiohttp.ClientSession) -> None:
    with pytest.raises(LoadError, match="404 model_not_found"):
        await measure_pass(http, host, "nobody", Row("pass", 1, 5, 1), questions(), lambda done: None)


async def test_a_host_that_is_gone_is_an_error_of_the_answer(http: aiohttp.ClientSession) -> None:
    answer = await ask(http, "http://127.0.0.1:9", chat_body("a", [], 1, stream=True))
    assert answer.exchange.error == "connection: ClientConnectorError"


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


def results() -> Results:
    filled = Results(
        ROWS,
        "moa-on_complete",
        {"cpu": "x", "cores": 2, "memory_gib": 1, "system": "s", "python": "3"} | {"load_before": 0},
    )
    for row in ROWS:
        base = dict.fromkeys(OF_KIND[row.kind], 100.0)
        filled.add(row, "vllm", base)
        filled.add(row, "moa" if row.kind == "pass" else "moa-on_complete", dict.fromkeys(base, 80.0))
    return filled


def test_ratios_are_to_vllm_by_hand_and_aims_are_judged() -> None:
    found = results()
    assert found.ratio("pass-1", "moa", "ttft_ms") == 0.8
    met = {(judged.aim.row, judged.aim.measure): judged.met for judged in found.judged()}
    assert len(met) == len(AIMS)
    assert met["pass-1", "ttft_ms"]
    assert met["team-64-1", "e2e_ms"]
    assert not met["team-64-16", "requests_per_s"]  # 0.8x of its requests/s
    assert not met["team-512-1", "after_proposals_ms"]
    assert not met["team-64-1", "critical_path"]  # absolute: 80, not a ratio


def test_rows_that_were_not_measured_are_not_judged() -> None:
    empty = Results(ROWS, "moa-on_complete", {})
    assert empty.judged() == []
    assert empty.lines() == []


def test_the_table_and_the_page_show_every_row_and_ratio() -> None:
    found = results()
    found.machine = {**found.machine, "load_before": 0}
    text, page = found.table(), render(found)
    for row in ROWS:
        assert row.title in text
        assert row.title in page
    assert "80 (0.80x)" in text
    assert page.count("plotly.js v") == 1  # the script is in the page, once
    assert json.loads(json.dumps(found.to_json()))["ratios"]["pass-1"]["moa"]["ttft_ms"] == 0.8


def test_aims_name_rows_and_measures_that_exist() -> None:
    rows = {row.id: row for row in ROWS}
    assert {row.id for row in QUICK} <= set(rows)
    for aim in AIMS:
        assert aim.measure in OF_KIND[rows[aim.row].kind]
    assert set(MEASURES) == {name for names in OF_KIND.values() for name in names}


def test_vllm_gets_every_engine_option_of_the_profile() -> None:
    model = load_profile("tiny").models[0]
    command = vllm_command(model, 1234)
    for name, value in model.engine_kwargs.items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            assert (flag if value else flag.replace("--", "--no-")) in command
        else:
            given = command[command.index(flag) + 1]
            assert given == value or json.loads(given) == value
    assert Path(command[command.index("--model") + 1]).is_dir()


def test_a_contender_does_not_inherit_this_server_s_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_SERVE_ENABLE_HA_PROXY", "1")  # as importing `deployments` sets it
    monkeypatch.setenv("RAY_SERVE_THROUGHPUT_OPTIMIZED", "0")  # as an operator may
    found = plain_environment({"OMP_NUM_THREADS": "1"})
    assert "RAY_SERVE_ENABLE_HA_PROXY" not in found
    assert found["RAY_SERVE_THROUGHPUT_OPTIMIZED"] == "0"
    assert found["OMP_NUM_THREADS"] == "1"


def test_a_benchmark_told_to_end_ends_its_servers_first() -> None:
    ended: list[str] = []

    async def benchmark() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(30)
        finally:
            ended.append("servers")

    assert not run(benchmark())
    assert ended == ["servers"]


def test_recipes_are_found_by_id_however_the_profile_writes_them() -> None:
    ids = served_ids(load_profile("tiny"))
    assert {"tiny-qwen", "moa-lite", "vote"} <= set(ids)


def test_untrained_models_write_what_is_as_many_tokens_to_every_reader(tmp_path: Path) -> None:
    """A proposal of 512 tokens was 1,500 to the aggregator, in other words a different benchmark."""
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    profile, _ = untrained("tiny", tmp_path)
    tokenizers = {model.id: AutoTokenizer.from_pretrained(str(model.path)) for model in profile.models}
    torch.manual_seed(1)
    for spec in profile.models:
        model = AutoModelForCausalLM.from_pretrained(str(spec.path), dtype=torch.float32).eval()
        prompt = torch.tensor([tokenizers[spec.id].encode("What is the capital of France?")])
        length = 48
        ids = model.generate(
            prompt, attention_mask=torch.ones_like(prompt), do_sample=True, temperature=0.7, eos_token_id=None,
            pad_token_id=0, min_new_tokens=length, max_new_tokens=length,
        )[0][prompt.shape[1] :]  # fmt: skip
        text = tokenizers[spec.id].decode(ids)
        assert len(set(text.split())) > 8
        assert {len(other.encode(text, add_special_tokens=False)) for other in tokenizers.values()} == {length}

"""Every fault of an external endpoint, in every role: it costs the call that met it and nothing else."""

import asyncio
import json
import logging
from contextlib import aclosing

import pytest

from serving.conversation import Message
from serving.engine import complete
from serving.engines import openai_body
from serving.engines.openai import OpenAIEngine
from serving.engines.scripted import ScriptedEngine
from serving.errors import EngineFailed, IncompleteGeneration, InvalidRequest, MoaError
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.types import Completion, GenerateRequest, Report
from tests.support.upstream import upstream
from tests.support.upstream_faults import FAULTS
from tests.support.upstream_responses import KEY, MAX_ANSWER_BYTES, MAX_EVENT_BYTES, Fault

SILENCE_S = 0.2  # of endpoints that hang; others have all the time that they need
RECIPES = [
    {"id": "proposer", "layers": [["far", "a", "b"]], "aggregator": "a", "prefill": "off"},
    {"id": "aggregator", "layers": [["a", "b"]], "aggregator": "far", "prefill": "off"},
    {"id": "judge", "strategy": "rank", "proposers": ["a", "b"], "judge": "far"},
    {"id": "critic", "strategy": "debate", "solver": "a", "critic": "far"},
]
OF_OTHERS = ("proposer", "judge", "critic")  # recipes in which the endpoint does not write the answer


def asked() -> GenerateRequest:
    return GenerateRequest("r1", (Message("user", "What is the answer?"),))


def engine_at(url: str, fault: Fault) -> OpenAIEngine:
    return OpenAIEngine(
        "far",
        url,
        api_key_env="FAR_KEY",
        silence_timeout_s=SILENCE_S if fault.hangs else 60,
        usage_wait_s=0.05,
        max_event_bytes=MAX_EVENT_BYTES,
        max_answer_bytes=MAX_ANSWER_BYTES,
    )


async def answer_of(orchestrator: Orchestrator, name: str) -> Completion | MoaError:
    try:
        return await complete(name, orchestrator.engines[name], asked())
    except MoaError as error:
        return error


def check(fault: Fault, got: Completion | MoaError) -> None:
    """The outcome is the expected one."""
    if isinstance(got, MoaError):
        assert got.code == fault.expected, str(got)
        assert type(got) is not EngineFailed or "unexpected" not in str(got)  # a case that nobody thought of
        return
    [choice] = got.choices
    assert (choice.text, choice.finish_reason in ("length", "content_filter")) == (
        fault.text,
        fault.expected == "truncated",
    )
    assert fault.expected in ("answer", "truncated")
    for count in (got.usage.prompt_tokens, got.usage.completion_tokens):
        assert count is None or 0 <= count < 10**9


async def speaks_first(engine: OpenAIEngine) -> bool:
    """True if visible text of the answer comes before its error."""
    try:
        async with aclosing(engine.generate(asked())) as stream:
            async for delta in stream:
                if delta.text.strip():
                    return True
    except MoaError:
        pass
    return False


def shown(got: Completion | MoaError) -> str:
    """All that a caller may read beside the answer."""
    if isinstance(got, MoaError):
        return str(got)
    return (
        "" if got.report is None else "\n".join([*got.report.reasons, *(str(one.error) for one in got.report.agents)])
    )


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAR_KEY", KEY)
    monkeypatch.setattr(openai_body, "ERROR_BODY_S", 0.05)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_a_fault_costs_the_call_that_met_it(fault: Fault, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with asyncio.timeout(60), upstream(fault.steps) as server:
        engine = engine_at(server.url, fault)
        others = {name: ScriptedEngine(name, f"{name} says yes") for name in ("a", "b")}
        orchestrator = Orchestrator({**others, "far": engine}, load_recipes(RECIPES))
        try:
            direct = complete("far", engine, asked())
            roles = [answer_of(orchestrator, name) for name in ("far", "proposer", "aggregator", "judge", "critic")]
            visible, *ends = await asyncio.gather(speaks_first(engine), direct, *roles, return_exceptions=True)
        finally:
            await engine.aclose()
    outcomes = [end for end in ends if isinstance(end, Completion | MoaError)]
    assert len(outcomes) == len(ends), ends
    first, single, *of_roles = outcomes
    for got in (first, single):
        check(fault, got)
    for role, got in zip(("proposer", "aggregator", "judge", "critic"), of_roles, strict=True):
        if role in OF_OTHERS:
            assert isinstance(got, Completion), f"{role}: {got}"
            assert got.text.endswith("says yes")
            assert isinstance(got.report, Report)
            [of_far, *_] = [one for one in got.report.agents if one.model == "far"]
            assert (of_far.status == "ok") == (fault.expected in ("answer", "truncated"))
            if of_far.status != "ok":
                assert got.report.degraded
                assert any("'far'" in reason for reason in got.report.reasons)
            elif role == "proposer":
                cut = any("was cut" in reason for reason in got.report.reasons)
                assert cut == (fault.expected == "truncated")
        elif isinstance(got, MoaError) or fault.expected in ("answer", "truncated"):
            check(fault, got)
            assert visible or fault.expected in ("answer", "truncated") or isinstance(got, InvalidRequest)
        else:  # it failed before its first word, or its time was over within its answer, which is cut off
            if visible:
                assert (fault.expected, got.choices[0].finish_reason) == ("deadline_exceeded", "length")
            else:
                assert got.text == "a says yes"
            assert got.report is not None
            assert got.report.degraded
    for text in (*map(shown, outcomes), caplog.text):
        assert KEY not in text
    assert not any(record.levelno >= logging.ERROR for record in caplog.records)  # no defect of ours


def test_there_are_enough_of_them() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 80
    assert {fault.expected for fault in FAULTS} >= {"answer", "truncated", "engine_failed", IncompleteGeneration.code}
    assert all(json.dumps(fault.name).isascii() for fault in FAULTS)

"""Compilation of grammars outside the replica: over a scripted process, and over the real one."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from xgrammar import GrammarCompiler as Xgrammar
from xgrammar import TokenizerInfo

from deployments.model import grammar_compiler, grammar_worker
from deployments.model.grammar_compiler import GrammarCompiler
from serving.errors import EngineFailed, InvalidRequest, Overloaded
from tests.support.clock import simulated_time
from tests.support.waiting import GUARD_S, until

# Answers "fine" and "wrong" at once, is silent about others, and ends at "end"; messages are written to a file.
SCRIPT = """
import json, sys
kept = open(sys.argv[1], "a", buffering=1)
sys.stdin.readline()
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    kept.write(line)
    job = json.loads(line)
    answers = {
        "fine": {"error": None},
        "wrong": {"error": "RuntimeError: [11:00:00] /project/x.cc:12: Bad {thing}.\\n"},
        "slow tokens": {"error": "SlowTokens"},
        "dies": {"died": True},
    }
    if job.get("text") == "end":
        sys.exit()
    if job.get("text") in ("no json", "[]", "x" * 9):
        print(job["text"] * (2**18 if job["text"] == "x" * 9 else 1), flush=True)
    if (answer := answers.get(job.get("text"))) is not None:
        print(json.dumps({"id": job["id"], **answer}), flush=True)
"""
# Minutes on any machine: each of the patterns takes seconds.
PATTERNS = [{"type": "string", "pattern": f"^(.?a?){{{n}}}b{{{n}}}$"} for n in range(6000, 5980, -1)]
SLOW = json.dumps({"anyOf": PATTERNS})


class Scripted:
    """A compiler over `SCRIPT`."""

    def __init__(self, folder: Path, timeout_s: float = GUARD_S, script: str = SCRIPT) -> None:
        self.kept = folder / "messages"
        self.kept.touch()
        self.vocabularies = 0
        command = (sys.executable, "-c", script, str(self.kept))
        self.compiler = GrammarCompiler("m", self.vocabulary, timeout_s=timeout_s, mask_s=0.05, command=command)

    def vocabulary(self) -> str:
        self.vocabularies += 1
        return "{}"

    def messages(self) -> list[Any]:
        return [json.loads(line) for line in self.kept.read_text().splitlines()]

    async def refusal(self, text: str) -> InvalidRequest:
        with pytest.raises(InvalidRequest) as caught:
            await self.compiler.check("json", text, "the.path")
        return caught.value


@pytest_asyncio.fixture
async def scripted(tmp_path: Path) -> AsyncIterator[Scripted]:
    made = Scripted(tmp_path)
    yield made
    await made.compiler.close()


async def test_a_grammar_is_compiled_once(scripted: Scripted) -> None:
    await scripted.compiler.start()
    for _ in range(3):
        await scripted.compiler.check("json", "fine", "the.path")
    await scripted.compiler.check("regex", "fine", "the.path")
    assert scripted.compiler.compilations == 2
    assert [job["kind"] for job in scripted.messages()] == ["json", "regex"]


async def test_what_is_wrong_is_told_with_the_path_each_time(scripted: Scripted) -> None:
    for _ in range(2):
        error = await scripted.refusal("wrong")
        assert (error.param, str(error)) == (
            "the.path",
            "Change 'the.path': no grammar can be made of it: Bad {thing}.",
        )
    assert scripted.compiler.compilations == 1
    assert str(await scripted.refusal("slow tokens")).startswith("Simplify 'the.path': its grammar costs the engine")
    assert "within the limits of time and memory" in str(await scripted.refusal("dies"))


async def test_the_outcomes_of_the_last_grammars_are_kept(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grammar_compiler, "CACHED", 2)
    for kind in ("a", "b", "a", "c", "a", "b"):
        await scripted.compiler.check(kind, "fine", "p")
    assert [job["kind"] for job in scripted.messages()] == ["a", "b", "c", "b"]


async def test_concurrent_equal_grammars_are_one_job_which_ends_with_its_last_caller(scripted: Scripted) -> None:
    callers = [asyncio.create_task(scripted.compiler.check("json", "silent", "p")) for _ in range(3)]
    await until(lambda: len(scripted.messages()) == 1)
    for caller in callers[:2]:
        caller.cancel()
    await scripted.compiler.check("json", "fine", "p")  # others do not wait
    assert len(scripted.messages()) == 2
    callers[2].cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    await until(lambda: len(scripted.messages()) == 3)
    first, _, last = scripted.messages()
    assert last == {"cancel": first["id"]}
    again = asyncio.create_task(scripted.compiler.check("json", "silent", "p"))
    await until(lambda: len(scripted.messages()) == 4)
    again.cancel()


async def test_a_grammar_beyond_the_deadline_is_refused_and_its_process_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted = Scripted(tmp_path, timeout_s=0.05)
    await scripted.compiler.start()
    for _ in range(2):  # remembered
        error = await scripted.refusal("silent")
        assert str(error) == "Simplify 'the.path': its grammar takes more than 0.05 s to compile."
    await until(lambda: len(scripted.messages()) == 2)
    assert scripted.messages()[1] == {"cancel": scripted.messages()[0]["id"]}
    monkeypatch.setattr(grammar_compiler, "FORGET_S", 0)
    for _ in range(2):  # not for ever
        await scripted.refusal("silent, too")
    assert scripted.compiler.compilations == 3
    await scripted.compiler.close()


async def test_no_more_than_some_are_compiled_at_once(scripted: Scripted) -> None:
    most = grammar_compiler.AT_ONCE
    callers = [asyncio.create_task(scripted.compiler.check("json", f"silent {n}", "p")) for n in range(most + 2)]
    await until(lambda: len(scripted.messages()) == most)
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    assert scripted.compiler.compilations == most


class Timed(GrammarCompiler):
    """Compiles for as many seconds as the rule's text says."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__("m", lambda: "{}", timeout_s=timeout_s, mask_s=1.0)
        self.begun: list[str] = []

    async def _answer(self, kind: str, text: str) -> str | None:
        self.begun.append(kind)
        await asyncio.sleep(float(text))
        return None

    async def taken(self, kind: str, text: str, tenant: str) -> float:
        """Seconds until the outcome is known; `kind`: another one for each rule that is to be another."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self.check(kind, text, "p", tenant)
        return loop.time() - began


@simulated_time
async def test_a_tenants_grammar_does_not_wait_for_all_of_another_tenant() -> None:
    compiler = Timed(timeout_s=60)
    flood = [asyncio.create_task(compiler.taken(f"flood {n}", "1", "flood")) for n in range(80)]
    await asyncio.sleep(0.5)
    times = await asyncio.gather(*(compiler.taken(f"neighbour {n}", "0.01", "neighbour") for n in range(2)))
    assert times == pytest.approx([0.01, 0.02])
    assert await compiler.taken("flood 79", "1", "neighbour") == pytest.approx(1)  # an equal one of its own
    assert sorted(await asyncio.gather(*flood))[-1] <= 10
    assert len(compiler.begun) == 82  # and that was not compiled a second time
    assert (compiler._places.free, compiler._shared) == (grammar_compiler.AT_ONCE + grammar_compiler.KEPT, {})


@simulated_time
async def test_a_grammar_that_waits_for_its_turn_too_long_is_refused() -> None:
    compiler = Timed(timeout_s=5)
    running = [asyncio.create_task(compiler.taken(f"slow {n}", "7", "flood")) for n in range(grammar_compiler.AT_ONCE)]
    await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    with pytest.raises(Overloaded) as caught:
        await compiler.check("late", "1", "p", "flood")
    assert loop.time() == 5
    assert caught.value.retry_after_s == 5
    assert str(caught.value).startswith("Too many grammars wait to be compiled for 'm'; retry later")
    await asyncio.gather(*running)
    assert await compiler.taken("late", "1", "flood") == 1  # the refusal is not remembered


async def test_a_process_that_ends_is_replaced(scripted: Scripted) -> None:
    await scripted.compiler.check("json", "fine", "p")
    worker = scripted.compiler._worker
    assert worker is not None
    os.kill(worker.process.pid, 9)
    await until(lambda: not worker.alive)
    await scripted.compiler.check("json", "fine", "other")
    await scripted.compiler.check("regex", "fine", "p")
    assert scripted.vocabularies == 1


@pytest.mark.parametrize("text", ["no json", "[]", "xxxxxxxxx"])  # the last is longer than a line may be
async def test_a_process_whose_answer_cannot_be_read_is_ended_and_replaced(scripted: Scripted, text: str) -> None:
    await scripted.compiler.check("json", "fine", "p")
    worker = scripted.compiler._worker
    assert worker is not None
    with pytest.raises(EngineFailed, match="the process that compiles grammars ended twice"):
        await scripted.compiler.check("json", text, "p")
    assert await asyncio.wait_for(worker.process.wait(), GUARD_S) == -signal.SIGKILL
    await scripted.compiler.check("json", "fine", "other")
    assert scripted.compiler._worker is not worker


async def test_a_caller_that_goes_away_while_the_process_starts_leaves_it_to_others(scripted: Scripted) -> None:
    first = asyncio.create_task(scripted.compiler.check("json", "fine", "p"))
    await until(lambda: scripted.compiler._starting is not None)
    first.cancel()
    starting = scripted.compiler._starting
    await scripted.compiler.check("json", "fine", "p")
    assert scripted.compiler._starting is starting
    assert (scripted.vocabularies, scripted.compiler.compilations) == (1, 1)


async def test_a_process_that_ends_twice_is_the_servers_failure(scripted: Scripted) -> None:
    with pytest.raises(EngineFailed, match="the process that compiles grammars ended twice"):
        await scripted.compiler.check("json", "end", "p")
    assert scripted.compiler.compilations == 2
    await scripted.compiler.check("json", "fine", "p")


async def test_a_process_that_cannot_start_is_the_servers_failure(tmp_path: Path) -> None:
    scripted = Scripted(tmp_path, script="raise SystemExit")
    with pytest.raises(EngineFailed):
        await scripted.compiler.check("json", "fine", "p")
    await scripted.compiler.close()


def vocabulary() -> TokenizerInfo:
    return TokenizerInfo([*(bytes([byte]) for byte in range(256)), b"</s>"], stop_token_ids=[256])


def settings(**more: Any) -> Any:
    return {"compact": False, "threads": 1, **more}


def problem(kind: str, text: str, *, mask_s: float = 10.0, compact: bool = False) -> str | None:
    job = {"id": 1, "kind": kind, "text": text, "mask_s": mask_s}
    return grammar_worker._problem(vocabulary(), settings(compact=compact), job)


TAG = {"begin": "<a>", "schema": {"type": "string"}, "end": "</a>"}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("json", '{"type": "string"}'),
        ("regex", "[a-z]+"),
        ("grammar", 'root ::= "a"'),
        ("structural_tag", json.dumps({"structures": [TAG], "triggers": ["<a>"]})),
        ("structural_tag", json.dumps({"type": "structural_tag", "format": {"type": "any_text"}})),
    ],
)
def test_rules_are_compiled_as_the_engine_does(kind: str, text: str) -> None:
    assert problem(kind, text) is None
    assert problem(kind, text, compact=True) is None
    assert problem(kind, text, mask_s=-1.0) == "SlowTokens"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("json", '{"type": "banana"}'),
        ("regex", "(a"),
        ("grammar", "root ::= missing"),
        ("structural_tag", "{}"),
        ("structural_tag", '{"structures": [1], "triggers": []}'),
        ("structural_tag", "no JSON"),
    ],
)
def test_a_rule_that_is_none_has_an_error(kind: str, text: str) -> None:
    found = problem(kind, text)
    assert found is not None
    assert found != "SlowTokens"


def test_the_tokens_of_a_grammar_are_tried() -> None:
    compiler = Xgrammar(vocabulary(), max_threads=1)
    assert grammar_worker.slowest_mask_s(compiler.compile_json_schema('{"enum": ["a", "b"]}'), 257) > 0


def real(timeout_s: float) -> GrammarCompiler:
    """A compiler with the real process."""
    return GrammarCompiler("m", lambda: str(vocabulary().serialize_json()), timeout_s=timeout_s, mask_s=5.0)


def children(compiler: GrammarCompiler) -> list[str]:
    """Processes that compile now."""
    assert compiler._worker is not None
    pid = compiler._worker.process.pid
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


async def test_the_real_process_ends_what_nobody_waits_for_and_lets_others_pass() -> None:
    compiler = real(timeout_s=GUARD_S)
    await compiler.start()
    await compiler.check("json", '{"type": "integer"}', "p")
    slow = asyncio.create_task(compiler.check("json", SLOW, "p"))
    await until(lambda: len(children(compiler)) == 1)
    await compiler.check("json", '{"type": "boolean"}', "p")  # others do not wait
    assert not slow.done()
    slow.cancel()
    await until(lambda: not children(compiler))
    with pytest.raises(InvalidRequest, match='Unsupported type "banana"'):
        await compiler.check("json", '{"type": "banana"}', "p")
    await compiler.close()


async def test_the_real_process_ends_what_is_too_slow() -> None:
    compiler = real(timeout_s=0.5)
    await compiler.start()
    with pytest.raises(InvalidRequest, match=r"takes more than 0\.5 s"):
        await compiler.check("json", SLOW, "p")
    await until(lambda: not children(compiler))
    await compiler.close()

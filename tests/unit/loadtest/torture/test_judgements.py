"""Verdicts of parts on what they measured: each can be red."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from loadtest.results.exchange import Exchange
from loadtest.torture import abuse, deaths, overload, ports, termination
from loadtest.torture.abuse import Refusal
from loadtest.torture.callers import REFUSED, Record, explicit
from loadtest.torture.overload import Reply
from loadtest.torture.ports import Listener
from loadtest.torture.tenants import PrefixCache
from serving.engines.scripted import ScriptedEngine
from serving.types import GenerateRequest

WELL = Exchange("", "m", False, 0.0, 1.0)


def ended(*errors: str | None, streamed: bool = False) -> Record:
    return Record(streamed, [(float(at), replace(WELL, error=error)) for at, error in enumerate(errors)])


@pytest.mark.parametrize(
    ("kind", "whole", "streamed"),
    [
        (REFUSED, True, True),
        ("503 engine_unavailable", True, True),
        ("429 overloaded", True, True),
        ("502 engine_failed", False, True),
        ("200 engine_failed", False, True),
        ("connection: ServerDisconnectedError", False, True),
        ("404", False, False),
        ("503", False, False),
        ("stream ended early", False, False),
        ("malformed frame", False, False),
    ],
)
def test_what_a_client_can_act_on(kind: str, whole: bool, streamed: bool) -> None:
    assert (explicit(kind, False), explicit(kind, True)) == (whole, streamed)


def test_a_record_counts_answers_losses_and_gaps() -> None:
    record = ended(None, "404", REFUSED, "503 overloaded", REFUSED, None)
    assert (record.answered, record.lost()) == (2, {"404": 1})
    assert record.refused_s(0.0) == 2.0
    assert record.gap_s(0.5) == 4.5
    assert ended(None).refused_s(0.0) == 0.0


def test_a_death_is_red_if_an_answer_is_lost_or_the_door_stays_shut() -> None:
    victim = deaths.VICTIMS[0]

    def kept(whole: Record, streamed: Record, found: bool = True) -> list[bool | None]:
        return [row.kept for row in deaths.judged(victim, whole, streamed, 0.0, found)]

    well, stream = ended(None, None), ended(None, "connection: ClientPayloadError", streamed=True)
    assert kept(well, stream) == [True, True]
    assert kept(ended(None, "connection: ServerDisconnectedError"), stream) == [False, True]
    assert kept(well, ended(None, "stream ended early", streamed=True)) == [True, False]
    shut = Record(False, [(0.1, replace(WELL, error=REFUSED)), (9.0, replace(WELL, error=REFUSED)), (10.0, WELL)])
    assert kept(shut, stream) == [False, True]
    assert kept(Record(False), Record(True)) == [False, False]  # nobody was answered
    assert kept(well, stream, found=False) == [None]


def test_a_known_reason_is_said_only_if_answers_are_lost() -> None:
    lost = ended(None, "connection: ServerDisconnectedError")
    [whole, _] = deaths.judged(deaths.GCS, lost, Record(True), 0.0, True)
    assert whole.note.startswith("1 x connection: ServerDisconnectedError. Without Redis")
    [whole, _] = deaths.judged(deaths.GCS, ended(None), Record(True), 0.0, True)
    assert whole.note == ""


def replies(answered: int, refused: int, refused_s: float = 0.01, header: str | None = "1") -> list[Reply]:
    return [Reply(200, 0.5, None)] * answered + [Reply(429, refused_s, header)] * refused


def test_overload_is_red_if_work_is_lost_slow_or_without_a_header() -> None:
    def kept(sent: list[Reply], recovered_s: float = 0.1) -> list[bool | None]:
        return [row.kept for row in overload.judged(2, sent, 1.0, recovered_s)]

    enough = int(overload.CAPACITY_PER_S)
    assert kept(replies(enough, 50)) == [True, True, True]
    assert kept(replies(enough // 2, 50)) == [False, True, True]
    assert kept([*replies(enough, 50), Reply(0, 1.0, None)]) == [False, True, True]
    assert kept(replies(enough, 50, refused_s=0.2)) == [True, False, True]
    assert kept(replies(enough, 50, header=None)) == [True, False, True]
    assert kept(replies(enough, 50), 5.0) == [True, True, False]


def test_a_load_generator_that_is_late_itself_judges_no_refusal() -> None:
    late = [replace(reply, lag_s=0.3) for reply in replies(int(overload.CAPACITY_PER_S), 50, refused_s=0.2)]
    assert overload.judged(8, late, 1.0, 0.1)[1].kept is None
    without = [replace(reply, retry_after=None) for reply in late]
    assert overload.judged(8, without, 1.0, 0.1)[1].kept is False  # that is the server's


def test_abuse_is_red_by_status_time_memory_and_neighbour() -> None:
    def kept(*refusals: Refusal, beside_s: float = 0.1, grown: int = 0) -> list[bool | None]:
        return [row.kept for row in abuse.judged([*refusals], [0.1], [beside_s], grown)]

    well = Refusal("a", 400, 0.1)
    assert kept(well) == [True] * 4
    assert kept(well, Refusal("b", 200, 0.1)) == [False, True, True, True]
    assert kept(well, Refusal("b", 0, 0.1)) == [False, True, True, True]
    assert kept(Refusal("a", 400, 5.0)) == [True, False, True, True]
    assert kept(well, grown=2**30) == [True, True, False, True]
    assert kept(well, beside_s=1.0) == [True, True, True, False]


def test_ports_are_red_beyond_what_was_asked_for() -> None:
    local = [Listener("127.0.0.1", 1, "x"), Listener("::1", 2, "x"), Listener("::ffff:127.0.0.1", 3, "x")]
    api = Listener("0.0.0.0", 8000, "haproxy")
    assert ports.judged("127.0.0.1", 8000, {*local}).kept
    assert not ports.judged("127.0.0.1", 8000, {*local, api}).kept
    assert ports.judged("0.0.0.0", 8000, {*local, api}).kept
    more = ports.judged("0.0.0.0", 8000, {*local, api, Listener("::", 8500, "ray")})
    assert (more.kept, more.note) == (False, "Surplus: :::8500 (ray)")
    assert not ports.judged("127.0.0.1", 8000, set()).kept  # a scan that sees nothing proves nothing


def test_termination_is_red_if_one_request_is_lost() -> None:
    half = termination.IN_FLIGHT // 2
    assert termination.judged("x", ended(*[None] * half), ended(*[None] * half, streamed=True)).kept
    lost = ended(*[None] * (half - 1), "connection: ServerDisconnectedError", streamed=True)
    assert not termination.judged("x", ended(*[None] * half), lost).kept


async def test_the_scripted_prefix_cache_knows_a_prompt_by_its_text_and_its_salt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("loadtest.torture.tenants.asyncio", SimpleNamespace(sleep=sleep))
    engine = ScriptedEngine("m", intercept=PrefixCache().intercept)

    async def ask(**fields: Any) -> float:
        slept.clear()
        async for _ in engine.generate(GenerateRequest("r", (), **fields)):
            pass
        return slept[-1]

    first, again, salted = await ask(), await ask(), await ask(cache_salt="s")
    assert again < 0.025 < first
    assert salted > 0.025
    assert await ask(cache_salt="s") < 0.025

"""Latency of interactive requests beside a batch."""

from pathlib import Path

import httpx
import pytest

from loadtest import batch_beside
from loadtest.batch_beside import Asked, Plan, Turn, measured, percentile, ratio_of, table
from loadtest.errors import LoadError
from serving.engines.scripted import ScriptedEngine
from tests.support.api import running
from tests.support.batches import batches_app

PLAN = Plan("m", users=2, words=5, max_tokens=3, lines=5000, turns=2, turn_s=0.3)


def turn(*seconds: float, lines: int = 0) -> Turn:
    return Turn([Asked(0.0, one / 2, one) for one in seconds], lines)


async def measured_here(folder: Path, plan: Plan) -> tuple[list[Turn], list[Turn]]:
    app = batches_app(folder, {"m": ScriptedEngine("m", "one two three", 0.005, 0.005)})
    async with running(app) as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
        found = await measured(client, plan, lambda text: None)
        left = (await client.get("/v1/files")).json()["data"]
    assert {file["purpose"] for file in left} <= {"batch_output"}, "the input file is removed"
    return found


async def test_turns_with_a_batch_have_lines_and_all_have_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_beside, "SETTLE_S", 0.2)
    without, beside = await measured_here(tmp_path, PLAN)
    assert (len(without), len(beside)) == (2, 2)
    assert all(one.asked for one in (*without, *beside))
    assert all(0 < asked.first_s < asked.whole_s for one in (*without, *beside) for asked in one.asked)
    assert not any(one.lines for one in without)
    assert all(one.lines and one.batch_s for one in beside)
    assert "answer, p99, ms" in table(without, beside)


async def test_a_batch_that_is_too_short_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_beside, "SETTLE_S", 6.0)
    short = Plan("m", users=1, words=5, max_tokens=3, lines=1, turns=1, turn_s=0.1)
    with pytest.raises(LoadError, match="give more --lines"):
        await measured_here(tmp_path, short)


async def test_a_request_that_fails_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="404"):
        await measured_here(tmp_path, Plan("x", users=1, words=5, max_tokens=3, lines=1, turns=1, turn_s=0.1))


def test_a_ratio_has_an_interval_over_the_turns() -> None:
    without = [turn(*[1.0] * 50), turn(*[2.0] * 50)]
    beside = [turn(*[1.1] * 50), turn(*[2.2] * 50)]
    before, after, ratio, low, high = ratio_of(without, beside, lambda one: one.whole_s, 99)
    assert (before, after) == (2.0, 2.2)
    assert ratio == pytest.approx(1.1)
    assert low == pytest.approx(1.1)
    assert high == pytest.approx(1.1), "the turns were equally slow"
    uneven = [turn(*[1.0] * 50), turn(*[4.0] * 50)]
    *_, low, high = ratio_of(without, uneven, lambda one: one.whole_s, 50)
    assert low == pytest.approx(1.0)
    assert high == pytest.approx(2.0)
    assert percentile([3.0], 99) == 3.0


def test_a_server_that_is_away_and_a_wrong_address_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert batch_beside.main(["http://127.0.0.1:9"]) == 2
    assert "does not answer" in capsys.readouterr().err
    assert batch_beside.main(["127.0.0.1:9"]) == 2
    assert "is not a host" in capsys.readouterr().err

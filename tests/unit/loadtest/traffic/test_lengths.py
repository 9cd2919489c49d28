import random
import statistics
from pathlib import Path

import pytest

from loadtest.errors import LoadError
from loadtest.traffic.lengths import WORKLOADS, Lengths, LogNormal, parse_workload


@pytest.mark.parametrize("name", WORKLOADS)
def test_published_workloads_have_their_source_s_lengths(name: str) -> None:
    rng = random.Random(1)
    workload = WORKLOADS[name]
    drawn = [workload.draw(rng) for _ in range(20_000)]
    for lengths, expected in (
        ([d.prompt for d in drawn], workload.prompt),
        ([d.answer for d in drawn], workload.answer),
    ):
        assert statistics.median(lengths) == pytest.approx(expected.median, rel=0.05)
        assert statistics.fmean(lengths) == pytest.approx(expected.mean, rel=0.08)
        assert min(lengths) >= 1


def test_a_mean_gives_its_median() -> None:
    assert LogNormal.with_mean(100.0, 1.0).mean == pytest.approx(100)


def test_fixed_lengths() -> None:
    assert parse_workload("fixed:128:64").draw(random.Random(0)) == Lengths(128, 64)


def test_draws_repeat_with_the_seed() -> None:
    chat = parse_workload("chat")
    assert [chat.draw(random.Random(7)) for _ in range(3)] == [chat.draw(random.Random(7)) for _ in range(3)]


@pytest.mark.parametrize("columns", ["prompt_tokens,answer_tokens", "ContextTokens,GeneratedTokens"])
def test_traces_keep_pairs_together(tmp_path: Path, columns: str) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(f"TIMESTAMP,{columns}\n0,10,1\n1,20,2\n")
    trace = parse_workload(f"trace:{path}")
    assert {trace.draw(random.Random(seed)) for seed in range(20)} == {Lengths(10, 1), Lengths(20, 2)}


@pytest.mark.parametrize("text", ["", "chatty", "fixed:1", "fixed:0:5", "fixed:a:b", "trace:/nowhere.csv"])
def test_refuses_what_is_no_workload(text: str) -> None:
    with pytest.raises(LoadError):
        parse_workload(text)


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "prompt_tokens,answer_tokens\nx,y\n"])
def test_refuses_a_trace_without_usable_rows(tmp_path: Path, content: str) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(content)
    with pytest.raises(LoadError, match="prompt_tokens"):
        parse_workload(f"trace:{path}")


def test_lengths_are_cut_to_what_is_allowed() -> None:
    assert Lengths(5000, 10).clamped(2048, 512) == Lengths(2048, 10)

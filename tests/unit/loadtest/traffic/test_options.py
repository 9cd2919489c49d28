import argparse

import pytest

from loadtest.__main__ import main
from loadtest.errors import LoadError
from loadtest.traffic.options import DEFAULT_SCENARIOS, add_arguments, checked_host, from_arguments, parse_scenarios


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(arguments)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "localhost:8000",
        "ftp://a",
        "http://a/v1",
        "http://",
        "http://a?b=c",
        "http://a:99999",
        "::1",
        "http://a#b",
        "http://u:p@a",
    ],
)
def test_loads_no_host_that_was_not_named_as_one(host: str | None) -> None:
    with pytest.raises(LoadError, match=r"http://127\.0\.0\.1:8000"):
        checked_host(host)


def test_takes_a_plain_origin() -> None:
    assert checked_host("http://127.0.0.1:8000/") == "http://127.0.0.1:8000"


def test_without_a_host_the_command_does_nothing_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run"]) == 2
    assert "--host" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--slo", "fast<=1"],
        ["--workload", "none"],
        ["--scenarios", "dance"],
        ["--rate", "-1"],
        ["--max-prompt", "0"],
        ["--duration", "0"],
        ["--users", "0"],
        ["--rate", "nan"],
        ["--rate", "inf"],
        ["--duration", "inf"],
        ["--think-s", "nan"],
        ["--timeout-s", "0"],
        ["--temperature", "-1"],
        ["--temperature", "nan"],
        ["--scenarios", "chat=nan"],
        ["--scenarios", "chat=inf"],
        ["--scenarios", "chat=1,chat=2"],
        ["--users", "4", "--rate", "5"],
        ["--spawn-per-s", "4", "--rate", "5"],
        ["--slo", "lag_ms<=5"],
        ["--slo", "answer_ms<=1", "--scenarios", "chat"],
        ["--sweep"],
        ["--sweep", "--slo", "requests_per_s>=5"],
        ["--sweep", "--slo", "e2e_ms<=5", "--users", "3"],
        ["--sweep", "--slo", "e2e_ms<=5", "--rate", "5", "--sweep-max", "4"],
        ["--sweep", "--slo", "e2e_ms<=5", "--sweep-max", "nan"],
        ["--sweep", "--slo", "e2e_ms<=5", "--sweep-precision", "0"],
        ["--sweep-max", "5"],
        ["--sweep-precision", "0.5"],
        ["--out", "/dev/null/reports"],
    ],
)
def test_options_that_cannot_work_end_before_any_request(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--host", "http://127.0.0.1:9", *arguments]) == 2
    said = capsys.readouterr().err
    assert "does not answer" not in said
    assert said.startswith("error: ")
    assert said.count("\n") == 1


STREAMED = {"streaming": 2, "multi-turn": 1}


@pytest.mark.parametrize("measure", ["frame_ms", "ttft_ms", "answer_ms", "itl_ms", "tpot_ms"])
def test_a_limit_of_streamed_answers_leaves_the_others_out(measure: str) -> None:
    assert from_arguments(parse("--slo", f"{measure}<=1")).scenarios == STREAMED
    chosen = parse("--slo", f"{measure}<=1", "--scenarios", "streaming=2,chat=0,multi-turn=1")
    assert from_arguments(chosen).scenarios == STREAMED


def test_a_scenario_whose_answers_cannot_meet_a_limit_is_refused() -> None:
    with pytest.raises(LoadError) as refused:
        from_arguments(parse("--slo", "answer_ms<=1,e2e_ms<=9", "--scenarios", "streaming,chat"))
    assert str(refused.value) == (
        "--slo has the limit answer_ms<=1, but answers of the scenario 'chat' are not streamed and have no answer_ms:"
        " choose --scenarios among streaming, multi-turn, or limit e2e_ms."
    )


def test_other_limits_leave_the_scenarios_alone() -> None:
    assert from_arguments(parse("--slo", "e2e_ms<=1,error_share<=0.1")).scenarios == DEFAULT_SCENARIOS
    assert from_arguments(parse()).scenarios == DEFAULT_SCENARIOS == {"streaming": 2, "chat": 1, "multi-turn": 1}


def test_an_open_loop_has_a_schedule_to_limit_the_lag_of() -> None:
    assert from_arguments(parse("--slo", "lag_ms<=5", "--rate", "2")).rate_per_s == 2
    assert from_arguments(parse("--slo", "lag_ms<=5"), open_loop=True).rate_per_s is None


def test_rate_chooses_the_open_loop() -> None:
    assert from_arguments(parse()).rate_per_s is None
    assert from_arguments(parse("--rate", "2.5")).rate_per_s == 2.5


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADTEST_API_KEY", "secret")
    assert from_arguments(parse()).api_key == "secret"


def test_scenarios_and_their_weights() -> None:
    assert parse_scenarios("streaming=3, chat") == {"streaming": 3.0, "chat": 1.0}


@pytest.mark.parametrize("text", ["", "chat=x", "chat=-1", "chat=0", "other=1"])
def test_refuses_scenarios_that_cannot_be_drawn(text: str) -> None:
    with pytest.raises(LoadError):
        parse_scenarios(text)

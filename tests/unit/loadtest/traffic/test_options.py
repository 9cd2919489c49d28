import argparse

import pytest

from loadtest.__main__ import main
from loadtest.errors import LoadError
from loadtest.traffic.options import add_arguments, checked_host, from_arguments, parse_scenarios


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(arguments)


@pytest.mark.parametrize(
    "host", [None, "", "localhost:8000", "ftp://a", "http://a/v1", "http://", "http://a?b=c", "http://a:99999"]
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
    ],
)
def test_options_that_cannot_work_end_before_any_request(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--host", "http://127.0.0.1:9", *arguments]) == 2
    assert "does not answer" not in capsys.readouterr().err


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

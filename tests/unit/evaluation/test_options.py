"""Options: each wrong value is refused in one sentence, before anything is read or asked."""

from pathlib import Path

import pytest

from evaluation.__main__ import main

RUN = ["run", "--recipes", "a", "--dataset", "tiny", "--out", "x"]


@pytest.mark.parametrize("name", ["--limit", "--samples", "--concurrency", "--max-requests", "--max-tokens"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "1.5", "", "x", "9" * 5000, "1e3"])
def test_counts_are_whole_numbers_from_one(name: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Regression test: --concurrency 0 asked nothing and ended with exit code 0."""
    assert _refused([*RUN, name, value], capsys).startswith(f"argument {name}: must be a whole number from 1 to ")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("--temperature", ["-0.1", "nan", "inf", "3", "x"]),
        ("--top-p", ["0", "1.1", "nan"]),
        ("--timeout", ["0", "-1", "nan", "inf", "x"]),
        ("--seed", ["-1", "1.5", str(2**63)]),
    ],
)
def test_numbers_have_bounds(name: str, values: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for value in values:
        assert _refused([*RUN, name, value], capsys).startswith(f"argument {name}: must be a ")


@pytest.mark.parametrize(
    ("value", "suggested"),
    [
        ("::1", "http://[::1]:8000"),
        ("http://::1", "http://[::1]:8000"),
        ("http://::1:8765", "http://[::1]:8765"),
        ("http://[::1", "http://127.0.0.1:8000"),
        ("localhost:8000", "http://127.0.0.1:8000"),
        ("ftp://host", "http://127.0.0.1:8000"),
        ("http://", "http://127.0.0.1:8000"),
        ("http://host:99999", "http://127.0.0.1:8000"),
        ("http://ho st", "http://127.0.0.1:8000"),
        ("", "http://127.0.0.1:8000"),
    ],
)
def test_a_url_has_a_scheme_and_a_host(value: str, suggested: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _refused([*RUN, "--url", value], capsys) == f"argument --url: must be a URL such as {suggested}"


def test_a_url_has_no_query(capsys: pytest.CaptureFixture[str]) -> None:
    assert "without '?' and '#'" in _refused([*RUN, "--url", "http://host/?a=b"], capsys)


@pytest.mark.parametrize("value", ["nan", "-1", "101%", "1.1", "abc%", ""])
def test_a_minimum_accuracy_is_a_share(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = _refused(["report", "x", "--min-accuracy", value], capsys)
    assert said == "argument --min-accuracy: must be between 0 and 1, or between 0% and 100%"


@pytest.mark.parametrize("name", ["--budget-tokens", "--budget-usd", "--budget-latency"])
@pytest.mark.parametrize("value", ["0", "-5", "nan", "inf"])
def test_a_budget_is_a_number_above_zero(name: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "must be a number above 0" in _refused(["report", "x", name, value], capsys)


def test_a_judge_has_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert _refused(["judge", "x", "--judge", " ", "--grade"], capsys) == "argument --judge: must not be empty"
    assert "must be one or more names" in _refused(["table", "x", "--arms", ","], capsys)


def test_a_key_that_no_header_can_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ODD_KEY", "schlüssel\n")
    assert main([*RUN[:-1], str(tmp_path), "--api-key-env", "ODD_KEY"]) == 2
    assert "The API key in ODD_KEY has characters" in capsys.readouterr().err


def _refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The last line of the error without the program's name."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return next(line for line in said.splitlines() if "error: " in line).split("error: ", 1)[1].rstrip(".")

"""Options of `python -m deployments.plan --cost`, and what is refused."""

from pathlib import Path

import pytest

from deployments.plan.__main__ import main


def printed(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    main(["large", "--cost", *options])
    return capsys.readouterr().out


def test_a_region_is_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "--region", "us-east-2").startswith("large on AWS, us-east-2, prices of ")


def test_nights_budget_and_savings_plan_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    page = printed(capsys, "--hours-per-day", "12", "--budget", "9000", "--savings-plan", "28")
    assert "stays on demand, 12 hours a day" in page
    assert "costs more than 9,000:" in page
    assert "Savings Plan, 28% off" in page


def test_lengths_replace_those_of_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    page = printed(capsys, "--asked-tokens", "70", "--answer-tokens", "90")
    assert "Capacity for 70 prompt tokens and 90 tokens from each agent" in page


def test_the_picture_is_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    printed(capsys, "--picture", str(tmp_path / "cost.svg"))
    assert (tmp_path / "cost.svg").read_text().startswith("<svg")


def test_a_picture_that_cannot_be_written_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"The picture cannot be written to '.*': No such file or directory\."):
        main(["large", "--cost", "--picture", str(tmp_path / "none" / "cost.svg")])


def test_a_region_without_prices_is_refused() -> None:
    with pytest.raises(SystemExit, match=r"Error: prices\.yaml has no prices for the region 'mars-1'"):
        main(["large", "--cost", "--region", "mars-1"])


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("--hours-per-day", "25", "must be a number from 1 to 24, not '25'"),
        ("--hours-per-day", "many", "must be a number from 1 to 24, not 'many'"),
        ("--min-0-hours", "-1", "must be a number from 0 to 24, not '-1'"),
        ("--savings-plan", "100", "must be a number from 0 to 99, not '100'"),
        ("--budget", "0", "must be a number from 1 to 1e+09, not '0'"),
        ("--answer-tokens", "0", "must be a whole number of at least 1, not '0'"),
    ],
)
def test_a_wrong_value_is_refused(capsys: pytest.CaptureFixture[str], option: str, value: str, problem: str) -> None:
    with pytest.raises(SystemExit):
        main(["large", "--cost", f"{option}={value}"])
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize(("visible", "profile"), [("", "tiny"), ("0", "small"), ("0,1,2", "lite")])
def test_without_a_profile_it_plans_what_make_serve_starts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, visible: str, profile: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    main([])
    said = capsys.readouterr()
    assert said.out.startswith(f"{profile}: ")
    assert said.err == f"No profile is named: planning '{profile}', which `make serve` starts here.\n"


def test_a_profile_can_be_given_as_make_serve_is_given_it(capsys: pytest.CaptureFixture[str]) -> None:
    main(["profile=tiny"])
    assert capsys.readouterr().out.startswith("tiny: ")
    with pytest.raises(SystemExit, match="There is no profile 'tny'; did you mean 'tiny'"):
        main(["profile=tny"])


@pytest.mark.parametrize("load", [("--requests-per-s", "2"), ("--answers-per-month", "5256000")])
def test_a_load_is_planned(capsys: pytest.CaptureFixture[str], load: tuple[str, str]) -> None:
    main(["lite", *load, "--recipe", "moa-lite", "--region", "us-east-2"])
    page = capsys.readouterr().out
    assert page.startswith("lite on AWS for 2 requests/s (5,256,000 answers a month), us-east-2, prices of ")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--recipe", "moa"], "--recipe needs --requests-per-s or --answers-per-month"),
        (["--requests-per-s", "0"], "must be a number from 1e-06 to 1e+06, not '0'"),
        (["--requests-per-s", "nan"], "must be a number from 1e-06 to 1e+06, not 'nan'"),
        (["--answers-per-month", "-5"], "must be a number from 1 to 1e+12, not '-5'"),
        (["--requests-per-s", "1", "--answers-per-month", "5"], "not allowed with argument"),
        (["--requests-per-s", "1", "--cost"], "not allowed with argument"),
        (["--requests-per-s", "1", "--budget", "5"], "--budget needs --cost"),
    ],
)
def test_options_of_a_load_are_checked(capsys: pytest.CaptureFixture[str], options: list[str], problem: str) -> None:
    with pytest.raises(SystemExit):
        main(["large", *options])
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize("option", ["region", "hours-per-day", "min-0-hours", "budget", "savings-plan", "picture"])
def test_an_option_of_the_cost_is_refused_without_it(capsys: pytest.CaptureFixture[str], option: str) -> None:
    with pytest.raises(SystemExit):
        main(["large", f"--{option}", "5"])
    assert f"--{option} needs --cost" in capsys.readouterr().err

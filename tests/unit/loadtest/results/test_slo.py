import pytest

from loadtest.errors import LoadError
from loadtest.results.exchange import Exchange
from loadtest.results.metrics import FORMULAS, summarise
from loadtest.results.slo import FROM_BELOW, parse_slo


def exchange(first_s: float = 0.2, **changes: object) -> Exchange:
    values: dict[str, object] = {
        "scenario": "streaming",
        "first_token_s": first_s,
        "first_answer_s": first_s,
        "answer_tokens": 11,
    }
    fixed: dict[str, object] = {"model": "m", "streamed": True, "sent_s": 0.0, "total_s": first_s + 0.5}
    return Exchange(**{**fixed, **values, **changes})  # type: ignore[arg-type]


def test_reads_limits_on_requests_and_on_the_run() -> None:
    slo = parse_slo(" ttft_ms<=500, tpot_ms < 30,error_share<=0.01,goodput_share>=0.99 ")
    assert str(slo) == "ttft_ms<=500, tpot_ms<30, error_share<=0.01, goodput_share>=0.99"
    assert [limit.measure for limit in slo.request] == ["ttft_ms", "tpot_ms"]


def test_request_limits_alone_ask_for_goodput() -> None:
    assert str(parse_slo("ttft_ms<=500")) == "ttft_ms<=500, goodput_share>=0.95"


def test_nothing_asked_is_nothing_judged() -> None:
    slo = parse_slo("")
    assert slo.good(exchange())
    assert slo.judge(summarise([exchange()], 1.0, slo.good)) == ()


@pytest.mark.parametrize("text", ["ttft_ms", "ttft_ms<=fast", "ttft_ms==5", "latency<=5", "<=5"])
def test_refuses_what_is_no_limit(text: str) -> None:
    with pytest.raises(LoadError):
        parse_slo(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("ttft_ms>=5", "'ttft_ms>=5' is the wrong way round: less ttft_ms is better; write ttft_ms<=..."),
        ("error_share>0.1", "'error_share>0.1' is the wrong way round: less error_share is better"),
        ("goodput_share<=0.9", "'goodput_share<=0.9' is the wrong way round: more goodput_share is better; write"),
        ("tokens_per_s<5", "more tokens_per_s is better; write tokens_per_s>=..."),
        ("ttft_ms<=500,ttft_ms<=400", "'ttft_ms' has two limits in 'ttft_ms<=500,ttft_ms<=400'; leave one out."),
        ("error_share<=0.1, error_share<0.1", "'error_share' has two limits"),
    ],
)
def test_refuses_what_no_good_server_meets_and_a_second_limit(text: str, sentence: str) -> None:
    with pytest.raises(LoadError) as caught:
        parse_slo(text)
    assert sentence in str(caught.value)


def test_every_measure_takes_a_limit_on_its_bad_side() -> None:
    for measure in FORMULAS:
        assert parse_slo(f"{measure}{'>=' if measure in FROM_BELOW else '<='}0.5")


def test_good_needs_every_request_limit() -> None:
    slo = parse_slo("ttft_ms<=300,tpot_ms<=60")
    assert slo.good(exchange(0.2))
    assert not slo.good(exchange(0.4))
    assert not slo.good(exchange(0.2, answer_tokens=5))  # 125 ms a token


def test_what_does_not_apply_breaks_nothing_but_unknown_does() -> None:
    slo = parse_slo("tpot_ms<=60")
    assert slo.good(exchange(answer_tokens=1))
    assert not slo.good(exchange(answer_tokens=None))


@pytest.mark.parametrize("measure", ["frame_ms", "ttft_ms", "answer_ms", "itl_ms", "tpot_ms"])
def test_an_answer_in_one_piece_meets_no_limit_of_streamed_ones(measure: str) -> None:
    whole = Exchange("chat", "m", False, 0.0, 0.5, answer_tokens=11)
    slo = parse_slo(f"{measure}<=1")
    assert not slo.good(whole)
    verdicts = slo.judge(summarise([whole], 1.0, slo.good))
    assert [(str(v.limit), v.value, v.met, v.measured) for v in verdicts] == [
        (f"{measure}<=1", None, False, "on no request"),
        ("goodput_share>=0.95", 0.0, False, "0"),
    ]


def test_a_stream_without_an_answer_does_not_meet_the_limit_of_its_first_token() -> None:
    """It has reasoning only, as an answer that thought until its token limit."""
    slo = parse_slo("answer_ms<=300")
    assert not slo.good(exchange(first_answer_s=None))
    assert parse_slo("ttft_ms<=300").good(exchange(first_answer_s=None))


def test_an_answer_in_one_frame_has_no_time_between_tokens_to_be_judged() -> None:
    slo = parse_slo("itl_ms<=60")
    assert not slo.good(exchange(gaps_s=()))  # eleven tokens at once
    assert slo.good(exchange(gaps_s=(), answer_tokens=1))


def test_a_limit_that_no_answer_could_have_is_not_met_by_a_run() -> None:
    slo = parse_slo("tpot_ms<=60")
    ones = [exchange(answer_tokens=1)] * 5
    assert [v.met for v in slo.judge(summarise(ones, 1.0, slo.good))] == [False, True]
    measured = [*ones, exchange()]
    assert [v.met for v in slo.judge(summarise(measured, 1.0, slo.good))] == [True]


def test_later_turns_have_no_lag_but_a_closed_loop_meets_no_limit_of_it() -> None:
    slo = parse_slo("lag_ms<=10")
    assert slo.good(exchange(planned_s=0.0))
    assert not slo.good(exchange())
    later = [exchange(planned_s=0.0, scenario="multi-turn"), exchange(scenario="multi-turn")]
    assert [v.met for v in slo.judge(summarise(later, 1.0, slo.good))] == [True]


@pytest.mark.parametrize("text", ["goodput_share>=95", "error_share<=1.5"])
def test_a_share_is_no_percentage(text: str) -> None:
    with pytest.raises(LoadError, match=r"is a share from 0 to 1; write 0\.95 for 95%"):
        parse_slo(text)


def test_judges_the_run() -> None:
    slo = parse_slo("ttft_ms<=300,error_share<=0.3")
    exchanges = [exchange(0.2), exchange(0.2), exchange(0.9), exchange(error="timeout")]
    verdicts = slo.judge(summarise(exchanges, 1.0, slo.good))
    assert [(str(v.limit), v.value, v.met) for v in verdicts] == [
        ("goodput_share>=0.95", 0.5, False),
        ("error_share<=0.3", 0.25, True),
    ]


def test_a_run_without_requests_meets_nothing() -> None:
    slo = parse_slo("error_share<=0.01")
    assert not slo.judge(summarise([], 1.0, slo.good))[0].met


def test_an_unknown_rate_does_not_meet_its_limit() -> None:
    slo = parse_slo("tokens_per_s>=1")
    assert not slo.judge(summarise([exchange(answer_tokens=None)], 1.0, slo.good))[0].met

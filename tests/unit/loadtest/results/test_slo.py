import pytest

from loadtest.errors import LoadError
from loadtest.results.exchange import Exchange
from loadtest.results.metrics import summarise
from loadtest.results.slo import parse_slo


def exchange(first_s: float = 0.2, **changes: object) -> Exchange:
    values: dict[str, object] = {"first_token_s": first_s, "first_answer_s": first_s, "answer_tokens": 11}
    return Exchange("streaming", "m", True, 0.0, first_s + 0.5, **{**values, **changes})  # type: ignore[arg-type]


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


def test_good_needs_every_request_limit() -> None:
    slo = parse_slo("ttft_ms<=300,tpot_ms<=60")
    assert slo.good(exchange(0.2))
    assert not slo.good(exchange(0.4))
    assert not slo.good(exchange(0.2, answer_tokens=5))  # 125 ms a token


def test_what_does_not_apply_breaks_nothing_but_unknown_does() -> None:
    slo = parse_slo("tpot_ms<=60")
    assert slo.good(exchange(answer_tokens=1))
    assert not slo.good(exchange(answer_tokens=None))


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

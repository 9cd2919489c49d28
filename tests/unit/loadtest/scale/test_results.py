from loadtest.results.metrics import Distribution
from loadtest.scale.experiments import Held
from loadtest.scale.process_usage import CLIENT, Usage
from tests.support.scale import results


def test_a_full_orchestrator_is_the_limit_before_the_machine_is() -> None:
    assert "orchestrator.replicas" in results({"orchestrator": 0.97, CLIENT: 0.4}).limit(1)


def test_two_replicas_are_full_at_two_cores() -> None:
    found = results({"orchestrator": 1.2, "haproxy": 0.95}, replicas=2)
    assert found.limit(2).startswith("haproxy")


def test_a_full_machine_is_named_with_who_fills_it() -> None:
    text = results({"orchestrator": 0.95, CLIENT: 0.6, "engines": 0.4}, machine_cores=2).limit(1)
    assert "this machine's 2 cores" in text
    assert "orchestrator 0.95" in text


def test_a_full_load_generator_means_that_more_was_possible() -> None:
    assert "can take more" in results({CLIENT: 0.99, "orchestrator": 0.3}).limit(1)


def test_idle_processes_mean_waiting() -> None:
    assert "waiting" in results({"orchestrator": 0.2}).limit(1)


def test_the_table_has_rows_findings_and_errors() -> None:
    found = results({"orchestrator": 0.5})
    found.held = Held(2000, 1999, 1990, {"timeout": 10}, 20480.0, 900.0, Usage({}, {}))
    found.idle_ms = Distribution(50, 4.0, 3.5, 4.0, 5.0, 6.25, 7.0)
    text = found.table()
    assert "One request at a time: 3.5 ms of overhead per layer at p50, 6.2 ms at p99." in text
    assert "1999 of 2000 streams" in text
    assert "10 x timeout" in text
    assert "20.0 KiB" in text
    assert found.rows()[0][:5] == ("1", "100.0", "0", "0.50", "200")
    assert found.to_json()["capacity"][1]["limit"] == found.limit(1)

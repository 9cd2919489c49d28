"""Prometheus for a local server: its configuration, and what is refused before it starts."""

import socket
import subprocess
from pathlib import Path

import pytest
import yaml

from deployments.watch.prometheus import check_metrics, configuration, metrics_page, start_prometheus
from deployments.watch.rules import local_rules
from serving.errors import ConfigError
from tests.support.metrics_page import serving


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/metrics"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/metrics"),
        ("http://127.0.0.1:8000/metrics", "http://127.0.0.1:8000/metrics"),
        ("https://moa.example.com/team", "https://moa.example.com/team/metrics"),
        ("http://[::1]:8000", "http://[::1]:8000/metrics"),
    ],
)
def test_the_page_of_a_server_is_below_its_address(url: str, page: str) -> None:
    assert metrics_page(url) == page


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8000", "localhost", "ftp://a", "http://", "http://a:x", "http://a?b=c", "http://a:70000", ""]
)
def test_other_addresses_are_refused_in_one_sentence(url: str) -> None:
    with pytest.raises(ConfigError, match=r"--url is '.*', but must be the server's address, such as http://"):
        metrics_page(url)


def test_a_server_with_metrics_passes() -> None:
    with serving() as url:
        assert check_metrics(f"{url}/metrics") is True


def test_a_server_that_is_not_there_or_has_just_started_may_come_later() -> None:
    assert check_metrics("http://127.0.0.1:9/metrics") is False
    with serving(503, text="not yet") as url:
        assert check_metrics(f"{url}/metrics") is False


@pytest.mark.parametrize(("status", "kind"), [(404, "application/json"), (200, "text/html"), (401, "text/plain")])
def test_a_server_without_metrics_is_refused_with_the_setting(status: int, kind: str) -> None:
    with (
        serving(status, kind) as url,
        pytest.raises(ConfigError, match=r"no metrics \(status .*set api.metrics to true"),
    ):
        check_metrics(f"{url}/metrics")


def test_the_label_that_the_rules_select_is_added() -> None:
    config = configuration("https://moa.example.com:8443/team/metrics", Path("/rules.yaml"))
    [job] = config["scrape_configs"]
    assert (job["scheme"], job["metrics_path"]) == ("https", "/team/metrics")
    assert job["static_configs"] == [{"targets": ["moa.example.com:8443"], "labels": {"namespace": "moa"}}]


def test_promtool_accepts_the_configuration_and_the_rules(tmp_path: Path) -> None:
    rules, config = tmp_path / "rules.yaml", tmp_path / "prometheus.yaml"
    rules.write_text(yaml.safe_dump(local_rules(300.0, 2.0)))
    config.write_text(yaml.safe_dump(configuration("http://127.0.0.1:8000/metrics", rules)))
    run = subprocess.run(["promtool", "check", "config", config], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert "1 rule files found" in run.stdout


def test_a_machine_without_prometheus_is_told_where_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(ConfigError, match="There is no program 'prometheus'; install it"):
        start_prometheus("http://127.0.0.1:8000/metrics", local_rules(), 9090, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_port_in_use_is_refused_with_the_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/prometheus")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"Port {port} on 127.0.0.1 cannot be used .* add --port NUMBER"):
            start_prometheus("http://127.0.0.1:8000/metrics", local_rules(), port, tmp_path)

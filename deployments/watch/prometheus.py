"""Prometheus over the `/metrics` of one server, with the chart's rules and alerts."""

import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import yaml

from deployments.watch.child import Child
from deployments.watch.rules import NAMESPACE
from serving.errors import ConfigError
from serving.ports import LOOPBACK, check_port

SCRAPE_S = 5
RETENTION = "31d"  # the cost of a month needs 30 days


def metrics_page(url: str) -> str:
    """URL of the metrics of the server at `url`.

    Raises:
        ConfigError: `url` is not one of HTTP.
    """
    parts = urlsplit(url)
    try:
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # the port is no number
        known = False
    if not known or parts.query or parts.fragment:
        raise ConfigError(f"--url is '{url}', but must be the server's address, such as http://127.0.0.1:8000.")
    return f"{url.rstrip('/').removesuffix('/metrics')}/metrics"


def check_metrics(page: str) -> bool:
    """True if the page is there, False if no server answers yet.

    Raises:
        ConfigError: a server answers, but has no metrics.
    """
    try:
        response = httpx.get(page, timeout=10, trust_env=False)
    except httpx.HTTPError:
        return False
    if response.status_code == 503:  # the server runs, and its cluster has no metrics yet
        return False
    if response.status_code != 200 or "text/plain" not in response.headers.get("content-type", ""):
        raise ConfigError(
            f"{page} has no metrics (status {response.status_code}): set api.metrics to true in the server's profile,"
            " or name another server with --url."
        )
    return True


def configuration(page: str, rules: Path) -> dict[str, Any]:
    """Content of Prometheus' configuration file: `page` is read every `SCRAPE_S` seconds."""
    parts = urlsplit(page)
    return {
        "global": {"scrape_interval": f"{SCRAPE_S}s", "evaluation_interval": "10s"},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {
                "job_name": "moa",
                "scheme": parts.scheme,
                "metrics_path": parts.path,
                "static_configs": [{"targets": [parts.netloc], "labels": {"namespace": NAMESPACE}}],
            }
        ],
    }


def start_prometheus(page: str, rules: dict[str, Any], port: int, folder: Path) -> Child:
    """Start Prometheus on `port` of the loopback interface; its files, which are kept, are in `folder`.

    Raises:
        ConfigError: there is no `prometheus`, its port is in use, or it cannot be started.
    """
    program = shutil.which("prometheus")
    if program is None:
        raise ConfigError("There is no program 'prometheus'; install it (Debian: apt install prometheus).")
    check_port(LOOPBACK, port, "add --port NUMBER")
    folder.mkdir(parents=True, exist_ok=True)
    rules_file, config = (folder / "rules.yaml").resolve(), (folder / "prometheus.yaml").resolve()
    rules_file.write_text(yaml.safe_dump(rules, sort_keys=False), encoding="utf-8")
    config.write_text(yaml.safe_dump(configuration(page, rules_file), sort_keys=False), encoding="utf-8")
    command = [
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={(folder / 'data').resolve()}",
        f"--storage.tsdb.retention.time={RETENTION}",
        f"--web.listen-address={LOOPBACK}:{port}",
        "--log.level=warn",
    ]
    return Child("Prometheus", command, folder / "prometheus.log")

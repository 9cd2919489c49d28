"""Grafana with the chart's dashboards, where it is installed."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from deployments.watch.child import Child
from deployments.watch.dashboards import dashboards
from serving.ports import LOOPBACK, check_port

HOMES = ("/usr/share/grafana", "/usr/local/share/grafana", "/opt/homebrew/share/grafana")
DEFAULTS = Path("conf") / "defaults.ini"  # in every home of Grafana


@dataclass(frozen=True, slots=True)
class Grafana:
    """An installed Grafana: its program with the words before its options, and its home."""

    command: tuple[str, ...]
    home: Path


def find_grafana(homes: tuple[str, ...] = HOMES) -> Grafana | None:
    """Grafana on the PATH or in one of its packages' `homes`; None: not installed."""
    for name, words in (("grafana", ("server",)), ("grafana-server", ())):
        for program in filter(None, map(shutil.which, (name, *(f"{home}/bin/{name}" for home in homes)))):
            # An unpacked archive has its programs in bin/ below its home.
            for home in (Path(program).resolve().parents[1], *map(Path, homes)):
                if (home / DEFAULTS).is_file():
                    return Grafana((program, *words), home)
    return None


def provision(folder: Path, prometheus: str) -> None:
    """Write the data source and the dashboards into `folder`, in the form that Grafana reads at its start."""
    for name in ("datasources", "dashboards", "plugins", "alerting"):
        (folder / "provisioning" / name).mkdir(parents=True, exist_ok=True)
    boards = folder / "boards"
    boards.mkdir(exist_ok=True)
    for stale in boards.glob("*.json"):
        stale.unlink()
    for name, board in dashboards().items():
        (boards / f"{name}.json").write_text(json.dumps(board), encoding="utf-8")
    source = {
        "name": "Prometheus",
        "uid": "prometheus",
        "type": "prometheus",
        "access": "proxy",
        "url": prometheus,
        "isDefault": True,
        "jsonData": {"timeInterval": "15s"},  # Ray's agents collect every 10 s
    }
    provider = {"name": "moa", "type": "file", "options": {"path": str(boards.resolve())}}
    for name, content in (
        ("datasources", {"apiVersion": 1, "datasources": [source]}),
        ("dashboards", {"apiVersion": 1, "providers": [provider]}),
    ):
        (folder / "provisioning" / name / "moa.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def environment(folder: Path, port: int) -> Mapping[str, str]:
    """Grafana's settings: on the loopback interface, without a login, all files in `folder`, nothing sent to anyone."""
    here = folder.resolve()
    return {
        "GF_SERVER_HTTP_ADDR": LOOPBACK,
        "GF_SERVER_HTTP_PORT": str(port),
        "GF_PATHS_DATA": str(here / "data"),
        "GF_PATHS_LOGS": str(here / "logs"),
        "GF_PATHS_PLUGINS": str(here / "plugins"),
        "GF_PATHS_PROVISIONING": str(here / "provisioning"),
        "GF_AUTH_ANONYMOUS_ENABLED": "true",
        "GF_AUTH_ANONYMOUS_ORG_ROLE": "Admin",
        "GF_AUTH_DISABLE_LOGIN_FORM": "true",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
        "GF_NEWS_NEWS_FEED_ENABLED": "false",
        "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": str(here / "boards" / "overview.json"),
    }


def start_grafana(grafana: Grafana, prometheus: str, port: int, folder: Path) -> Child:
    """Start Grafana on `port` of the loopback interface; its files, which are kept, are in `folder`.

    Raises:
        ConfigError: the port is in use, or Grafana cannot be started.
    """
    check_port(LOOPBACK, port, "add --grafana-port NUMBER")
    provision(folder, prometheus)
    command = (*grafana.command, "--homepath", str(grafana.home))
    return Child("Grafana", command, folder / "grafana.log", environment(folder, port))

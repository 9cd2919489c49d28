"""Watch a running server: `python -m deployments.watch [--url http://127.0.0.1:8000] ...`.

Starts Prometheus on the server's `/metrics` with the chart's rules and alerts, a page with the chart's dashboards, and
Grafana with the same dashboards if it is installed. Ctrl-C ends all of them.
"""

import argparse
import math
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from deployments.watch.child import Child, answers
from deployments.watch.grafana import find_grafana, start_grafana
from deployments.watch.page import serving_page
from deployments.watch.prometheus import check_metrics, metrics_page, start_prometheus
from deployments.watch.rules import local_rules
from serving.command_line import CommandLine, at_least
from serving.errors import ConfigError
from serving.ports import LOOPBACK

FOLDER = Path("build") / "watch"
READY_S = 60
POLL_S = 0.2
NO_GRAFANA = "Grafana is not installed; to have it start here too, get it from https://grafana.com/grafana/download."


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = CommandLine(
        prog="python -m deployments.watch",
        description="Watch a running server with Prometheus, the chart's alerts and its dashboards. Ctrl-C ends it.",
    )
    made.add_argument("--url", default="http://127.0.0.1:8000", help="address of the server")
    made.add_argument("--port", type=at_least(1, int, 65535), default=9090, help="port of Prometheus")
    made.add_argument(
        "--page-port", type=at_least(1, int, 65535), default=9091, help="port of the page with the dashboards"
    )
    made.add_argument(
        "--grafana-port", type=at_least(1, int, 65535), default=3000, help="port of Grafana, if it is installed"
    )
    made.add_argument(
        "--budget",
        type=_dollars,
        metavar="USD",
        help="budget in dollars a month (default: budget_usd_per_month of the server's profile)",
    )
    made.add_argument(
        "--gpu-hour-usd", type=_dollars, metavar="USD", help="price of a GPU hour in dollars (default: the chart's)"
    )
    made.add_argument(
        "--folder",
        type=Path,
        default=FOLDER,
        help="folder in which the metrics are kept",
    )
    return made


def _dollars(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is no amount; write a number above 0, such as 300")
    return value


def watch(args: argparse.Namespace, stop: threading.Event) -> None:
    """Start everything, print its addresses, and wait until `stop` is set.

    Raises:
        ConfigError: a program is missing, a port is in use, the server has no metrics, or a program ended.
    """
    page = metrics_page(args.url)
    there = check_metrics(page)
    prometheus = f"http://{LOOPBACK}:{args.port}"
    with ExitStack() as stack:
        rules = local_rules(args.budget, args.gpu_hour_usd)
        children = [stack.enter_context(start_prometheus(page, rules, args.port, args.folder))]
        stack.enter_context(serving_page(args.page_port, prometheus))
        grafana = find_grafana()
        if grafana is not None:
            folder = args.folder / "grafana"
            folder.mkdir(parents=True, exist_ok=True)
            children.append(stack.enter_context(start_grafana(grafana, prometheus, args.grafana_port, folder)))
        _wait_until_ready(children[0], f"{prometheus}/-/ready", stop)
        for line in addresses(args, page, there=there, grafana=grafana is not None):
            say(line)
        while not stop.wait(POLL_S):
            for child in children:
                child.check()


def addresses(args: argparse.Namespace, page: str, *, there: bool, grafana: bool) -> Iterator[str]:
    """Lines that say what runs where."""
    yield f"Metrics: {page}" + ("" if there else " (no answer yet; start the server with: make serve)")
    yield f"Dashboards: http://{LOOPBACK}:{args.page_port}"
    yield f"Prometheus: http://{LOOPBACK}:{args.port}, its alerts: http://{LOOPBACK}:{args.port}/alerts"
    yield f"Grafana: http://{LOOPBACK}:{args.grafana_port}" if grafana else NO_GRAFANA
    yield "Ctrl-C ends all of them."


def _wait_until_ready(child: Child, url: str, stop: threading.Event) -> None:
    for _ in range(int(READY_S / POLL_S)):
        child.check()
        if answers(url) or stop.wait(POLL_S):
            return
    raise ConfigError(f"{child.name} was not ready within {READY_S} s; its output is in {child.log}.")


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Watch until Ctrl-C or SIGTERM and return the exit status."""
    args = parser().parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        watch(args, stop)
    except ConfigError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

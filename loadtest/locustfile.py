"""Locust users and hooks: `locust -f loadtest/locustfile.py --host http://127.0.0.1:8000`.

Closed loop: each Locust user asks, reads, thinks and asks again. With `--rate` (open loop) the first user of each
process sends on a Poisson schedule and the other users stop. The web UI has one more tab, with the measures of
`loadtest.results.metrics`. At the end the table is printed and the SLO is judged; exit codes are those of
`python -m loadtest run`.
"""

import logging
import math
import random
from collections.abc import Callable
from typing import Any

import gevent
from locust import FastHttpUser, constant, events, task
from locust.env import Environment
from locust.event import EventHook
from locust.exception import StopTest, StopUser
from locust.runners import MasterRunner, WorkerRunner

from loadtest import web_ui
from loadtest.client import ChatClient
from loadtest.errors import LoadError
from loadtest.load_run import DRAIN_S, LoadRun
from loadtest.results import report
from loadtest.traffic import options as load_options

logger = logging.getLogger(__name__)
logging.getLogger("httpx").setLevel(logging.WARNING)  # a line per probe otherwise
SENDERS = "senders"  # the message that tells a worker how many processes send
COULD_NOT_RUN = 2  # exit code
UNBOUNDED = 1_000_000  # connections: an open loop must never wait for one


class TeamUser(FastHttpUser):
    """Locust user with one HTTP session. Redirects are refused: they would send load to another host."""

    insecure = False
    max_redirects = 0
    max_retries = 0
    concurrency = UNBOUNDED
    wait_time = constant(0)

    def __init__(self, environment: Environment) -> None:
        self.load: LoadRun = environment.load  # type: ignore[attr-defined]  # set by `attach`
        self.network_timeout = self.connection_timeout = self.load.options.timeout_s
        super().__init__(environment)
        runner = environment.runner
        process = runner.worker_index if isinstance(runner, WorkerRunner) else 0
        self.number = next(self.load.numbers)
        self.rng = random.Random(f"{self.load.options.seed}-{process}-{self.number}")
        self.chat = ChatClient(self.client, self.load.target, self.load.options, self.load.recorder)

    @task
    def ask(self) -> None:
        """Have one conversation, or send the whole open-loop schedule."""
        rate_per_s = self.load.options.rate_per_s
        if rate_per_s is None:
            self.load.converse(self.chat, self.rng)
            self.load.think(self.rng)
            return
        if self.number == 0:
            self.load.arrive(self.chat, rate_per_s / self.load.processes, self.rng)
        raise StopUser


def attach(environment: Environment, load: LoadRun) -> None:
    """Connect an environment with its load run, the web UI's extra tab, and the workers' reports to the master."""
    environment.load = load  # type: ignore[attr-defined]  # Locust's users share state by their environment
    load.recorder.reporting = isinstance(environment.runner, WorkerRunner)
    if environment.web_ui:
        web_ui.extend(environment.web_ui, load)

    def send(client_id: str, data: dict[str, Any]) -> None:
        if load.recorder.reporting:
            data["exchanges"] = load.recorder.pack()

    def receive(client_id: str, data: dict[str, Any]) -> None:
        if isinstance(environment.runner, MasterRunner):
            load.recorder.unpack(data.get("exchanges", ()))

    def share(msg: Any, **_: Any) -> None:
        load.processes = msg.data["processes"]

    if isinstance(environment.runner, WorkerRunner):
        environment.runner.register_message(SENDERS, share)
    _listen(environment.events.report_to_master, send)
    _listen(environment.events.worker_report, receive)
    _listen(environment.events.test_stopping, lambda **_: load.stopping.set())


def _listen(hook: EventHook, handler: Callable[..., None]) -> None:
    hook.add_listener(handler)  # type: ignore[no-untyped-call]  # Locust's method has no annotations


def _init(environment: Environment, **_: Any) -> None:
    """Prepare Locust's own command line and web UI; `loadtest.headless` calls `attach` itself."""
    gevent.get_hub().loop.update_now()  # the imports took seconds: a stale clock would shorten Locust's run time
    load = LoadRun()
    attach(environment, load)
    arguments = environment.parsed_options
    assert arguments is not None  # this hook runs on Locust's command line only

    def start(environment: Environment, **_: Any) -> None:
        arguments = environment.parsed_options  # the web UI may have changed them
        assert arguments is not None
        try:
            # Without a run time, as from the web UI, an open loop goes on until it is stopped.
            load.start(environment.host, load_options.from_arguments(arguments, arguments.run_time or math.inf))
        except LoadError as error:
            raise StopTest(str(error)) from None
        if isinstance(environment.runner, MasterRunner):  # a worker without a user sends nothing
            senders = min(environment.runner.worker_count, environment.runner.target_user_count)
            environment.runner.send_message(SENDERS, {"processes": max(senders, 1)})
        logger.info("Loop: %s", load.options.loop(arguments.num_users or 1))

    _listen(environment.events.test_start, start)
    _listen(environment.events.quitting, lambda environment, **_: _judge(environment, load, arguments.headless))
    if not environment.stop_timeout:
        environment.stop_timeout = DRAIN_S  # without it, requests that are open at the end would count as errors


def _judge(environment: Environment, load: LoadRun, headless: bool) -> None:
    """Print the table and set the exit code: Locust's own counts any error, an SLO says how many are too many."""
    if isinstance(environment.runner, WorkerRunner):
        return  # its master has all requests
    if not load.target.host:
        if headless:
            environment.process_exit_code = COULD_NOT_RUN
        return
    if not (headless or load.recorder.exchanges):
        return  # nobody pressed Start
    result = load.result({})
    print(report.table(result), flush=True)
    environment.process_exit_code = result.exit_code


_listen(events.init_command_line_parser, load_options.add_arguments)
_listen(events.init, _init)

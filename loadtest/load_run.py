"""Load run: state shared by all users of one process, and their conversations and arrivals."""

import random
from itertools import count
from typing import Any

from gevent.event import Event
from gevent.pool import Group

from loadtest.client import ChatClient
from loadtest.results.recorder import Recorder
from loadtest.results.report import Result
from loadtest.target import Target, find_target
from loadtest.traffic.arrivals import OpenLoop, poisson
from loadtest.traffic.options import Options, checked_host
from loadtest.traffic.prompts import Conversation, TokenEstimator

DRAIN_S = 30.0  # for open requests after the end of the run; later they count as errors


class LoadRun:
    """Options, target and recorder of one run; `start` resets them."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.options = Options()
        self.requests_per_arrival = 1.0
        self.target = Target("", "", False, TokenEstimator())
        self.stopping = Event()
        self.numbers = count()  # numbers this process's users
        self.processes = 1  # that share the rate of an open loop
        self.stopped_early = False  # by Ctrl-C

    def start(self, host: str | None, options: Options) -> None:
        """Find the target and reset the recorder.

        Raises:
            LoadError: the server does not answer, or does not serve the model.
        """
        self.target = find_target(checked_host(host), options.model, options.api_key)
        self.options = options
        self.requests_per_arrival = options.requests_per_arrival if options.rate_per_s else 1.0
        self.stopping.clear()
        self.numbers = count()
        self.recorder.reset()

    def result(self, settings: dict[str, Any]) -> Result:
        """Judge the run by its SLO. Its duration is from the start to the end of the last answer, drain included."""
        exchanges = tuple(self.recorder.exchanges)
        duration_s = max((e.sent_s + e.total_s for e in exchanges), default=self.recorder.elapsed_s)
        return Result.of(settings, exchanges, duration_s, self.options.slo)

    def converse(self, client: ChatClient, rng: random.Random, planned_s: float | None = None) -> None:
        """Ask one question, or the turns of one conversation; a failed turn ends it."""
        options = self.options
        scenario = options.draw_scenario(rng)
        conversation = Conversation()
        for lengths in options.turns(scenario, conversation, rng):
            if conversation.messages:
                self.think(rng)
            if self.stopping.is_set() or client.ask(scenario, conversation, lengths, rng, planned_s) is None:
                return
            planned_s = None  # the schedule plans the first turn only; later turns follow their answers

    def think(self, rng: random.Random) -> None:
        """Pause for an exponential time with mean `think_s`; the end of the run cuts it short."""
        if self.options.think_s:
            self.stopping.wait(rng.expovariate(1 / self.options.think_s))

    def arrive(self, client: ChatClient, rate_per_s: float, rng: random.Random) -> None:
        """Open loop: start conversations on a Poisson schedule, independently of each other.

        Args:
            client: client for all conversations.
            rate_per_s: requests per second, all turns counted.
            rng: source of the schedule and of the conversations.
        """
        conversations = Group()

        def send(planned_s: float) -> None:
            conversations.spawn(self.converse, client, random.Random(rng.getrandbits(64)), planned_s)

        loop = OpenLoop(
            now_s=lambda: self.recorder.elapsed_s,
            sleep=self.stopping.wait,
            send=send,
            running=lambda: not self.stopping.is_set(),
        )
        arrivals = random.Random(rng.getrandbits(64))
        try:
            loop.run(poisson(rate_per_s / self.requests_per_arrival, self.options.duration_s, arrivals))
            conversations.join()
        finally:
            conversations.kill()

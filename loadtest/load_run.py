"""What all users of one process share, and what they do: questions, conversations, arrivals."""

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

DRAIN_S = 30.0  # how long open requests may still take when the time is over; then they count as errors


class LoadRun:
    """Set anew at each test's start."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.options = Options()
        self.requests_per_arrival = 1.0
        self.target = Target("", "", False, TokenEstimator())
        self.stopping = Event()
        self.numbers = count()  # of this process's users
        self.processes = 1  # that share an open loop's rate

    def start(self, host: str | None, options: Options) -> None:
        """Raises `LoadError`: the server does not answer, or does not serve the model."""
        self.target = find_target(checked_host(host), options.model, options.api_key)
        self.options = options
        self.requests_per_arrival = options.requests_per_arrival if options.rate_per_s else 1.0
        self.stopping.clear()
        self.numbers = count()
        self.recorder.reset()

    def result(self, settings: dict[str, Any]) -> Result:
        """The run, judged by its SLO. It lasted from its start to the last answer's end, the drain included."""
        exchanges = tuple(self.recorder.exchanges)
        duration_s = max((e.sent_s + e.total_s for e in exchanges), default=self.recorder.elapsed_s)
        return Result.of(settings, exchanges, duration_s, self.options.slo)

    def converse(self, client: ChatClient, rng: random.Random, planned_s: float | None = None) -> None:
        """One question, or the turns of one conversation; a failed turn ends it."""
        options = self.options
        scenario = options.draw_scenario(rng)
        conversation = Conversation()
        for lengths in options.turns(scenario, conversation, rng):
            if conversation.messages:
                self.think(rng)
            if self.stopping.is_set() or client.ask(scenario, conversation, lengths, rng, planned_s) is None:
                return
            planned_s = None  # only the first turn is the schedule's; a later one follows its answer

    def think(self, rng: random.Random) -> None:
        """A pause with the mean of `think_s`; the run's end cuts it short."""
        if self.options.think_s:
            self.stopping.wait(rng.expovariate(1 / self.options.think_s))

    def arrive(self, client: ChatClient, rate_per_s: float, rng: random.Random) -> None:
        """The open loop: strangers come on a Poisson schedule, each with a conversation; nobody waits for another.

        `rate_per_s` is that of requests, all turns counted.
        """
        strangers = Group()

        def send(planned_s: float) -> None:
            strangers.spawn(self.converse, client, random.Random(rng.getrandbits(64)), planned_s)

        loop = OpenLoop(
            now_s=lambda: self.recorder.elapsed_s,
            sleep=self.stopping.wait,
            send=send,
            running=lambda: not self.stopping.is_set(),
        )
        arrivals = random.Random(rng.getrandbits(64))
        try:
            loop.run(poisson(rate_per_s / self.requests_per_arrival, self.options.duration_s, arrivals))
            strangers.join()
        finally:
            strangers.kill()

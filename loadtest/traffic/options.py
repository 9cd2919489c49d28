"""Options of a load run, for `python -m loadtest run` and for Locust's own command line and web UI."""

import argparse
import math
import os
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import urlsplit

from loadtest.errors import LoadError
from loadtest.results.metrics import STREAMED_MEASURES
from loadtest.results.slo import Slo, parse_slo
from loadtest.traffic.lengths import Lengths, Workload, parse_workload
from loadtest.traffic.prompts import Conversation

SCENARIOS: Mapping[str, str] = {
    "streaming": "one question, answer streamed",
    "chat": "one question, answer not streamed",
    "multi-turn": "a conversation of 2 turns on average (LMSYS-Chat-1M, arXiv 2309.11998, table 1), streamed",
}
STREAMED_SCENARIOS = ("streaming", "multi-turn")
DEFAULT_SCENARIOS: Mapping[str, float] = {"streaming": 2, "chat": 1, "multi-turn": 1}
MEAN_TURNS = 2.0
DRAWN_CONVERSATIONS = 20_000  # enough for their mean number of turns to be exact within 1%


@dataclass(frozen=True, slots=True)
class Options:
    """Validated options. An empty `model` is `moa-lite` if it is served, otherwise the server's first model."""

    model: str = ""
    workload: str = "chat"
    scenarios: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_SCENARIOS), hash=False)
    rate_per_s: float | None = None  # open loop; None: closed loop of users
    duration_s: float = 60.0  # end of the open loop's schedule
    think_s: float = 1.0  # mean pause of a user between two questions
    max_prompt: int = 2048  # tokens; a conversation ends before it exceeds this
    max_answer: int = 512
    natural: bool = False  # the model ends its answers, instead of the drawn length
    temperature: float | None = None
    slo: Slo = field(default_factory=Slo)
    timeout_s: float = 300.0  # of silence from the server
    seed: int = 0
    api_key: str = ""

    @property
    def lengths(self) -> Workload:
        """Parsed workload."""
        return parse_workload(self.workload)

    def draw_scenario(self, rng: random.Random) -> str:
        """Draw a scenario by its weight."""
        return rng.choices(list(self.scenarios), list(self.scenarios.values()))[0]

    def turns(self, scenario: str, conversation: Conversation, rng: random.Random) -> Iterator[Lengths]:
        """Yield the lengths of each turn. The caller adds the turn to `conversation` before it takes the next."""
        while True:
            lengths = self.lengths.draw(rng).clamped(self.max_prompt, self.max_answer)
            if conversation.messages and conversation.tokens + lengths.prompt > self.max_prompt:
                return
            yield lengths
            if scenario != "multi-turn" or rng.random() < 1 / MEAN_TURNS:
                return

    @property
    def requests_per_arrival(self) -> float:
        """Mean over the scenarios. Conversations are simulated, since long texts end some of them early."""
        share = self.scenarios.get("multi-turn", 0.0) / sum(self.scenarios.values())
        return 1 - share + share * _mean_turns(self) if share else 1.0

    def loop(self, users: int) -> str:
        """Describe the loop in words."""
        if self.rate_per_s is None:
            return f"closed, {users} users"
        each = self.requests_per_arrival
        return f"open, {self.rate_per_s:g} requests/s: {self.rate_per_s / each:.3g} arrivals/s of {each:.2f} requests"


@lru_cache  # takes tenths of a second: computed before the run starts
def _mean_turns(options: Options) -> float:
    rng, asked = random.Random(options.seed), 0
    for _ in range(DRAWN_CONVERSATIONS):
        conversation = Conversation()
        for lengths in options.turns("multi-turn", conversation, rng):
            conversation.ask("", lengths.prompt)
            conversation.hear("", lengths.answer)
            asked += 1
    return asked / DRAWN_CONVERSATIONS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options. No name is one of Locust's own, which also reads them from `LOCUST_*` in the environment."""
    defaults = Options()
    mix = ",".join(f"{name}={weight:g}" for name, weight in DEFAULT_SCENARIOS.items())
    add = parser.add_argument
    add(
        "--model",
        default=defaults.model,
        help="model or recipe; default: moa-lite if it is served, otherwise the first model",
    )
    add(
        "--workload",
        default=defaults.workload,
        help="lengths: instruct, chat, sharegpt, conversation, fixed:PROMPT:ANSWER, trace:FILE.csv; default: chat",
    )
    add(
        "--scenarios",
        default="",
        help=f"weights of {', '.join(SCENARIOS)}; default: {mix}, without chat if --slo limits a measure of streamed"
        " answers",
    )
    add("--rate", type=float, default=0.0, help="open loop: requests/s, all turns counted; 0: closed loop; default: 0")
    add(
        "--think-s",
        type=float,
        default=defaults.think_s,
        help="mean pause of a user between questions, seconds; default: 1",
    )
    add("--max-prompt", type=int, default=defaults.max_prompt, help="longest prompt, tokens; default: 2048")
    add("--max-answer", type=int, default=defaults.max_answer, help="longest answer, tokens; default: 512")
    add("--natural", action="store_true", help="let the model end its answers; default: force the drawn lengths")
    add("--temperature", type=float, default=None, help="sampling temperature; default: the server's")
    add("--slo", default="", help="limits, such as 'ttft_ms<=500,tpot_ms<=30,error_share<=0.01'; default: none")
    add(
        "--timeout-s",
        type=float,
        default=defaults.timeout_s,
        help="longest silence of the server, seconds; default: 300",
    )
    add("--seed", type=int, default=defaults.seed, help="seed of lengths, texts and arrivals; default: 0")


def from_arguments(
    arguments: argparse.Namespace, duration_s: float | None = None, *, open_loop: bool = False
) -> Options:
    """Validate parsed options. The API key is read from `LOADTEST_API_KEY`, which no process list shows.

    Args:
        arguments: options as `add_arguments` adds them.
        duration_s: end of the open loop's schedule; None: 60.
        open_loop: the run is an open loop although its rate is not given, as in a sweep.

    Raises:
        LoadError: an option is invalid.
    """
    slo = parse_slo(arguments.slo)
    parse_workload(arguments.workload)
    options = Options(
        model=arguments.model,
        workload=arguments.workload,
        scenarios=_checked_scenarios(arguments.scenarios, slo),
        rate_per_s=number("--rate", arguments.rate, least=0.0) or None,
        duration_s=60.0 if duration_s is None else duration_s,
        think_s=number("--think-s", arguments.think_s, least=0.0),
        max_prompt=int(number("--max-prompt", arguments.max_prompt, least=1)),
        max_answer=int(number("--max-answer", arguments.max_answer, least=1)),
        natural=arguments.natural,
        temperature=_temperature(arguments.temperature),
        slo=slo,
        timeout_s=number("--timeout-s", arguments.timeout_s, least=0.001),
        seed=arguments.seed,
        api_key=os.environ.get("LOADTEST_API_KEY", ""),
    )
    if not (options.rate_per_s or open_loop):
        for limit in slo.request:
            if limit.measure == "lag_ms":
                raise LoadError(f"--slo has the limit {limit}, but only an open loop has a schedule: add --rate.")
    return options


def _checked_scenarios(text: str, slo: Slo) -> dict[str, float]:
    """Weights of the scenarios, whose answers all have the measures that the SLO limits.

    Raises:
        LoadError: they are malformed, or `slo` limits a measure of streamed answers and others are asked for.
    """
    limit = next((limit for limit in slo.request if limit.measure in STREAMED_MEASURES), None)
    chosen = parse_scenarios(text) if text else dict(DEFAULT_SCENARIOS)
    if limit is None:
        return chosen
    whole = [name for name, weight in chosen.items() if weight and name not in STREAMED_SCENARIOS]
    if text and whole:
        raise LoadError(
            f"--slo has the limit {limit}, but answers of the scenario '{whole[0]}' are not streamed and have no"
            f" {limit.measure}: choose --scenarios among {', '.join(STREAMED_SCENARIOS)}, or limit e2e_ms."
        )
    return {name: weight for name, weight in chosen.items() if name in STREAMED_SCENARIOS}


def number(name: str, value: float, least: float) -> float:
    """Return the value of the option `name`.

    Raises:
        LoadError: it is not finite, or below `least`.
    """
    if not (math.isfinite(value) and value >= least):
        raise LoadError(f"{name} must be a number of at least {least:g}, not {value:g}.")
    return value


def _temperature(value: float | str | None) -> float | None:
    """Locust's web UI sends text, since the option has no default."""
    if value is None or value == "":
        return None
    try:
        return number("--temperature", float(value), least=0.0)
    except ValueError:
        raise LoadError(f"--temperature must be a number of at least 0, not {value}.") from None


def checked_host(host: str | None) -> str:
    """Return the host without a trailing slash.

    Raises:
        LoadError: there is no host, or it is not a plain origin.
    """
    if not host:
        raise LoadError("--host is required, such as --host http://127.0.0.1:8000.")
    try:
        parts = urlsplit(host)
        plain = parts.scheme in ("http", "https") and parts.hostname and parts.path in ("", "/") and not parts.query
        plain = plain and parts.port != 0 and not parts.fragment and parts.username is None
    except ValueError:  # the port is out of range
        plain = False
    if not plain:
        raise LoadError(f"'{host}' is not a host; write it as http://127.0.0.1:8000, without a path.")
    return host.rstrip("/")


def parse_scenarios(text: str) -> dict[str, float]:
    """Parse weights such as `streaming=2,chat=1`; a name alone has weight 1.

    Raises:
        LoadError: a scenario does not exist, or a weight is invalid.
    """
    weights: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, weight = part.partition("=")
        if name in weights:
            raise LoadError(f"--scenarios has '{name}' twice; give it one weight.")
        try:
            weights[name] = float(weight or 1)
        except ValueError:
            raise LoadError(f"The weight in '{part}' is not a number; write {name}=1.") from None
        if name not in SCENARIOS or not 0 <= weights[name] < math.inf:
            raise LoadError(
                f"'{part}' is not a scenario with a weight of at least 0; choose one of: {', '.join(SCENARIOS)}."
            )
    if not sum(weights.values()):
        raise LoadError(f"No scenario has a weight above 0; choose one of: {', '.join(SCENARIOS)}.")
    return weights

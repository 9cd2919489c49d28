"""Runner of the benchmark: contenders take turns, so that a change of the machine meets all of them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from deployments.config import Profile
from loadtest.bench.client import session
from loadtest.bench.client_side_moa import ClientSideMoa
from loadtest.bench.contenders import NAMES, Contender, moa_server, stock_server, vllm_servers
from loadtest.bench.foreign_load import LIMIT, ForeignLoad
from loadtest.bench.measurement import (
    WARM_UP,
    WARM_UP_AGAIN,
    Measured,
    Progress,
    Questions,
    measure_client_side,
    measure_pass,
    measure_recipe,
)
from loadtest.bench.policies import POLICIES
from loadtest.bench.results import Results
from loadtest.bench.rows import RECIPES, ROUNDS, Row
from loadtest.progress import ProgressLine
from loadtest.target import find_target
from loadtest.traffic.prompts import TokenEstimator

# The baseline waits for every proposal; a server that cancels stragglers would win by doing less.
WHOLE_TEAM: Mapping[str, Any] = {"straggler_grace_s": None}
# Servers that run at the same time. Not both Ray clusters: Ray Serve's replicas of both have ports of one range, and
# the proxy of one may reach replicas of the other.
GROUPS: Sequence[Sequence[str]] = (("vllm", "moa"), ("vllm", "stock"))
ATTEMPTS = 3  # measurements on a busy machine before the last one is taken


@dataclass(frozen=True, slots=True)
class Column:
    """One contender with one policy. `measure` takes the name of the questions, a progress and the warm-up requests."""

    name: str
    measure: Callable[[str, Progress, int], Awaitable[Measured]]


class Bench:
    """Run of all contenders. `policies` are names of `POLICIES`, compared in the recipe rows of this server."""

    def __init__(
        self,
        profile: Profile,
        path: Path,
        results: Results,
        policies: Sequence[str],
        logs: Path,
        line: ProgressLine,
        rounds: int = ROUNDS,
    ) -> None:
        self.profile, self.path, self.results, self.policies = profile, path, results, policies
        self.logs, self.line, self.rounds = logs, line, rounds
        self.model = profile.models[0]
        self.aggregator = str(profile.team["aggregator"])
        proposers = profile.team["proposers"]
        self.proposers = (proposers,) if isinstance(proposers, str) else tuple(proposers)
        self.tokens: TokenEstimator | None = None

    async def run(self, names: Sequence[str]) -> None:
        """Measure the contenders, all servers of a group running, in turns.

        Raises:
            LoadError: a contender did not start, or an agent did not generate the requested tokens.
        """
        for chosen in groups(names):
            rows = [row for row in self.results.rows if row.kind == "pass" or "stock" not in chosen]
            if not rows:
                continue
            async with AsyncExitStack() as running:
                contenders = []
                for name in chosen:
                    self.line.say(f"Starting {NAMES[name]} ...")
                    contenders.append(await running.enter_async_context(self._contender(name)))
                http = await running.enter_async_context(session())
                for row in rows:
                    await self._measure(contenders, http, row)

    def _contender(self, name: str) -> AbstractAsyncContextManager[Contender]:
        match name:
            case "vllm":
                return vllm_servers(self.profile, self.logs)
            case "stock":
                return stock_server(self.profile, self.model, self.logs)
            case _:
                return moa_server(self.profile, self.path, self.logs)

    async def _measure(self, contenders: Sequence[Contender], http: aiohttp.ClientSession, row: Row) -> None:
        """Measure all rounds of a row; each round begins with another column."""
        columns = [column for contender in contenders for column in self._columns(contender, http, row)]
        for number in range(self.rounds):
            first = number % len(columns)
            found = {}
            for column in columns[first:] + columns[:first]:
                found[column.name] = await self._quiet(column, row, number)
            self.results.add(row, found)

    async def _quiet(self, column: Column, row: Row, number: int) -> Measured:
        """Measure one column in one round, again if other processes kept the machine busy."""
        for attempt in range(ATTEMPTS):
            load = ForeignLoad()
            asked, warm_up = f"{row.id}-{number}-{attempt}", WARM_UP_AGAIN if number else WARM_UP
            measured = await column.measure(asked, self._progress(row, column.name, number), warm_up)
            if load.share() <= LIMIT:
                return measured
            self.results.repeated += attempt + 1 < ATTEMPTS
        self.results.busy += 1
        return measured

    def _columns(self, contender: Contender, http: aiohttp.ClientSession, row: Row) -> list[Column]:
        """Columns of the row that the contender fills."""
        tokens = self._estimator(contender)
        if row.kind == "pass":
            host = contender.hosts[self.model.id]

            async def passed(asked: str, progress: Progress, warm_up: int) -> Measured:
                questions = Questions(tokens, asked)
                return await measure_pass(http, host, self.model.id, row, questions, progress, warm_up)

            return [Column(contender.name, passed)]
        if contender.name == "vllm":
            team = ClientSideMoa(http, contender.hosts, self.proposers, self.aggregator, self._system_roles())

            async def by_hand(asked: str, progress: Progress, warm_up: int) -> Measured:
                return await measure_client_side(team, row, Questions(tokens, asked), progress, warm_up)

            return [Column(contender.name, by_hand)]
        return [self._recipe(contender, http, row, policy) for policy in self.policies]

    def _recipe(self, contender: Contender, http: aiohttp.ClientSession, row: Row, policy: str) -> Column:
        host, tokens = contender.hosts[RECIPES[row.kind]], self._estimator(contender)
        options = {**POLICIES[policy], **WHOLE_TEAM}

        async def measure(asked: str, progress: Progress, warm_up: int) -> Measured:
            questions = Questions(tokens, asked, policy)
            return await measure_recipe(http, host, options, row, questions, progress, warm_up)

        return Column(f"{contender.name}-{policy}", measure)

    def _progress(self, row: Row, column: str, number: int) -> Progress:
        title = f"{column:18} {row.title:46} round {number + 1}/{self.rounds}"
        return lambda done: self.line.show(f"{title} {done:4}/{row.requests} requests")

    def _estimator(self, contender: Contender) -> TokenEstimator:
        if self.tokens is None:
            self.tokens = find_target(contender.hosts[self.model.id], self.model.id).tokens
        return self.tokens

    def _system_roles(self) -> dict[str, bool]:
        """Map each model to True if its chat template has a system role."""
        return {model.id: _takes_system(model.path) for model in self.profile.models}


def groups(names: Sequence[str]) -> list[list[str]]:
    """Split the contenders `names` into groups that run at the same time; the baseline is in each with another one."""
    found = [[name for name in group if name in names] for group in GROUPS]
    return [group for group in found if group and group != ["vllm"]] or [["vllm"]]


def _takes_system(weights: Path | None) -> bool:
    template = weights / "chat_template.jinja" if weights else None
    return template is None or not template.exists() or "system" in template.read_text()

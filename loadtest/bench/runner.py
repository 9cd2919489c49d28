"""Runner of the benchmark: one contender after the other."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiohttp

from deployments.config import Profile
from loadtest.bench.client import session
from loadtest.bench.client_side_moa import ClientSideMoa
from loadtest.bench.contenders import NAMES, Contender, moa_server, stock_server, vllm_servers
from loadtest.bench.measurement import (
    Progress,
    Questions,
    measure_client_side,
    measure_pass,
    measure_staircase,
    measure_team,
)
from loadtest.bench.policies import POLICIES
from loadtest.bench.results import Results
from loadtest.bench.rows import RECIPES, Row
from loadtest.progress import ProgressLine
from loadtest.target import find_target
from loadtest.traffic.prompts import TokenEstimator

# The baseline waits for every proposal; a server that cancels stragglers would win by doing less.
WHOLE_TEAM: Mapping[str, Any] = {"straggler_grace_s": None}


class Bench:
    """Run of all contenders. `policies` are names of `POLICIES`, compared in the recipe rows of this server."""

    def __init__(
        self, profile: Profile, path: Path, results: Results, policies: Sequence[str], logs: Path, line: ProgressLine
    ) -> None:
        self.profile, self.path, self.results, self.policies = profile, path, results, policies
        self.logs, self.line = logs, line
        self.model = profile.models[0]
        self.aggregator = str(profile.team["aggregator"])
        proposers = profile.team["proposers"]
        self.proposers = (proposers,) if isinstance(proposers, str) else tuple(proposers)
        self.tokens: TokenEstimator | None = None

    async def run(self, names: Sequence[str]) -> None:
        """Measure the contenders in this order.

        Raises:
            LoadError: a contender did not start, or an agent did not generate the requested tokens.
        """
        for name in names:
            rows = [row for row in self.results.rows if row.kind == "pass" or name != "stock"]
            if not rows:
                continue
            self.line.say(f"Starting {NAMES[name]} ...")
            async with self._contender(name) as contender, session() as http:
                await self._measure(contender, http, rows)

    def _contender(self, name: str) -> AbstractAsyncContextManager[Contender]:
        match name:
            case "vllm":
                return vllm_servers(self.profile, self.logs)
            case "stock":
                return stock_server(self.profile, self.model, self.logs)
            case _:
                return moa_server(self.profile, self.path, self.logs)

    async def _measure(self, contender: Contender, http: aiohttp.ClientSession, rows: Sequence[Row]) -> None:
        if self.tokens is None:
            self.tokens = find_target(contender.hosts[self.model.id], self.model.id).tokens
        team = ClientSideMoa(http, contender.hosts, self.proposers, self.aggregator, self._system_roles())
        for row in rows:
            if row.kind == "pass":
                questions = Questions(self.tokens, row.id)
                progress = self._progress(row, contender.name)
                host = contender.hosts[self.model.id]
                measured = await measure_pass(http, host, self.model.id, row, questions, progress)
                self.results.add(row, contender.name, measured)
            elif contender.name == "vllm":
                progress = self._progress(row, contender.name)
                measured = await measure_client_side(team, row, Questions(self.tokens, row.id), progress)
                self.results.add(row, contender.name, measured)
            else:
                for policy in self.policies:
                    column = f"{contender.name}-{policy}"
                    questions = Questions(self.tokens, row.id, policy)
                    measure = measure_team if row.kind == "team" else measure_staircase
                    recipe = RECIPES[row.kind]
                    measured = await measure(
                        http,
                        contender.hosts[recipe],
                        recipe,
                        {**POLICIES[policy], **WHOLE_TEAM},
                        row,
                        questions,
                        self._progress(row, column),
                    )
                    self.results.add(row, column, measured)

    def _progress(self, row: Row, column: str) -> Progress:
        return lambda done: self.line.show(f"{column:18} {row.title:46} {done:4}/{row.requests} requests")

    def _system_roles(self) -> dict[str, bool]:
        """Map each model to True if its chat template has a system role."""
        return {model.id: _takes_system(model.path) for model in self.profile.models}


def _takes_system(weights: Path | None) -> bool:
    template = weights / "chat_template.jinja" if weights else None
    return template is None or not template.exists() or "system" in template.read_text()

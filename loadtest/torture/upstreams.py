"""Fault matrix: every fault of an external endpoint in every role of a team."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx

from loadtest.torture.effort import Effort
from loadtest.torture.row import Row
from loadtest.torture.stage import app_of, chat, orchestrate, trio
from serving.engine import Engine
from serving.engines.openai import OpenAIEngine

FAR = "far"  # the endpoint
SILENCE_S = 0.3  # its limit for the next byte
GIVE_UP_S = 120.0  # an answer that takes longer is silence
ROLES: Mapping[str, str | Mapping[str, Any]] = {
    "alone": FAR,
    "proposer": {"id": "proposer", "layers": [[FAR, "a", "b"]], "aggregator": "a"},
    "aggregator": {"id": "aggregator", "layers": [["a", "b"]], "aggregator": FAR},
    "judge": {"id": "judge", "strategy": "rank", "proposers": ["a", "b"], "judge": FAR},
    "critic": {"id": "critic", "strategy": "debate", "solver": "a", "critic": FAR},
    "first of a cascade": {"id": "first", "strategy": "cascade", "first": FAR, "escalate": "a", "score": "logprob"},
}


def outcome(status: int, body: bytes) -> str:
    """Word for how a whole answer or a stream ended; see `GOOD`."""
    if status == 500:
        return "status 500"
    if status != 200:
        return "typed error" if _has_code(body) else f"status {status} without a code"
    if not body.startswith(b"data:") and not body.startswith(b":"):
        answer = json.loads(body)
        return "degraded" if (answer.get("moa") or {}).get("degraded") else "answer"
    events = [line[6:] for line in body.splitlines() if line.startswith(b"data: ")]
    if any(_has_code(event) for event in events):
        return "typed error"
    if not events or events[-1] != b"[DONE]":
        return "a stream that ends silently"
    return "degraded" if any(b'"degraded":true' in event for event in events) else "answer"


GOOD = ("answer", "degraded", "typed error")


def _has_code(body: bytes) -> bool:
    try:
        error = json.loads(body).get("error")
    except (ValueError, AttributeError):
        return False
    return isinstance(error, dict) and bool(error.get("code")) and error["code"] != "internal_error"


@asynccontextmanager
async def server_of(url: str) -> AsyncGenerator[httpx.AsyncClient, None]:
    """The API in memory, over two scripted models and the endpoint at `url`."""
    endpoint = OpenAIEngine(FAR, url, silence_timeout_s=SILENCE_S)
    models: dict[str, Engine] = {**trio(answer="yes"), FAR: endpoint}
    recipes = [role for role in ROLES.values() if isinstance(role, Mapping)]
    transport = httpx.ASGITransport(app_of(orchestrate(models, recipes)))
    async with httpx.AsyncClient(transport=transport, base_url="http://torture") as http:
        try:
            yield http
        finally:
            await endpoint.aclose()


async def ask(http: httpx.AsyncClient, role: str, stream: bool) -> str:
    """Outcome of one request in which the endpoint has this role."""
    named = ROLES[role]
    body = chat(named if isinstance(named, str) else named["id"], "What is the answer?", stream=stream)
    try:
        async with asyncio.timeout(GIVE_UP_S):
            response = await http.post("/v1/chat/completions", json=body)
    except TimeoutError:
        return "silence"
    except Exception as error:  # the server's own, which a socket would show as a broken connection
        return f"{type(error).__name__} of the server"
    return outcome(response.status_code, response.content)


async def measure(effort: Effort) -> list[Row]:
    """Measure one row per role. The faults are those of the tests, which an installation does not have."""
    try:
        from tests.support.upstream import upstream
        from tests.support.upstream_faults import FAULTS
    except ImportError:
        why = "The faults are in tests/support, which is not here."
        return [Row("Each fault of an upstream server ends in an answer or a typed error", "not run", "", None, why)]
    found: dict[str, Counter[str]] = {role: Counter() for role in ROLES}
    wrong: dict[str, list[str]] = {role: [] for role in ROLES}
    for number, fault in enumerate(FAULTS):
        effort.say(f"{number + 1} of {len(FAULTS)}: {fault.name}")
        roles = [*ROLES] if not effort.short else [[*ROLES][number % len(ROLES)]]
        async with AsyncExitStack() as stack:
            playing = await stack.enter_async_context(upstream(fault.steps))
            http = await stack.enter_async_context(server_of(playing.url))
            outcomes = await asyncio.gather(*(ask(http, role, bool(number % 2)) for role in roles))
        for role, ended in zip(roles, outcomes, strict=True):
            found[role][ended if ended in GOOD else "other"] += 1
            if ended not in GOOD:
                wrong[role].append(f"{fault.name} ({ended})")
    return [_row(role, found[role], wrong[role]) for role in ROLES]


def _row(role: str, found: Counter[str], wrong: list[str]) -> Row:
    ended = ", ".join(f"{found[word]} x {word}" for word in GOOD)
    return Row(
        f"Each fault of an upstream server ends in an answer, a declared degradation or a typed error: {role}",
        f"{found.total()} faults: {ended}, {found['other']} x otherwise",
        "0 otherwise (no status 500, no silence)",
        bool(found) and not wrong,
        f"Otherwise: {'; '.join(wrong)}" if wrong else "",
    )

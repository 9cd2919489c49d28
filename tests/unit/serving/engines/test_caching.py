"""A scripted prefix cache: what it saves, and for whom."""

import asyncio

from serving.conversation import Message
from serving.engine import complete
from serving.engines.caching import CachingEngine
from serving.engines.scripted import ScriptedEngine
from serving.tenant import ANYONE, Tenant
from serving.types import GenerateRequest
from tests.support.clock import simulated_time

A, B = (Tenant(name, isolated=True) for name in "ab")
QUESTION = "one two three four"


async def asked(
    engine: CachingEngine, tenant: Tenant, text: str = QUESTION, salt: str | None = None
) -> tuple[int, float]:
    """Cached tokens and seconds."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    answer = await complete("m", engine, GenerateRequest("r", (Message("user", text),), tenant=tenant, cache_salt=salt))
    return answer.usage.cached_tokens or 0, loop.time() - began


@simulated_time
async def test_a_prompt_is_read_once_by_each_isolated_tenant() -> None:
    engine = CachingEngine("m", ScriptedEngine("m"), 1.0)
    never = await asked(engine, A)
    assert never == (0, 5)
    assert await asked(engine, A) == (5, 0)
    assert await asked(engine, A, f"{QUESTION} five") == (5, 1)
    assert await asked(engine, B) == never  # as if nobody had asked
    assert await asked(engine, A, salt="mine") == never
    assert await asked(engine, ANYONE) == never
    assert await asked(engine, Tenant("c")) == (5, 0)  # tenants that share


@simulated_time
async def test_a_prefill_counts_for_its_own_tenant() -> None:
    engine = CachingEngine("m", ScriptedEngine("m"), 1.0)
    await engine.prefill(GenerateRequest("p", (Message("user", "one two [[x]]"),), tenant=A), "[[x]]")
    assert (await asked(engine, A))[0] == 3
    assert (await asked(engine, B))[0] == 0

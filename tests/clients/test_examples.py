"""The example of a tool loop, run as a user runs it."""

import asyncio
import sys

import pytest

from tests.clients.conftest import ANSWER, World
from tests.support.paths import ROOT

TEAM = "proposer a, proposer b, proposer c, aggregator a"


@pytest.mark.parametrize(
    ("model", "first", "second"), [("a", "model a", "model a"), ("moa-lite", TEAM, "aggregator a")]
)
async def test_the_example_shows_the_call_and_who_was_asked(world: World, model: str, first: str, second: str) -> None:
    url = world.url.removesuffix("/v1")
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, str(ROOT / "examples" / "tools.py"), "--url", url, "--model", model],
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    assert printed.decode().splitlines() == [
        f"  asked: {first}",
        f'  multiply({{"expression": "3817 * 246"}}) = {ANSWER}',
        f"  asked: {second}",
        ANSWER,
    ]

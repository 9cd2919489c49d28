"""Callers who hang up in each phase of a team's answer: all work of the engines ends."""

from typing import Any

import pytest

from loadtest.torture.hangups import GIVE_UP_S, engines, hang_up, phases
from loadtest.torture.stage import TEAM, app_of, chat, listening, orchestrate


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("place", range(len(phases())), ids=[phase.name for phase in phases()])
async def test_a_caller_who_hangs_up_ends_all_work(place: int, stream: bool) -> None:
    phase = phases()[place]
    models: Any = engines(phase)
    async with listening(app_of(orchestrate(models))) as port:
        for _ in range(3):
            assert await hang_up(port, chat(TEAM, stream=stream), phase, models) < GIVE_UP_S
            assert {name: model.running for name, model in models.items()} == dict.fromkeys(models, 0)

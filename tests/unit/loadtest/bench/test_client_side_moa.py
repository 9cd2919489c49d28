import aiohttp

from loadtest.bench.client_side_moa import ClientSideMoa
from serving.engines.scripted import ScriptedEngine
from tests.support.benchmark import MODELS


async def test_by_hand_proposals_reach_the_aggregator_numbered(
    host: str, http: aiohttp.ClientSession, engines: dict[str, ScriptedEngine]
) -> None:
    team = ClientSideMoa(http, dict.fromkeys(MODELS, host), MODELS, "c", dict.fromkeys(MODELS, True))
    answer = await team.answer("why?", 3)
    assert 0 < answer.after_proposals_s < answer.first_answer_s <= answer.total_s
    system, user = engines["c"].requests[-1].messages
    assert (system.role, user.content) == ("system", "why?")
    assert system.content.endswith("1. word word word\n2. word word word\n3. word word word")


async def test_by_hand_a_template_without_system_gets_it_in_the_user_turn(
    host: str, http: aiohttp.ClientSession, engines: dict[str, ScriptedEngine]
) -> None:
    team = ClientSideMoa(http, dict.fromkeys(MODELS, host), MODELS, "c", {"c": False})
    await team.answer("why?", 3)
    (user,) = engines["c"].requests[-1].messages
    assert user.role == "user"
    assert user.content.endswith("\n\nwhy?")

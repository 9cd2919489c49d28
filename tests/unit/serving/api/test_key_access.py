"""Models, recipes and priorities that a key may use, and settings of keys that cannot work."""

from typing import Any

import pytest

from serving.api.app import create_app
from serving.api.settings import ApiSettings
from serving.cards import ModelCard
from serving.engines.scripted import ScriptedEngine
from serving.errors import ConfigError
from serving.tenant import PRIORITIES
from tests.support.api import HELLO, client_of
from tests.support.limits import BODIES, Clock, Spender, ask, auth, key, limited_app, limits


async def test_models_that_a_key_may_not_use_do_not_exist_for_it() -> None:
    engines = {name: ScriptedEngine(name) for name in ("m", "n", "hidden")}
    app = limited_app(
        Clock(), engines, keys=[key(models=["m", "gpt"]), key("b")], aliases={"gpt": "n", "claude": "hidden"}
    )
    async with client_of(app, **auth()) as client:
        listed = [one["id"] for one in (await client.get("/v1/models")).json()["data"]]
        assert listed == ["m", "gpt"]
        refused, unknown = [
            (await client.post("/v1/chat/completions", json={"model": name, "messages": HELLO})).json()["error"]
            for name in ("hidden", "absent")
        ]
        assert {**unknown, "message": unknown["message"].replace("absent", "hidden")} == refused
        assert refused["message"] == "There is no model 'hidden'; choose one of: m, gpt."
        assert (await client.get("/v1/models/hidden")).status_code == 404
        for path in ("/openapi.json", "/ready"):
            assert "hidden" not in (await client.get(path)).text
        assert (await client.post("/v1/chat/completions", json={"model": "gpt", "messages": HELLO})).status_code == 200
    async with client_of(app, **auth("b")) as client:
        assert len((await client.get("/v1/models")).json()["data"]) == 5


@pytest.mark.parametrize(
    "moa", [{"models": ["hidden"]}, {"models": ["absent"]}, {"aggregator": {"model": "hidden"}}, {"judge": "hidden"}]
)
async def test_moa_options_cannot_name_a_hidden_model(moa: dict[str, Any]) -> None:
    engines = {"m": ScriptedEngine("m"), "team": ScriptedEngine("team"), "hidden": ScriptedEngine("hidden")}
    app = limited_app(Clock(), engines, recipes=("team",), keys=[key(models=["m", "team"])])
    refused = await ask(app, model="team", moa=moa)
    assert refused.status_code == 400
    (name,) = (one for one in ("hidden", "absent") if one in str(moa))
    field = f"moa.{next(iter(moa))}"
    assert refused.json()["error"]["message"] == f"Change '{field}': \"{name}\" is not one of m, team."


@pytest.mark.parametrize("path", [*BODIES])
async def test_no_dialect_lets_a_caller_leave_the_class_of_its_key(path: str) -> None:
    engine = Spender(1, 1)
    app = limited_app(Clock(), {"m": engine}, keys=[key(priority_class="batch"), key("b")])
    for priority in (0, PRIORITIES - 1):
        assert (await ask(app, path, priority=priority)).status_code == 200
    for wrong in (-1, PRIORITIES):
        assert (await ask(app, path, priority=wrong)).status_code == 400
    assert (await ask(app, path, "b", priority=PRIORITIES - 1)).status_code == 200
    *batch, standard = (request.priority for request in engine.requests)
    assert min(batch) > standard, "a lower number runs earlier"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"keys": [key(models=["x"])]}, "Change 'models' of the key 'a' of api.keys: 'x' is not one of m."),
        ({"limits": {"over_budget": {"use": "x"}}}, "Change 'over_budget' of api.limits: 'x' is not one of m."),
        (
            {"keys": [limits(usd_per_day=1)]},
            "Set 'usd_per_million_tokens' of the model 'm' in the profile: the key 'a' of api.keys has a budget in"
            " dollars.",
        ),
        (
            {"require_key": True},
            "Set store.enabled to true, or give api.keys: api.require_key is set, and no key can exist.",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused_at_the_start(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        create_app({"m": ScriptedEngine("m")}, [ModelCard("m", "model")], ApiSettings(**settings))
    assert str(caught.value) == sentence

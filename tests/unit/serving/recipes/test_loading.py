"""Loading of recipes: presets, files, mappings, roles, and errors that name the recipe."""

from pathlib import Path
from typing import Any

import pytest

from serving.errors import ConfigError
from serving.recipes.loading import STRATEGIES, load_recipes, parse_recipe, strategy_class
from serving.recipes.strategies.layered import Layered
from tests.support.recipes import TEAM

OWN = {"id": "own", "layers": [["a"]], "aggregator": "b"}


def test_presets_files_and_mappings_are_loaded_by_id_in_order(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("id: from-file\nlayers: [['@proposers', c]]\naggregator: '@aggregator'\n")
    recipes = load_recipes(["moa-lite", str(path), OWN], TEAM)
    assert list(recipes) == ["moa-lite", "from-file", "own"]
    loaded = recipes["from-file"]
    assert isinstance(loaded, Layered)
    assert [agent.model for agent in loaded.layers[0]] == ["a", "b", "c", "c"]  # the list of the role is inserted
    assert loaded.models() == {"a", "b", "c"}


def test_a_mapping_overrides_fields_of_its_preset() -> None:
    plain, changed = load_recipes(["moa-lite", {"preset": "moa-lite", "id": "own", "aggregator": "c"}], TEAM).values()
    assert isinstance(changed, Layered)
    assert (changed.id, changed.aggregator.model) == ("own", "c")
    assert changed == plain.model_copy(update={"id": "own", "aggregator": changed.aggregator})


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (["none"], "There is no recipe 'none'; choose one of .*moa-lite"),
        (["own/none.yaml"], "There is no file 'own/none.yaml' for a recipe; paths are relative to /"),
        (["./own/my.py"], r"Write the recipe './own/my.py' as {id: NAME, strategy: 'own.my:CLASS'} with its settings"),
        ([OWN, OWN], "Two recipes have the id 'own'; rename one"),
        ([{"id": "x", "strategy": "sing"}], "no strategy 'sing'; choose one of adaptive, .*'module:Class'"),
        (
            [{"id": "x", "strategy": "nowhere:Thing"}],
            "x: There is no file nowhere.py for the strategy 'nowhere:Thing'; put it into",
        ),
        (
            [{"id": "x", "strategy": "json:missing"}],
            "The module 'json' has no class 'missing' for the strategy 'json:missing'; name a subclass",
        ),
        ([{"id": "x", "strategy": "json:loads"}], "not a subclass"),
        ([{"id": "x", "strategy": "debat"}], "There is no strategy 'debat'; write 'debate'"),
        ([{"id": "x", "strategy": "json.Thing"}], "or write 'json:Thing' for a class of your own"),
        ([{**OWN, "layers": [["@nobody"]]}], "'own' needs 'nobody' in the profile's team, which has: aggregator, "),
        ([{**OWN, "min_proposals": 0}], "own: Set 'min_proposals' to at least 1, not 0"),
    ],
)
def test_an_error_names_the_recipe_and_the_change(sources: list[Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipes(sources, TEAM)


def test_a_role_without_a_team_is_refused() -> None:
    with pytest.raises(ConfigError, match="in the profile's team, which has: none"):
        load_recipes(["moa-lite"])


def test_strategies_are_found_by_name_and_by_import_path() -> None:
    assert strategy_class("layered") is strategy_class("serving.recipes.strategies.layered:Layered") is Layered
    assert all(strategy_class(name) is found for name, found in STRATEGIES.items())
    assert isinstance(parse_recipe(OWN), Layered)  # the default strategy

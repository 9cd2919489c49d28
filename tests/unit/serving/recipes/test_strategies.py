"""Each strategy over scripted engines: the prompts of its agents, and its answer."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.external_spec import ExternalSpec
from serving.engine import Engine, complete
from serving.engines.scripted import ScriptedEngine
from serving.errors import ConfigError
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.recipes.loading import PRESETS
from tests.support.paths import ROOT
from tests.support.recipes import TEAM, Ask, Trio, run


async def test_every_preset_answers(trio: Trio, ask: Ask) -> None:
    for preset in sorted(PRESETS.glob("*.yaml")):
        names = [preset.stem, *({"moa-lite"} & load_recipes([preset.stem], TEAM)[preset.stem].delegates())]
        done = await run(trio, ask("Why is it so?", max_tokens=20), *names)
        assert done.text.strip(), preset.stem


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"id": "x", "layers": [["a"]], "aggregator": "a", "colour": 1}, "'layered.colour'|'colour'"),
        ({"id": "x", "layers": [["a"]], "aggregator": "a", "min_proposals": 2}, "only 1 proposers"),
        (
            {"id": "x", "strategy": "debate", "solver": "a", "critic": "b", "min_proposals": 2},
            "min_proposals has no effect",
        ),
        (
            {"id": "x", "strategy": "cascade", "first": "a", "escalate": "b", "straggler_grace_s": 1},
            "no effect on .*cascade",
        ),
        ({"preset": "moa-lite", "aggregator": "z"}, "needs the model 'z'"),
        ({"preset": "cascade", "score": "judge"}, "needs a judge"),
        ({"preset": "cascade"}, "delegates to 'moa-lite'"),
        ({"id": "x", "strategy": "auto", "otherwise": "x"}, "in a circle: x -> x"),
        ({"id": "a", "layers": [["a"]], "aggregator": "a"}, "id of a model and of a recipe"),
    ],
)
def test_a_recipe_that_cannot_work_fails_at_start(trio: Trio, recipe: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Orchestrator(trio, load_recipes([recipe], TEAM))


def documented(language: str, title: str) -> str:
    """The code of one section of `docs/recipes.md`."""
    section = Path("docs/recipes.md").read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]
    return section.partition(f"```{language}\n")[2].partition("```")[0]


async def test_the_documented_own_recipe_works_without_touching_the_package(
    trio: Trio, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = documented("python", "Writing a custom recipe")
    assert 0 < len(source.splitlines()) < 40
    (tmp_path / "documented_recipes.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    [line] = yaml.safe_load(documented("yaml", "Writing a custom recipe"))["recipes"]
    assert line["strategy"] == "my_recipe:Twice"
    own = {**line, "strategy": "documented_recipes:Twice", "model": "b"}
    assert (await run(trio, ask(), own)).text == "b says 1"

    orchestrator = Orchestrator(trio, load_recipes([own], TEAM))
    trio["b"].answer = "one two three"
    stream = orchestrator.engines["twice"].generate(ask())
    await anext(stream)
    await stream.aclose()
    assert trio["b"].running == 0


async def test_the_documented_router_chooses_by_rules_then_by_words(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    source, router = documented("yaml", "The router of `auto`"), documented("json", "The router of `auto`")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "router.json").write_text(router)
    models = {name: ScriptedEngine(name, name) for name in ("tiny-qwen", "tiny-llama", "tiny-mixtral")}
    recipes = load_recipes(
        yaml.safe_load(source)["recipes"], {"proposers": ["tiny-mixtral"], "aggregator": "tiny-mixtral"}
    )
    orchestrator = Orchestrator(models, recipes)

    async def answer(question: str) -> str:
        return (await complete("auto", orchestrator.engines["auto"], ask(question))).text

    long = "with some more words, so that the rule for short questions does not match"
    assert await answer("Why?") == "tiny-mixtral"  # moa-lite, by the first rule
    assert await answer("Who?") == "tiny-qwen"  # by the second
    assert await answer(f"2 plus 2, {long}") == "tiny-qwen"
    assert await answer(f"Spell a word {long}") == "tiny-llama"
    assert await answer(f"Capital of France, {long}") == "tiny-mixtral"


async def test_the_documented_external_model_proposes_and_aggregates(
    trio: Trio, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = yaml.safe_load(documented("yaml", "External models"))
    [spec] = [ExternalSpec.model_validate(external) for external in profile["external"]]
    monkeypatch.setenv(str(spec.api_key_env), "secret")
    served = load_recipes(profile["recipes"], TEAM)
    engines: dict[str, Engine] = {**trio, "far": spec.engine()}
    assert set(Orchestrator(engines, served).engines) >= {"far", "moa-far-aggregator", "moa-far-proposer"}
    assert "secret" not in repr(engines["far"])
    scripted = {**trio, "far": ScriptedEngine("far", "far away")}
    assert (await run(scripted, ask(), profile["recipes"][1])).text == "far away"
    assert (await run(scripted, ask(), profile["recipes"][2])).text == "a says 3"
    assert "4. far away" in trio["a"].requests[-1].messages[0].content

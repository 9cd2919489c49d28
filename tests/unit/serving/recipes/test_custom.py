"""Mistakes in a recipe file of one's own: one sentence each, at start where it can be known, else for the request."""

import logging
import sys
import textwrap
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from serving.engine import complete
from serving.errors import ConfigError, RecipeFailed
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from tests.support.recipes import TEAM, Ask, Trio, run

GOOD = """\
from serving.recipes import Recipe
from serving.runtime.agents import AgentField


class Own(Recipe):
    model: AgentField

    def agents(self):
        return (self.model,)

    def cost(self, sampling, recipes):
        return self.answer_cost(self.model, sampling)

    async def run(self, run):
        return run.answer(self.model)
"""
AGENTS = "    def agents(self):\n        return (self.model,)\n"
COST = "    def cost(self, sampling, recipes):\n        return self.answer_cost(self.model, sampling)\n"
RUN = "    async def run(self, run):\n        return run.answer(self.model)\n"
numbers = count()


class Written:
    """Writes recipe files with names of their own, since Python keeps imported modules."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, source: str, **fields: Any) -> dict[str, Any]:
        """Mapping of a recipe, as in a profile, whose class `Own` has this source."""
        name = f"own_recipe_{next(numbers)}"
        (self.folder / f"{name}.py").write_text(source)
        return {"id": "own", "strategy": f"{name}:Own", "model": "b", **fields}


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Written]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield Written(tmp_path)
    for name in [name for name in sys.modules if name.startswith("own_recipe_")]:
        del sys.modules[name]


def refused(trio: Trio, recipe: dict[str, Any]) -> str:
    """Sentence with which the start is refused; own_recipe_N.py is written as FILE."""
    with pytest.raises(ConfigError) as caught:
        Orchestrator(trio, load_recipes([recipe], TEAM))
    said = str(caught.value)
    assert "\n" not in said
    assert "pydantic" not in said
    module = recipe["strategy"].partition(":")[0]
    return said.replace(f"{module}.py", "FILE").replace(module, "MODULE") if module.startswith("own_recipe_") else said


async def test_the_file_without_a_mistake_answers(trio: Trio, ask: Ask, written: Written) -> None:
    assert (await run(trio, ask(), written(GOOD))).text == "b says 0"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (AGENTS, "", "FILE has no method 'agents' in the class 'Own'; add `def agents(self)`."),
        (COST, "", "FILE has no method 'cost' in the class 'Own'; add `def cost(self, sampling, recipes)`."),
        (RUN, "", "FILE has no method 'run' in the class 'Own'; add `async def run(self, run)`."),
        ("def agents", "def agent", "FILE has no method 'agents' in the class 'Own'; rename 'agent'."),
        (
            "recipes):\n",
            "recipes)\n",
            "own: The strategy 'MODULE:Own' cannot be imported: FILE, line 11: expected ':'.",
        ),
        (GOOD, f"1 / 0\n{GOOD}", "cannot be imported in FILE, line 1: ZeroDivisionError: division by zero."),
        (GOOD, f"import sys\nsys.exit(3)\n{GOOD}", "cannot be imported in FILE, line 2: SystemExit: 3."),
        (
            GOOD,
            f"import no_such_library\n{GOOD}",
            "FILE, line 1: ModuleNotFoundError: No module named 'no_such_library'.",
        ),
        (GOOD, f"from serving.types import Deltas\n{GOOD}", "FILE, line 1: ImportError: cannot import name 'Deltas'"),
        ("    model: AgentField", '    model = "b"', "FILE, line 5: PydanticUserError: A non-annotated attribute was"),
        (
            "class Own(",
            "class Mine(",
            "The module 'MODULE' has no class 'Own' for the strategy 'MODULE:Own'; write 'MODULE:Mine'.",
        ),
        ("Own(Recipe)", "Own", "The strategy 'MODULE:Own' is not a subclass of serving.recipes.Recipe."),
        ("run.answer", "run.anser", "FILE, line 15: there is no 'run.anser'; write 'run.answer'."),
        ("run.answer", "run.shout", "FILE, line 15: there is no 'run.shout'."),
        (
            "return run.answer",
            "run.answer",
            "FILE, line 14: the method 'run' returns nothing; end it with `return run.answer(...)`.",
        ),
        (
            "return run.answer",
            "yield run.answer",
            "FILE, line 14: the method 'run' has a `yield`; return a stream instead: `return run.answer(...)`.",
        ),
        (
            "async def run",
            "def run",
            "FILE, line 14: the method 'run' must be async; write `async def run(self, run)`.",
        ),
        (
            "def agents",
            "async def agents",
            "FILE, line 8: the method 'agents' must not be async; write `def agents(self)`.",
        ),
        (
            "run(self, run)",
            "run(self)",
            "FILE, line 14: the method 'run' has other parameters; write `async def run(self, run)`.",
        ),
        (
            "(self, sampling, recipes)",
            "(self, sampling)",
            "FILE, line 11: the method 'cost' has other parameters; write",
        ),
        ("(self, sampling, recipes)", "(self, sampling, others)", "the method 'cost' has other parameters; write"),
        (
            "agents(self)",
            "agents(self, run)",
            "FILE, line 8: the method 'agents' has other parameters; write `def agents(self)`.",
        ),
        (
            "return (self.model,)",
            "return (self.mode,)",
            "The recipe 'own' cannot be used: its method `agents` failed in FILE, line 9: AttributeError: ",
        ),
        (
            "return (self.model,)",
            "return ('b',)",
            "its method `agents` has a string among the agents; declare the field as AgentField",
        ),
        ("return (self.model,)", "return None", "its method `agents` failed: TypeError"),
        (
            "return self.answer_cost",
            "self.answer_cost",
            "its method `cost` returned nothing, not a Cost; add up self.proposals_cost(...)",
        ),
        (
            "return self.answer_cost",
            "return 1 / 0 + self.answer_cost",
            "its method `cost` failed in FILE, line 12: ZeroDivisionError: division by zero.",
        ),
        ("    model: AgentField", "    model: AgentField\n    colour: str", "own: Set 'colour': it is required."),
        ("    model: AgentField", "    model: str", "its method `agents` has a string among the agents"),
        (
            "    model: AgentField",
            "    model: AgentField\n    strategy: Literal['own'] = 'own'",
            "own: Remove 'strategy' from the fields of 'MODULE:Own': its value is that name.",
        ),
    ],
)
def test_a_mistake_is_told_at_start(trio: Trio, written: Written, old: str, new: str, sentence: str) -> None:
    assert old in GOOD
    source = GOOD.replace(old, new)
    assert sentence in refused(trio, written(f"from typing import Literal\n{source}" if "Literal" in new else source))


def test_a_field_with_a_name_of_the_base_class_is_refused(trio: Trio, written: Written) -> None:
    source = GOOD.replace("    model: AgentField", "    model: AgentField\n    models: tuple[str, ...] = ()")
    with pytest.warns(UserWarning, match="shadows an attribute"):
        said = refused(trio, written(source))
    assert said.endswith("FILE: the field 'models' of 'Own' has the name of something in Recipe; rename it.")


def test_a_missing_file_says_where_it_must_lie(trio: Trio, written: Written) -> None:
    said = refused(trio, {"id": "own", "strategy": "folder.nothing_here:Own"})
    assert "There is no file folder/nothing_here.py for the strategy 'folder.nothing_here:Own'; put it" in said
    assert f"into {written.folder}, where" in said
    assert "or into a folder of PYTHONPATH" in said


@pytest.mark.parametrize("path", ["my/recipe.py:Own", "./my/recipe.py:Own", "my/recipe:Own"])
def test_a_path_is_answered_with_the_name_of_the_module(trio: Trio, path: str) -> None:
    assert f"Write the strategy '{path}' as 'my.recipe:Own': a module, not a path." in refused(
        trio, {"id": "own", "strategy": path}
    )


def test_two_recipes_of_one_id_are_refused(trio: Trio, written: Written) -> None:
    with pytest.raises(ConfigError, match="Two recipes have the id 'own'; rename one"):
        load_recipes([written(GOOD), written(GOOD)], TEAM)
    with pytest.raises(ConfigError, match="'a' is the id of a model and of a recipe; rename the recipe"):
        Orchestrator(trio, load_recipes([written(GOOD, id="a")], TEAM))


def test_what_only_looks_like_a_mistake_is_accepted(trio: Trio, written: Written) -> None:
    """Inner functions with a `run` of their own, a name with a second assignment, several ways to end."""
    source = GOOD.replace(
        RUN,
        textwrap.indent(
            textwrap.dedent("""\
            def helper(self, runs):
                return [run.total for run in runs]

            async def run(self, now):
                if now.request.messages:
                    helper = lambda run: run.whatever
                    return now.answer(self.model)
                raise ValueError("nothing to answer")
            """),
            "    ",
        ),
    )
    assert list(load_recipes([written(source)], TEAM)) == ["own"]
    assert list(Orchestrator(trio, load_recipes([written(source)], TEAM)).recipes) == ["own"]


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("return {}['secret word']", "unexpected KeyError; the server's log has the details"),
        ("return await run.propose(self.model, 'secret word')", "unexpected "),
        ("if 0: return 1", "its method `run` returned nothing; end it with `return run.answer(...)`"),
        ("return 'secret word'", "its method `run` returned a value of type str, not a stream; end it with"),
        ("return run.delegate('a')", "its method `run` returned a coroutine; write `return await ...`"),
    ],
)
@pytest.mark.parametrize("delegated", [False, True])
async def test_a_mistake_that_shows_in_a_request_is_an_error_without_its_text(
    trio: Trio,
    ask: Ask,
    written: Written,
    caplog: pytest.LogCaptureFixture,
    statement: str,
    sentence: str,
    delegated: bool,
) -> None:
    recipes = [written(GOOD.replace("return run.answer(self.model)", statement))]
    if delegated:
        recipes.insert(0, {"id": "auto", "strategy": "auto", "otherwise": "own"})
    orchestrator = Orchestrator(trio, load_recipes(recipes, TEAM))
    name = recipes[0]["id"]
    with caplog.at_level(logging.ERROR), pytest.raises(RecipeFailed) as caught:
        await complete(name, orchestrator.engines[name], ask())
    assert (caught.value.status, caught.value.code) == (500, "recipe_failed")
    assert f"The recipe 'own' failed: {sentence}" in str(caught.value)
    assert "secret word" not in str(caught.value)
    if "unexpected" in sentence:
        assert "the recipe 'own' failed" in caplog.text
        assert "own_recipe_" in caplog.text  # the traceback


async def test_a_cost_that_fails_for_a_request_is_the_recipes_failure(trio: Trio, ask: Ask, written: Written) -> None:
    recipe = written(GOOD.replace(COST, f"{COST.rstrip()} if sampling.max_tokens != 5 else 1 / 0\n"))
    orchestrator = Orchestrator(trio, load_recipes([recipe], TEAM))
    with pytest.raises(RecipeFailed, match="The recipe 'own' failed: unexpected ZeroDivisionError"):
        await complete("own", orchestrator.engines["own"], ask(max_tokens=5))

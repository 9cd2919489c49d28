"""Custom strategies: classes outside the package, named as `module:Class`, and the checks of their code."""

import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from serving.errors import ConfigError, MoaError, RecipeFailed
from serving.failures import said
from serving.recipes.base import Recipe
from serving.recipes.cost import Cost
from serving.recipes.custom_source import source_problem
from serving.runtime.agents import Agent
from serving.suggestions import nearest
from serving.types import Sampling
from serving.validation import kind_of

PLACE = re.compile(r" \([^()]*, line \d+\)$")  # at the end of a SyntaxError's text
PACKAGE = "serving."  # of the strategies that are not custom
# Methods that a strategy must have: how each is written, number of its arguments, and names of those after.
METHODS: Mapping[str, tuple[str, int, tuple[str, ...]]] = {
    "agents": ("def agents(self)", 1, ()),
    "cost": ("def cost(self, sampling, recipes)", 2, ("recipes",)),
    "run": ("async def run(self, run)", 2, ()),
}


def import_strategy(name: str) -> type[Recipe]:
    """Class that `name`, written as `module:Class`, stands for.

    Raises:
        ConfigError: there is no such module or class, its code cannot be run, or it is not a strategy: one sentence,
            with file and line where there are any.
    """
    module, _, attribute = name.partition(":")
    if module.endswith(".py") or "/" in module:
        dotted = module.removesuffix(".py").removeprefix("./").replace("/", ".").strip(".")
        raise ConfigError(f"Write the strategy '{name}' as '{dotted}:{attribute or 'CLASS'}': a module, not a path.")
    found = getattr(_imported(module, name), attribute, None) if attribute else None
    if found is None:
        raise ConfigError(_no_class(module, attribute, name))
    if not (isinstance(found, type) and issubclass(found, Recipe)):
        raise ConfigError(f"The strategy '{name}' is not a subclass of serving.recipes.Recipe.")
    if (problem := _class_problem(found)) is not None:
        raise ConfigError(f"The strategy '{name}' cannot be used: {problem}.")
    return found


def is_custom(recipe: Recipe) -> bool:
    """True if the recipe's class is not of this package."""
    return not type(recipe).__module__.startswith(PACKAGE)


@contextmanager
def start_failures(recipe: str, doing: str) -> Iterator[None]:
    """Boundary of custom code that runs at the start: what it raises is a `ConfigError`, which says where.

    A `ValidationError` passes.

    Args:
        recipe: id or name of the recipe.
        doing: what failed: "its method `cost`".
    """
    try:
        yield
    except (MoaError, ValidationError):
        raise
    except Exception as error:
        raise ConfigError(f"The recipe '{recipe}' cannot be used: {doing} failed{_where(error)}.") from error


def trial_failure(error: RecipeFailed) -> ConfigError:
    """Error of a recipe that failed when it was tried with scripted answers: one sentence, with file and line."""
    unusable = f"The recipe '{error.model}' cannot be used"
    cause = error.__context__
    if cause is None:
        return ConfigError(f"{unusable}: {error.reason}.")
    hint = "; write `await` before the call" if "coroutine" in str(cause) else ""
    return ConfigError(f"{unusable}: its method `run`, tried with scripted answers, failed{_where(cause)}{hint}.")


def check_custom(recipe: Recipe) -> None:
    """Call the methods of a custom recipe that say what it needs.

    Raises:
        ConfigError: one raises, or returns something of another type.
    """
    if not is_custom(recipe):
        return
    with start_failures(recipe.id, "its method `agents`"):
        agents = [*recipe.agents()]
    for agent in agents:
        if not isinstance(agent, Agent):
            raise ConfigError(
                f"The recipe '{recipe.id}' cannot be used: its method `agents` has {_type_of(agent)} among the agents;"
                " declare the field as AgentField, which makes an Agent of a model id."
            )
    for method in (recipe.delegates, recipe.requires, recipe.named_models):
        with start_failures(recipe.id, f"its method `{method.__name__}`"):
            method()


def checked_cost(recipe: Recipe, recipes: Mapping[str, Recipe]) -> Callable[[Sampling], Cost]:
    """The recipe's method `cost` for a sampling. If it is custom and fails, it raises `ConfigError`."""

    def cost(sampling: Sampling) -> Cost:
        if not is_custom(recipe):
            return recipe.cost(sampling, recipes)
        with start_failures(recipe.id, "its method `cost`"):
            found: object = recipe.cost(sampling, recipes=recipes)
        if not isinstance(found, Cost):
            raise ConfigError(
                f"The recipe '{recipe.id}' cannot be used: its method `cost` returned {_type_of(found)}, not a Cost;"
                " add up self.proposals_cost(...) and self.answer_cost(...)."
            )
        return found

    return cost


def _imported(module: str, name: str) -> Any:
    try:
        return import_module(module)
    except SyntaxError as error:
        place = f"{_shown(error.filename)}, line {error.lineno}"
        raise ConfigError(f"The strategy '{name}' cannot be imported: {place}: {said(error, PLACE)}.") from error
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise ConfigError(f"The strategy '{name}' cannot be imported{_where(error)}.") from error
        file = f"{module.replace('.', '/')}.py"
        raise ConfigError(
            f"There is no file {file} for the strategy '{name}'; put it into {Path.cwd()}, where the server is started,"
            " or into a folder of PYTHONPATH."
        ) from None
    except (Exception, SystemExit) as error:
        raise ConfigError(f"The strategy '{name}' cannot be imported{_where(error)}.") from error


def _no_class(module: str, attribute: str, name: str) -> str:
    defined = [
        key
        for key, value in vars(sys.modules.get(module, object)).items()
        if isinstance(value, type) and issubclass(value, Recipe) and value.__module__ == module
    ]
    alike = nearest(attribute, defined) or next(iter(defined), None)
    hint = f"; write '{module}:{alike}'" if alike else "; name a subclass of serving.recipes.Recipe"
    if not attribute:
        return f"The strategy '{name}' names no class{hint}."
    return f"The module '{module}' has no class '{attribute}' for the strategy '{name}'{hint}."


def _class_problem(strategy: type[Recipe]) -> str | None:
    """First mistake in a class, found without calling it; None if there is none."""
    file = _shown(inspect.getsourcefile(strategy))
    for method, (written, *_) in METHODS.items():
        if method in strategy.__abstractmethods__:
            own = [key for key in vars(strategy) if key not in vars(Recipe) and callable(vars(strategy)[key])]
            alike = nearest(method, own)
            change = f"rename '{alike}'" if alike else f"add `{written}`"
            return f"{file} has no method '{method}' in the class '{strategy.__name__}'; {change}"
    taken = set(dir(Recipe)) - set(Recipe.model_fields)
    if hidden := sorted(taken & set(strategy.model_fields)):
        return (
            f"{file}: the field '{hidden[0]}' of '{strategy.__name__}' has the name of something in Recipe; rename it"
        )
    if strategy.__abstractmethods__:
        return f"the class '{strategy.__name__}' has no method '{min(strategy.__abstractmethods__)}'"
    for method, (written, count, named) in METHODS.items():
        function = inspect.unwrap(getattr(strategy, method))
        if function.__module__.startswith(PACKAGE):
            continue
        place = f"{_shown(function.__code__.co_filename)}, line {function.__code__.co_firstlineno}"
        if method == "run" and inspect.isasyncgenfunction(function):
            return f"{place}: the method 'run' has a `yield`; return a stream instead: `return run.answer(...)`"
        if inspect.iscoroutinefunction(function) != (method == "run"):
            wrong = "be async" if method == "run" else "not be async"
            return f"{place}: the method '{method}' must {wrong}; write `{written}`"
        if not _takes(function, count, named):
            return f"{place}: the method '{method}' has other parameters; write `{written}`"
    return source_problem(strategy, file)


def _takes(function: Callable[..., Any], count: int, named: tuple[str, ...]) -> bool:
    """True if a method can be called with `count` arguments, `self` included, and others by name or place."""
    signature = inspect.signature(function)
    try:
        signature.bind(*[None] * count, **dict.fromkeys(named))
        signature.bind(*[None] * (count + len(named)))
    except TypeError:
        return False
    return True


def _where(error: BaseException) -> str:
    """Place and text of an exception of an operator's own code: " in my_recipe.py, line 3: NameError: ..."."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _of_python(frame.filename)]
    place = f" in {_shown(frames[-1].filename)}, line {frames[-1].lineno}" if frames else ""
    text = said(error)
    return f"{place}: {type(error).__name__}{f': {text}' if text else ''}"


def _of_python(file: str) -> bool:
    """True for files of this package, of libraries and of Python itself, which is not where the mistake is."""
    return "site-packages" in file or file.startswith(("<", sys.base_prefix, str(Path(__file__).parents[1])))


def _shown(file: str | None) -> str:
    """Path as a person would write it."""
    if file is None:
        return "its file"
    relative = os.path.relpath(file)
    return file if relative.startswith("..") else relative


def _type_of(value: object) -> str:
    if value is None:
        return "nothing"
    return kind_of(value) if isinstance(value, str | int | float | list) else type(value).__name__

"""A router that chooses the model or recipe before any work is done (compare RouteLLM, arXiv 2406.18665).

Routes are rules in order, or a linear classifier over words. `python -m evaluation train-router` fits the classifier on
recorded answers and writes it as JSON: a vocabulary with weights, which costs microseconds here and needs no library.
"""

import json
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from functools import cached_property
from math import log
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, StrictInt, ValidationError, model_validator

from serving.config import FiniteNumbers, Frozen
from serving.conversation import Message
from serving.failures import said
from serving.recipes.base import LAYER_SETTINGS, Recipe
from serving.recipes.cost import FREE, Cost, costliest
from serving.runtime.agents import Agent
from serving.runtime.run import Run, Strategy
from serving.types import Delta, Sampling
from serving.validation import first_issue


class Rule(Frozen):
    """A route for messages that satisfy all its conditions; they are tested on the last user message."""

    to: str = Field(description="Id of the model or recipe that answers.")
    pattern: str | None = Field(default=None, description="Regular expression, matched without case.")
    min_characters: StrictInt = Field(default=0, ge=0)
    max_characters: StrictInt | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _compiles(self) -> Self:
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except re.error as error:
                raise ValueError(f"pattern is not a regular expression: {said(error)}") from error
        return self

    def matches(self, text: str) -> bool:
        if not self.min_characters <= len(text) <= (self.max_characters or len(text)):
            return False
        return self.pattern is None or re.search(self.pattern, text, re.IGNORECASE) is not None


class Classifier(FiniteNumbers):
    """TF-IDF over words and logistic regression: for each route a bias and a weight per word."""

    idf: dict[str, float]
    bias: dict[str, float]
    weights: dict[str, dict[str, float]]

    @model_validator(mode="after")
    def _routes_are_the_same(self) -> Self:
        if differ := sorted(self.bias.keys() ^ self.weights.keys()):
            raise ValueError(f"the route '{differ[0]}' is not in both bias and weights")
        return self

    def choose(self, text: str) -> str:
        """The route with the highest score. The features are scikit-learn's `TfidfVectorizer(sublinear_tf=True)`."""
        counts: dict[str, int] = {}
        for word in re.findall(r"(?u)\b\w\w+\b", text.lower()):
            if word in self.idf:
                counts[word] = counts.get(word, 0) + 1
        features = {word: (1 + log(count)) * self.idf[word] for word, count in counts.items()}
        norm = sum(value * value for value in features.values()) ** 0.5 or 1.0
        scores = {
            route: bias + sum(self.weights[route].get(word, 0.0) * value / norm for word, value in features.items())
            for route, bias in self.bias.items()
        }
        return max(scores, key=lambda route: scores[route])


class Auto(Recipe):
    """The first rule that matches, else the classifier's choice, else `otherwise`."""

    strategy: Literal["auto"] = "auto"
    rules: tuple[Rule, ...] = ()
    classifier: str | None = Field(default=None, description="Path of a router file.")
    otherwise: str = Field(description="Id of the model or recipe for all other messages.")
    # All other settings belong to the chosen recipe, which is not known before.
    per_request: ClassVar[frozenset[str]] = frozenset({"deadline_s", "small_tasks"})
    without_effect = LAYER_SETTINGS | {"answer_share"}
    tool_modes = ("final",)
    caller = "the model or recipe that the rules or the router choose, as its own settings say"

    @model_validator(mode="after")
    def _router_can_be_read(self) -> Self:
        if self.classifier is not None:
            try:
                routes = self._classifier.bias if self._classifier else {}
            except ValidationError as error:
                issue = first_issue(error, whole="the file")
                raise ValueError(f"the router file {self.classifier} cannot be used: {issue.sentence}") from error
            except (OSError, ValueError) as error:
                raise ValueError(f"the router file {self.classifier} cannot be read: {said(error)}") from error
            except RecursionError:
                raise ValueError(f"the router file {self.classifier} is nested too deeply") from None
            if not routes:
                raise ValueError(f"the router file {self.classifier} has no routes")
        return self

    @cached_property
    def _classifier(self) -> Classifier | None:
        if self.classifier is None:
            return None
        raw: Any = json.loads(Path(self.classifier).read_text(encoding="utf-8"))
        return Classifier.model_validate(raw)

    def agents(self) -> Iterable[Agent]:
        return ()

    def delegates(self) -> frozenset[str]:
        routes = self._classifier.bias if self._classifier else {}
        return frozenset({self.otherwise, *(rule.to for rule in self.rules), *routes})

    def cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        return costliest(
            recipes[name].cost(sampling, recipes) if name in recipes else Cost(1, sampling.max_tokens)
            for name in self.delegates()
        )

    def given_cost(self, sampling: Sampling, recipes: Mapping[str, Recipe]) -> Cost:
        return costliest(
            recipes[name].given_cost(sampling, recipes) if name in recipes else FREE for name in self.delegates()
        )

    def steps(self, recipe_of: Callable[[str], Strategy | None]) -> int:
        routes = (recipe_of(name) for name in self.delegates())
        return max((route.steps(recipe_of) for route in routes if isinstance(route, Recipe)), default=0)

    def handover(self, messages: tuple[Message, ...]) -> str:
        return self.route(messages)

    def route(self, messages: tuple[Message, ...]) -> str:
        """Id of the model or recipe for a conversation."""
        text = next((message.content for message in reversed(messages) if message.role == "user"), "")
        for rule in self.rules:
            if rule.matches(text):
                return rule.to
        return self._classifier.choose(text) if self._classifier else self.otherwise

    async def run(self, run: Run) -> AsyncGenerator[Delta, None]:
        return await run.delegate(self.route(run.request.messages))

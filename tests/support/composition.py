"""Random recipes of every strategy, and engines with every kind of fault."""

import re
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

from serving.conversation import Message, Tool, ToolCall, ToolChoice
from serving.engines.scripted import ScriptedAnswer, ScriptedEngine
from serving.errors import EngineFailed, EngineUnavailable
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.recipes.cost import Limits
from serving.recipes.loading import STRATEGIES
from serving.runtime.hedging import ENOUGH
from serving.types import GenerateRequest

NAMES = ("a", "b", "c", "d")
PLAN = '[{"task": "one"}, {"task": "two", "after": [1]}, "three"]'
SLOW_S = 0.002
# Short deadlines of agents and requests: an engine that hangs ends its call within milliseconds.
HURRIED = {"proposer_deadline_s": 0.006, "first_token_deadline_s": 0.006, "deadline_s": 0.06}
FAULTS = ("error", "error later", "empty", "lost once", "slow", "cut", "hang", "thinks only")
THOUGHT = "unspoken"  # begins all reasoning, and is in no text
CALL = ToolCall("c1", "look", '{"what": "it"}')
RESULT = Message("tool", "nothing", tool_call_id="c1")


def engines(tools: str = "", *, thinking: bool = False, dissenting: str = "") -> dict[str, ScriptedEngine]:
    """Engines that answer with their name and, in brackets, the models of the references they read. `d` also judges.

    Those in `tools` call a tool once where they have tools: `CALL`, or one of their own if they are `dissenting`. With
    `thinking` all of them reason before every answer.
    """

    def answer(name: str) -> ScriptedEngine:
        def say(request: GenerateRequest) -> ScriptedAnswer:
            reasoning = f"{THOUGHT} thoughts of {name}" if thinking else ""
            if name in tools and request.may_call_tools and before_calls(request):
                call = replace(CALL, arguments=f'{{"what": "{name}"}}') if name in dissenting else CALL
                return ScriptedAnswer("", reasoning, (call,))
            return ScriptedAnswer(text_of(request), reasoning)

        def before_calls(request: GenerateRequest) -> bool:
            return all(message.role != "tool" for message in request.messages)

        def text_of(request: GenerateRequest) -> str:
            text = "\n".join(message.content for message in request.messages)
            if "JSON list" in text and name != "a":  # a's plans cannot be parsed
                return PLAN
            if name == "d" and ("Candidates:" in text or "Answer:" in text):
                return "2 of these" if "Candidates:" in text else "ACCEPT"
            seen = re.findall(r"^\d+\. (?:[a-z]+: )?(\w)\[", text, re.MULTILINE)
            return f"{name}[{''.join(seen)}]"

        return ScriptedEngine(name, say, tools=name in tools)

    return {name: answer(name) for name in NAMES}


def broken(models: dict[str, ScriptedEngine], faults: dict[str, str]) -> None:
    """Configure each engine of `faults` with its fault."""
    for name, fault in faults.items():
        engine = models[name]
        if fault in ("error", "error later"):
            engine.error, engine.fail_after = EngineFailed(name, "broken"), int(fault == "error later")
        elif fault == "empty":
            engine.answer = " "
        elif fault == "thinks only":
            engine.answer = ScriptedAnswer("", f"{THOUGHT} thoughts")
        elif fault == "lost once":
            _lose_once(engine)
        elif fault == "slow":
            engine.ttft_s = SLOW_S
        elif fault == "cut":
            engine.cut_after = 0
        else:
            engine.hang = True


def _lose_once(engine: ScriptedEngine) -> None:
    lost, before = [EngineUnavailable(engine.model)], engine.answer

    def answer(request: GenerateRequest) -> str | ScriptedAnswer:
        if lost:
            raise lost.pop()
        return before(request) if callable(before) else before

    engine.answer = answer


@dataclass(frozen=True)
class Shape:
    """A recipe of some strategy, and the recipe it may delegate to."""

    strategy: str
    team: tuple[str, ...]
    last: str  # aggregator, synthesizer, solver or judge
    number: int  # of samples, rounds, layers or parts, by strategy
    logprob: float
    settings: dict[str, Any] = field(default_factory=dict)

    def layer(self, strategy: str = "") -> list[str]:
        """Models of a layer of proposers."""
        strategy = strategy or self.strategy
        team = list(self.team)
        if strategy == "adaptive" and len(team) < 2:
            return [*team, self.last]
        sizes = {"self_moa": self.number + 1, "self_moa_seq": self.number * 3, "vote": self.number + 1}
        if strategy in ("self_moa", "self_moa_seq"):
            team = team[:1]
        return [team[slot % len(team)] for slot in range(sizes.get(strategy, len(team)))]

    def fitting(self, strategy: str, able: str) -> dict[str, Any]:
        """The settings that a recipe of `strategy` accepts, over engines of which those in `able` support tools."""
        kind, layer = STRATEGIES[strategy], self.layer(strategy)
        fits = {
            "tools": lambda mode: mode in kind.tool_modes and (kind.picks or sum(name in able for name in layer) > 1),
            "refill": lambda _: len(set(layer)) > 1,
            "below_quorum": lambda rule: not (rule == "single" and kind.picks),
            "min_proposals": lambda count: count <= len(layer),
        }
        return {
            name: value
            for name, value in self.settings.items()
            if name not in kind.without_effect and fits.get(name, lambda _: True)(value)
        }

    def recipes(self, able: str) -> list[dict[str, Any]]:
        team, last, first = list(self.team), self.last, self.team[0]
        inner = {"id": "inner", "strategy": "layered", "layers": [team], "aggregator": last}
        fields: dict[str, dict[str, Any]] = {
            "layered": {"layers": [team] * self.number, "aggregator": last},
            "self_moa": {"proposer": first, "aggregator": last, "samples": self.number + 1},
            "self_moa_seq": {
                "proposer": first,
                "aggregator": last,
                "samples": self.number * 3,
                "window": 3,
                "kept": 1,
            },
            "rank": {"proposers": team, "judge": last},
            "blend": {"proposers": team, "judge": last, "aggregator": first, "top": self.number},
            "vote": {"proposers": team, "samples": self.number + 1, "wave": 2 if self.number > 2 else None},
            "debate": {"solver": first, "critic": last, "rounds": self.number},
            "plan": {"planner": last, "executors": team, "synthesizer": first, "parts": self.number},
            "cascade": {"first": first, "escalate": "inner"},
            "auto": {"otherwise": "inner"},
            "adaptive": {"proposers": self.layer("adaptive"), "aggregator": last},
            "staircase": {"proposers": team, "aggregator": last},
        }
        outer = {"id": "team", "strategy": self.strategy, **fields[self.strategy]}
        return [{**outer, **self.fitting(self.strategy, able)}, {**inner, **self.fitting("layered", able)}]

    def orchestrator(self, models: dict[str, ScriptedEngine]) -> Orchestrator:
        """Orchestrator over `models`, with enough known durations of every kind of call to hedge at once."""
        for engine in models.values():
            engine.logprob = self.logprob
        able = "".join(name for name, engine in models.items() if engine.info.tools)
        made = Orchestrator(models, load_recipes(self.recipes(able)), Limits(hedge_share=1.0))
        if self.settings.get("hedge"):
            for layer in range(1, 12):
                for name in NAMES:
                    for _ in range(ENOUGH):
                        made.runtime.budget.record(("team", layer, name), SLOW_S / 8)
        return made


def acting(request: GenerateRequest, choice: ToolChoice, *, continued: bool) -> GenerateRequest:
    """`request` with a tool, and with a first call of it if it is `continued`; an earlier turn has reasoning."""
    earlier = (Message("user", "Before?"), Message("assistant", "So.", reasoning=f"{THOUGHT} before"))
    call = Message("assistant", "", reasoning=f"{THOUGHT} then", tool_calls=(CALL,))
    loop = (call, RESULT) if continued else ()
    return replace(request, messages=(*earlier, *request.messages, *loop), tools=(Tool("look"),), tool_choice=choice)


CHOICES = st.sampled_from([ToolChoice(), ToolChoice("none"), ToolChoice("required"), ToolChoice("named", "look")])
PREFILL_MODES = st.sampled_from(["off", "on_complete", "incremental"])


def shapes(**settings: st.SearchStrategy[Any]) -> st.SearchStrategy[Shape]:
    return st.builds(
        Shape,
        st.sampled_from(sorted(STRATEGIES)),
        st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map(tuple),
        st.sampled_from(NAMES),
        st.integers(1, 3),
        st.sampled_from([0.0, -3.0]),
        st.fixed_dictionaries({"prefill": PREFILL_MODES, **settings}),
    )

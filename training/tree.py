"""Search trees over turns: pairs for DPO, and the places from which to sample further (arXiv 2410.08115).

A state is a prompt that some agent read; its children are the texts that it said there. The value of a child is the
mean reward of the trajectories that go through it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from training.scoring import Ranked, by_question
from training.texts import near
from training.trajectory import PromptMessage, Turn

StateKey = tuple[str, str, tuple[PromptMessage, ...]]


@dataclass
class Child:
    """Texts of one state that are nearly equal: the first of them, and the rewards of their trajectories."""

    turn: Turn
    rewards: list[float] = field(default_factory=list)

    @property
    def value(self) -> float:
        """Mean reward of the trajectories through this child."""
        return sum(self.rewards) / len(self.rewards)


@dataclass
class State:
    """A prompt, and the texts that answered it."""

    children: list[Child] = field(default_factory=list)

    def add(self, turn: Turn, reward: float) -> None:
        """Count a turn with the child whose text is near its own, or as a new child."""
        for child in self.children:
            if near(child.turn.text, turn.text) and child.turn.trainable == turn.trainable:
                child.rewards.append(reward)
                return
        self.children.append(Child(turn, [reward]))


@dataclass(frozen=True, slots=True)
class PairSettings:
    """Settings of the pairs."""

    gap: float = 0.2  # smallest difference of the values of a pair
    min_chosen: float = 0.5  # smallest value of the better text


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts of one agent to the same prompt."""

    question: str
    chosen: Turn
    rejected: Turn
    gap: float


def states_of(samples: Iterable[Ranked]) -> dict[StateKey, State]:
    """All states of one question's samples.

    A text that occurs several times in one trajectory at the same state, as with equal proposers, counts once.
    """
    found: dict[StateKey, State] = defaultdict(State)
    for one in samples:
        seen: set[tuple[StateKey, str]] = set()
        for turn in one.trajectory.turns:
            key = (turn.model, turn.role, turn.prompt)
            if (key, turn.text) not in seen:
                seen.add((key, turn.text))
                found[key].add(turn, one.reward)
    return dict(found)


def pairs(samples: Sequence[Ranked], settings: PairSettings) -> list[Pair]:
    """The best and the worst text of each state, where they differ enough; the largest gaps first."""
    found = []
    for question, group in by_question(samples).items():
        for state in states_of(group).values():
            children = [child for child in state.children if child.turn.trainable]
            if len(children) < 2:
                continue
            best, worst = max(children, key=lambda one: one.value), min(children, key=lambda one: one.value)
            gap = best.value - worst.value
            if best is not worst and gap >= settings.gap and best.value >= settings.min_chosen:
                found.append(Pair(question, best.turn, worst.turn, gap))
    return sorted(found, key=lambda pair: (-pair.gap, pair.question))


@dataclass(frozen=True, slots=True)
class Branch:
    """A place from which a trajectory is sampled again: its first turns are kept."""

    origin: Ranked
    kept: tuple[Turn, ...]  # those that had ended when the next one was asked
    next_role: str  # of the agent that is sampled first


def branches(samples: Sequence[Ranked], count: int) -> list[Branch]:
    """The `count` most valuable places of one question for further samples.

    Value of a place: the mean reward through its last kept turn. A place whose kept turns say nearly the same as those
    of a better one is left out, and so are places where nothing or everything is kept.
    """
    states = states_of(samples)
    found: list[tuple[float, Branch]] = []
    for one in samples:
        turns = one.trajectory.turns
        for turn in turns:
            kept = tuple(other for other in turns if other.ended_ms <= turn.started_ms and other is not turn)
            if not kept:
                continue
            last = max(kept, key=lambda other: other.ended_ms)
            state = states[last.model, last.role, last.prompt]
            value = next(child.value for child in state.children if near(child.turn.text, last.text))
            found.append((value, Branch(one, kept, turn.role)))
    chosen: list[Branch] = []
    for _, branch in sorted(found, key=lambda pair: (-pair[0], pair[1].origin.trajectory.sample, len(pair[1].kept))):
        if len(chosen) == count:
            break
        if not any(_alike(branch, other) for other in chosen):
            chosen.append(branch)
    return chosen


def _alike(one: Branch, other: Branch) -> bool:
    return len(one.kept) == len(other.kept) and all(
        (left.model, left.role) == (right.model, right.role) and near(left.text, right.text)
        for left, right in zip(one.kept, other.kept, strict=True)
    )

"""Verdicts of judges and critics, compared with the task rewards of the texts that they are about."""

from collections.abc import Callable, Sequence

from serving.recipes.judging import accepts, chosen
from serving.references import Reference
from serving.runtime.prompts import numbered
from training.trajectory import Turn

TaskOf = Callable[[str], float | None]


def against_answer(turn: Turn, turns: Sequence[Turn], task: float, task_of: TaskOf) -> bool:
    """True if a turn is a verdict in spite of which the team's answer is as good as it is.

    That is a judge's vote for a proposal that is worse than the answer, a vote that names no proposal, and a critic's
    objection to a draft that is no worse than the answer.

    Args:
        turn: of any role; other roles give no verdicts.
        turns: all of the trajectory, in the order in which the agents were asked.
        task: task reward of the answer.
        task_of: task reward of a text; `None` if it cannot be computed at once.
    """
    if turn.role == "judge":
        proposals = [other.text for other in turns if other.role == "proposer"]
        place = chosen(turn.text, len(proposals))
        if place is None:
            return True
        voted = next((text for text in proposals if _shown(turn, place + 1, text)), None)
        own = None if voted is None else task_of(voted)
        return own is not None and own < task
    if turn.role == "critic" and not accepts(turn.text):
        drafts = [other.text for other in turns[: turns.index(turn)] if other.role == "solver"]
        own = task_of(drafts[-1]) if drafts else None
        return own is not None and own >= task
    return False


def _shown(turn: Turn, number: int, text: str) -> bool:
    """True if the prompt of a judge shows `text` as the candidate with this number."""
    candidate = numbered((Reference("", text),)).removeprefix("1.")
    return any(f"\n{number}.{candidate}\n" in message.content for message in turn.prompt)

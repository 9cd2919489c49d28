"""Data of the answer browser: each question with every arm's answer, its verdict and the agents' texts behind it.

The page holds the data compressed. Equal texts are held once, since arms share proposals. Texts that would make the
page too large are shortened in the middle, so that an answer's last line stays.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import orjson

from evaluation.analysis.accuracy import task
from evaluation.analysis.teams import agent_score
from evaluation.report.packing import packed
from evaluation.report.page import Answers
from evaluation.rows import AgentRow, Row

CHARACTERS: tuple[tuple[int | None, int | None], ...] = (  # of answers, of agents' texts; None: whole
    (None, None),
    (8000, 4000),
    (4000, 2000),
    (2000, 1000),
    (2000, 500),
    (1000, 500),
    (1000, 250),
    (500, 250),
    (500, 120),
    (250, 120),
    (120, 60),
)
LONGEST_EXTRACTED = 200  # characters of an answer as the scorer read it; a program is not shown a second time
HEAD_SHARE = 0.35  # of a shortened text; the rest is its end
NOTE_BYTES = 400  # at most, of the sentence on what was left out


def browser_data(rows: Sequence[Row], room_bytes: int) -> Answers:
    """Pack the answers of a run into at most `room_bytes`.

    Texts are shortened as far as needed, those of agents more than answers. If even the shortest have no room,
    questions are left out: those on which the arms agree first.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.dataset, row.item), []).append(row)
    texts = _Texts()
    arms = list(dict.fromkeys(row.arm for row in rows))
    items = [_item(group, texts) for group in groups.values()]
    room = room_bytes - NOTE_BYTES
    of_all = cache(lambda characters: _packed(arms, items, texts, characters))  # each compresses all texts
    step = bisect_left(CHARACTERS, True, key=lambda characters: len(of_all(characters)) <= room)
    characters = CHARACTERS[min(step, len(CHARACTERS) - 1)]
    data, note, every = of_all(characters), _shortened_note(characters), len(items)
    if len(data) > room:
        items.sort(key=lambda item: len({answer["score"] for answer in item["answers"] if "score" in answer}) < 2)
    while items and len(data) > room:
        items = items[: min(len(items) - 1, max(0, int(0.95 * len(items) * room / len(data))))]
        data = _packed(arms, items, texts, characters)
    if len(items) < every:
        note = f"{len(items):,} of {every:,} questions have room, first those on which the arms disagree. {note}"
    return Answers(data, note)


def _shortened_note(characters: tuple[int | None, int | None]) -> str:
    answers, agents = characters
    if answers is None or agents is None:
        return ""
    return (
        f"Answers of more than {answers:,} characters and agents' texts of more than {agents:,} are shortened in the"
        " middle, so that the page stays small: rows.jsonl and a larger page ('report --max-mb') have them whole."
    )


class _Texts:
    """Numbers for texts, each held once; `answers` has those that are more than an agent's text."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.answers: set[int] = set()

    def of_agent(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers))

    def of_answer(self, text: str) -> int:
        number = self.of_agent(text)
        self.answers.add(number)
        return number


def _shortened(text: str, characters: int | None) -> str:
    if characters is None or len(text) <= characters:
        return text
    head = int(HEAD_SHARE * characters)
    tail = characters - head
    return f"{text[:head]} [... {len(text) - characters:,} characters left out ...] {text[-tail:]}"


def _packed(
    arms: list[str], items: list[dict[str, Any]], texts: _Texts, characters: tuple[int | None, int | None]
) -> str:
    of_answers, of_agents = characters
    used = {number for item in items for number in _numbers(item)}
    shown = [
        _shortened(text, of_answers if number in texts.answers else of_agents) if number in used else ""
        for text, number in texts.numbers.items()
    ]
    return packed(orjson.dumps({"arms": arms, "items": items, "texts": shown}))


def _numbers(item: dict[str, Any]) -> Iterator[int]:
    """Numbers of the texts of one question."""
    yield from item["questions"]
    yield from (item[name] for name in ("reference",) if name in item)
    for answer in item["answers"]:
        yield from answer.get("texts", ())
        yield from (agent["text"] for agent in answer.get("agents", ()) if "text" in agent)
        yield from (call["result"] for call in answer.get("calls", ()) if "result" in call)


def _item(rows: list[Row], texts: _Texts) -> dict[str, Any]:
    first = rows[0]
    return _known(
        {
            "id": first.item,
            "task": task(first),
            "questions": [texts.of_answer(text) for text in first.questions],
            "reference": None if first.reference is None else texts.of_answer(first.reference),
            "answers": [_answer(row, texts) for row in rows],
        }
    )


def _answer(row: Row, texts: _Texts) -> dict[str, Any]:
    return _known(
        {
            "arm": row.arm,
            "sample": row.sample or None,
            "score": row.score,
            "texts": [texts.of_answer(text) for text in row.answers],
            "extracted": row.extracted if row.extracted and len(row.extracted) <= LONGEST_EXTRACTED else None,
            "error": row.error,
            "reasons": row.reasons,
            "tokens": row.tokens,
            "seconds": _seconds(row.latency_s),
            "usd": None if row.cost_usd is None else float(f"{row.cost_usd:.3g}"),
            "calls": [
                _known(
                    {
                        "step": number,
                        "name": call.name,
                        "arguments": call.arguments,
                        "fault": call.fault,
                        "result": texts.of_agent(call.result) if call.result else None,
                    }
                )
                for number, step in enumerate(row.steps, 1)
                for call in step.calls
            ],
            "agents": [_agent(row, agent, texts) for agent in row.trace],
        }
    )


def _agent(row: Row, agent: AgentRow, texts: _Texts) -> dict[str, Any]:
    last = agent.turn == len(row.questions)
    return _known(
        {
            "turn": agent.turn if len(row.questions) > 1 else None,
            "step": agent.step if agent.step > 1 else None,
            "layer": agent.layer,
            "role": agent.role,
            "model": agent.model,
            "outcome": None if agent.outcome == "ok" else agent.outcome,
            "called": agent.called or None,
            "text": texts.of_agent(agent.text) if agent.text else None,
            "score": agent_score(row, agent) if last and agent.usable else None,
            "seconds": _seconds(agent.total_s),
        }
    )


def _seconds(value: float | None) -> float | None:
    """Two significant digits: more would not compress."""
    return None if value is None else float(f"{value:.2g}")


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is unknown or empty."""
    return {name: value for name, value in fields.items() if value not in (None, (), [])}

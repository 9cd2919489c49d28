"""Measure the trio and its recipes through a running server: `python -m models.tiny.evaluate`.

Asks every question of the benchmark of each model alone and of each recipe, and writes the shares of right answers
with 95% intervals, and what an answer costs, to `build/tiny-quality.md` and, with every answer,
`build/tiny-quality.json`.
"""

import argparse
import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from evaluation.analysis.stats import Share, wilson
from evaluation.client import Answer, AskFailed, Client
from evaluation.errors import EvaluationError
from evaluation.tables import Cell, Table
from models.tiny.bench import Row, rows
from models.tiny.families import FAMILIES
from models.tiny.questions import SKILLS
from models.tiny.scoring import is_right

RECIPES = ("moa-lite", "moa", "cascade", "adaptive")
ANSWER_TOKENS = 32  # twice the longest answer


@dataclass(frozen=True, slots=True)
class Measured:
    """One answer. `text` is `None` where the request failed; that counts as wrong, and `error` says why."""

    model: str
    row: Row
    text: str | None
    calls: int | None = None  # of models; `None` where the server did not say
    tokens: int | None = None  # of all of them, prompts included
    error: str | None = None

    @property
    def right(self) -> bool:
        return self.text is not None and is_right(self.text, self.row.question.answer)


async def measure(
    client: Client, models: Sequence[str], questions: Sequence[Row], *, concurrency: int, temperature: float | None
) -> list[Measured]:
    """Every question asked of every model, `concurrency` at a time."""
    limit = asyncio.Semaphore(concurrency)
    bar = tqdm(total=len(models) * len(questions), desc="asking", unit="answer")
    sampling = {} if temperature is None else {"temperature": temperature}
    traced = {"moa": {"trace": True}}

    async def ask(model: str, row: Row) -> Measured:
        async with limit:
            messages = [{"role": "user", "content": row.question.text}]
            try:
                answer = await client.ask(model, messages, max_tokens=ANSWER_TOKENS, **sampling, **traced)
                measured = Measured(model, row, answer.text, len(answer.trace) or None, _tokens(answer))
            except AskFailed as error:
                measured = Measured(model, row, None, error=str(error))
            bar.update()
            return measured

    try:
        return list(await asyncio.gather(*(ask(model, row) for model in models for row in questions)))
    finally:
        bar.close()


def _tokens(answer: Answer) -> int | None:
    if answer.prompt_tokens is None or answer.completion_tokens is None:
        return None
    return answer.prompt_tokens + answer.completion_tokens


@dataclass(frozen=True, slots=True)
class Costs:
    """Of an answer, on average over those that are known. `None`: of none."""

    calls: float | None
    tokens: float | None


def costs(measured: Sequence[Measured]) -> dict[str, Costs]:
    """For each model what its answers cost."""
    return {
        model: Costs(
            _mean([one.calls for one in measured if one.model == model]),
            _mean([one.tokens for one in measured if one.model == model]),
        )
        for model in dict.fromkeys(one.model for one in measured)
    }


def _mean(values: Sequence[int | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def shares(measured: Sequence[Measured]) -> dict[str, dict[str, Share]]:
    """For each model the share of right answers by skill and over all (`"all"`)."""
    table: dict[str, dict[str, Share]] = {}
    for model in dict.fromkeys(one.model for one in measured):
        table[model] = {}
        for skill in (*SKILLS, "all"):
            rights = [one.right for one in measured if one.model == model and skill in (one.row.question.skill, "all")]
            if rights:
                table[model][skill] = wilson(sum(rights) / len(rights), len(rights))
    return table


def as_table(found: Mapping[str, Mapping[str, Share]], cost: Mapping[str, Costs]) -> Table:
    """Right answers in percent with 95% intervals, the best of each column strong; and what an answer costs."""
    columns = (*SKILLS, "all")
    best = {skill: max((by[skill].value for by in found.values() if skill in by), default=0.0) for skill in columns}
    lines = tuple(
        (
            Cell(f"`{model}`"),
            *(
                Cell(_percent(by[skill]), by[skill].value, by[skill].value == best[skill]) if skill in by else Cell("-")
                for skill in columns
            ),
            Cell("-" if cost[model].calls is None else f"{cost[model].calls:.2f}"),
            Cell("-" if cost[model].tokens is None else f"{cost[model].tokens:,.0f}"),
        )
        for model, by in found.items()
    )
    questions = max((by["all"].n for by in found.values() if "all" in by), default=0)
    return Table(
        "Right answers, %, with 95% intervals",
        ("model", *columns, "calls", "tokens"),
        lines,
        f"{questions} held-out questions; a failed request counts as wrong. Calls and tokens, prompts included, are"
        " those of an answer. Printed by `python -m models.tiny.evaluate`.",
    )


def _percent(share: Share) -> str:
    return f"{100 * share.value:.1f} [{100 * share.low:.0f}, {100 * share.high:.0f}]"


async def run(options: argparse.Namespace) -> str:
    async with Client(options.url, api_key=options.api_key) as client:
        served = await client.models()
        models = options.models or [name for name in (*FAMILIES, *RECIPES) if name in served]
        if missing := [name for name in models if name not in served] or (not models and list(FAMILIES)):
            raise EvaluationError(
                f"The server at {options.url} has no {', '.join(missing)}; it serves {', '.join(served)}."
            )
        questions = rows()[:: options.every]
        measured = await measure(
            client, models, questions, concurrency=options.concurrency, temperature=options.temperature
        )
    found, cost = shares(measured), costs(measured)
    markdown = as_table(found, cost).markdown()
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "tiny-quality.md").write_text(markdown, "utf-8")
    answers = [
        {
            "model": one.model,
            "id": one.row.id,
            "text": one.text,
            "right": one.right,
            "calls": one.calls,
            "tokens": one.tokens,
            "error": one.error,
        }
        for one in measured
    ]
    document = {
        "shares": {model: {skill: asdict(share) for skill, share in by.items()} for model, by in found.items()},
        "costs": {model: asdict(one) for model, one in cost.items()},
        "answers": answers,
    }
    (options.out / "tiny-quality.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    return markdown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--api-key")
    parser.add_argument("--models", nargs="+", help=f"model ids; by default the trio, {', '.join(RECIPES)}")
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--temperature", type=float, help="sent with each request; by default what the server decides")
    parser.add_argument("--every", type=int, default=1, help="ask every n-th question only")
    parser.add_argument("--out", type=Path, default=Path("build"))
    try:
        print(asyncio.run(run(parser.parse_args())))
    except EvaluationError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()

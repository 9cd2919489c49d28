"""Measure the trio and its recipes through a running server: `python -m models.tiny.evaluate`.

Asks every question of the benchmark of each model alone and of each recipe, and writes the shares of right answers
with 95% intervals, and what an answer costs, to `build/tiny-quality.md` and, with every answer,
`build/tiny-quality.json`.
"""

import argparse
import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from evaluation.analysis.cost import ArmCost, costs
from evaluation.analysis.stats import Share, wilson
from evaluation.arms import Arm
from evaluation.client import Client
from evaluation.datasets import load
from evaluation.errors import EvaluationError
from evaluation.items import Item
from evaluation.rows import Row
from evaluation.runner import Job, RunSettings, answer
from evaluation.tables import Cell, Table
from models.tiny.families import FAMILIES
from models.tiny.questions import SKILLS

RECIPES = ("moa-lite", "moa", "cascade", "adaptive")
ANSWER_TOKENS = 32  # twice the longest answer


async def measure(
    client: Client, models: Sequence[str], questions: Sequence[Item], *, concurrency: int, temperature: float | None
) -> list[Row]:
    """Every question asked of every model, `concurrency` at a time."""
    limit = asyncio.Semaphore(concurrency)
    bar = tqdm(total=len(models) * len(questions), desc="asking", unit="answer")
    sampling = {"max_tokens": ANSWER_TOKENS, **({} if temperature is None else {"temperature": temperature})}
    settings = RunSettings(sampling=sampling)

    async def ask(model: str, question: Item) -> Row:
        async with limit:
            row = await answer(client, Job(Arm(name=model, model=model), question, 0), settings)
            bar.update()
            return row

    try:
        return list(await asyncio.gather(*(ask(model, question) for model in models for question in questions)))
    finally:
        bar.close()


def _right(row: Row) -> bool:
    """A failed request counts as wrong."""
    return bool(row.done and row.score)


def shares(measured: Sequence[Row]) -> dict[str, dict[str, Share]]:
    """For each model the share of right answers by skill and over all (`"all"`)."""
    table: dict[str, dict[str, Share]] = {}
    for model in dict.fromkeys(row.model for row in measured):
        table[model] = {}
        for skill in (*SKILLS, "all"):
            rights = [_right(row) for row in measured if row.model == model and skill in (row.skill, "all")]
            if rights:
                table[model][skill] = wilson(sum(rights) / len(rights), len(rights))
    return table


def as_table(found: Mapping[str, Mapping[str, Share]], cost: Mapping[str, ArmCost]) -> Table:
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
            *_cost(cost.get(model)),
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


def _cost(cost: ArmCost | None) -> tuple[Cell, Cell]:
    if cost is None:  # nothing was answered
        return Cell("-"), Cell("-")
    return Cell(f"{cost.calls:.2f}"), Cell("-" if cost.tokens is None else f"{cost.tokens:,.0f}")


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
        questions = load("tiny").items[:: options.every]
        measured = await measure(
            client, models, questions, concurrency=options.concurrency, temperature=options.temperature
        )
    found = shares(measured)
    cost = {entry.arm: entry for entry in costs(measured)}
    markdown = as_table(found, cost).markdown()
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "tiny-quality.md").write_text(markdown, "utf-8")
    answers = [
        {
            "model": row.model,
            "id": row.item,
            "text": row.text if row.done else None,
            "right": _right(row),
            "calls": row.calls if row.done else None,
            "tokens": row.tokens,
            "error": row.error,
        }
        for row in measured
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

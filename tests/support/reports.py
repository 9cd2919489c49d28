"""HTML reports with made-up data: many answers of many arms, and one page of each command."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from evaluation.report.build import Constraints, Report, analyse
from evaluation.rows import Row
from loadtest.bench import html_report as bench
from loadtest.results import html_report as load
from loadtest.results.report import Result
from loadtest.results.slo import parse_slo
from loadtest.scale import html_report as scale
from loadtest.torture import html_report as torture
from loadtest.torture.results import PartResult
from loadtest.torture.row import Row as Promise
from tests.support.benchmark import results as benchmark
from tests.support.exchanges import exchange
from tests.support.rows import agent, row
from tests.support.scale import results as scaled

MODELS = {"tiny-qwen": 0.3, "tiny-llama": 0.5, "qwen3-235b-a22b-instruct": 0.7}  # and their share of right answers
TEAMS = (
    "moa-lite moa moa-2-layers self-moa-qwen-6 vote-of-5 rank-and-fuse debate-3-rounds cascade adaptive auto blend plan"
)
ARMS = (*MODELS, *TEAMS.split())
TASKS = (
    "gsm8k",
    "mmlu/physics",
    "mmlu/law",
    "math/level 3",
    "math/level 5",
    "crux",
    "tiny/words",
    "tiny/facts",
    "tiny/sums",
)
WORDS = ("each hour the train", "goes twelve", "miles", "further", "so that", "after three", "of them it", "has gone")


def answers(questions: int, words: int) -> list[Row]:
    """Answers of all arms; each has `words` words before its result, teams have traces, some fail."""
    return [found for number in range(questions) for found in _question(number, words)]


def _question(number: int, words: int) -> Iterator[Row]:
    random_ = random.Random(number)
    dataset, _, skill = TASKS[number % len(TASKS)].partition("/")
    right = str(random_.randrange(100, 999))

    def text(share: float) -> str:
        said = right if random_.random() < share else str(random_.randrange(10, 99))
        return " ".join([*random_.choices(WORDS, k=words), "is", said]) if words else said

    proposals = {model: text(share) for model, share in MODELS.items()}
    for position, arm in enumerate(ARMS):
        fields = {
            "dataset": dataset,
            "skill": skill,
            "questions": (f"Question {number}? {text(0)}",),
            "scorer": "number",
            "cost_usd": 1e-6 * (1 + position),
            "latency_s": (1 + position) * (1 + random_.random()),
            "prompt_tokens": 100 * (1 + position // 3),
            "tflops": 0.1 * (1 + position) ** 2,
            "tflops_in_sequence": 0.1 * (1 + position),
        }
        if random_.random() < 0.01:
            yield row(arm, str(number), "", right, **{**fields, "score": None, "error": "503: no replica is ready"})
            continue
        final = proposals.get(arm) or text(0.5 + 0.03 * position)
        team = () if arm in MODELS else tuple(proposals.items())[: 2 + position % 2]
        trace = [agent(model, said, position=place) for place, (model, said) in enumerate(team)]
        if trace:
            trace.append(agent("tiny-qwen", final, layer=2, role="aggregator"))
        yield row(arm, str(number), final, right, trace, **{**fields, "score": float(final.endswith(right))})


def quality() -> Report:
    """Report of 15 arms, with plots of few and answers to 300 questions."""
    found = analyse(answers(18, 5), Constraints())
    return Report(tuple(answers(300, 40)), found.advice, found.sections, found.left_out)


def load_test() -> Result:
    """Load test of four scenarios with errors."""
    random_ = random.Random(0)
    exchanges = [
        replace(
            exchange(random_.choice(("chat", "streaming", "long-context", "tools"))),
            sent_s=number / 10,
            total_s=random_.lognormvariate(0, 0.4),
            planned_s=number / 10 - 0.001,
            error=None if random_.random() < 0.97 else "429 overloaded",
        )
        for number in range(400)
    ]
    return Result.of({"host": "http://h", "model": "moa-lite"}, exchanges, 40.0, parse_slo("e2e_ms<=2000"))


def write_pages(folder: Path) -> dict[str, Path]:
    """Write every kind of page; return their paths by kind."""
    scaling = scaled({"orchestrator": 0.97, "engines": 0.4})
    scaling.machine = {"cpu": "x", "cores": 2, "memory_gib": 1, "system": "s", "python": "3", "load_before": 0}
    promises = (Promise("holds", "1", "2", True), Promise("breaks", "3", "2", False))
    pages = {
        "quality": quality().html(),
        "load": load.render(load_test()),
        "bench": bench.render(benchmark()),
        "scale": scale.render(scaling),
        "torture": torture.render([PartResult("faults", "Faults", promises, "a machine", 1.0)]),
    }
    paths = {name: folder / f"{name}.html" for name in pages}
    for name, html in pages.items():
        paths[name].write_text(html, encoding="utf-8")
    return paths

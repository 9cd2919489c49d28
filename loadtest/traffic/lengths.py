"""How long prompts and answers are: published distributions, fixed lengths, or pairs from a trace.

Lengths of chat prompts and answers are close to log-normal. A log-normal with median `m` and mean `a` has
`sigma = sqrt(2 ln(a / m))`; where a source gives the mean alone, sigma is set to 1, as noted with it.
"""

import csv
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from loadtest.errors import LoadError


@dataclass(frozen=True, slots=True)
class Lengths:
    """Of one request, in tokens."""

    prompt: int
    answer: int

    def clamped(self, max_prompt: int, max_answer: int) -> "Lengths":
        return Lengths(min(self.prompt, max_prompt), min(self.answer, max_answer))


class Workload(Protocol):
    def draw(self, rng: random.Random) -> Lengths: ...


@dataclass(frozen=True, slots=True)
class LogNormal:
    median: float
    sigma: float

    @classmethod
    def with_mean(cls, mean: float, sigma: float = 1.0) -> "LogNormal":
        return cls(mean / math.exp(sigma**2 / 2), sigma)

    @property
    def mean(self) -> float:
        return self.median * math.exp(self.sigma**2 / 2)

    def draw(self, rng: random.Random) -> int:
        return max(1, round(rng.lognormvariate(math.log(self.median), self.sigma)))


@dataclass(frozen=True, slots=True)
class Published:
    """Prompt and answer lengths drawn independently of each other."""

    source: str
    prompt: LogNormal
    answer: LogNormal

    def draw(self, rng: random.Random) -> Lengths:
        return Lengths(self.prompt.draw(rng), self.answer.draw(rng))


@dataclass(frozen=True, slots=True)
class Fixed:
    lengths: Lengths

    def draw(self, rng: random.Random) -> Lengths:
        return self.lengths


@dataclass(frozen=True, slots=True)
class Trace:
    """Pairs as they occurred together, drawn uniformly."""

    pairs: tuple[Lengths, ...]

    def draw(self, rng: random.Random) -> Lengths:
        return rng.choice(self.pairs)


WORKLOADS: Mapping[str, Published] = {
    "instruct": Published(
        "Alpaca: means 19.31 and 58.45 tokens (vLLM, arXiv 2309.06180, figure 11); sigma 1",
        LogNormal.with_mean(19.31),
        LogNormal.with_mean(58.45),
    ),
    "chat": Published(
        "LMSYS-Chat-1M: means 69.5 and 214.5 tokens (arXiv 2309.11998, table 1); sigma 1",
        LogNormal.with_mean(69.5),
        LogNormal.with_mean(214.5),
    ),
    "sharegpt": Published(
        "ShareGPT: means 161.31 and 337.99 tokens (vLLM, arXiv 2309.06180, figure 11); sigma 1",
        LogNormal.with_mean(161.31),
        LogNormal.with_mean(337.99),
    ),
    "conversation": Published(
        "Azure's conversation service: medians 1020 and 129 tokens (Splitwise, arXiv 2311.18677, section 3); sigma 1",
        LogNormal(1020, 1.0),
        LogNormal(129, 1.0),
    ),
}


@lru_cache  # asked for by every request: a trace is read once
def parse_workload(text: str) -> Workload:
    """A published workload by name, `fixed:PROMPT:ANSWER`, or `trace:FILE.csv`.

    A trace has a header; its columns are `prompt_tokens,answer_tokens` or, as in Azure's public traces,
    `ContextTokens,GeneratedTokens`.

    Raises:
        LoadError: it is none of these, or the file has no usable row.
    """
    if text in WORKLOADS:
        return WORKLOADS[text]
    kind, _, rest = text.partition(":")
    if kind == "fixed":
        try:
            prompt, answer = (int(number) for number in rest.split(":"))
        except ValueError:
            raise LoadError(f"'{text}' is no workload; write fixed:PROMPT:ANSWER, such as fixed:128:64.") from None
        if min(prompt, answer) < 1:
            raise LoadError(f"'{text}' has a length below 1; ask for at least one token each.")
        return Fixed(Lengths(prompt, answer))
    if kind == "trace":
        return Trace(tuple(_pairs(Path(rest))))
    raise LoadError(f"'{text}' is no workload; choose {', '.join(WORKLOADS)}, fixed:PROMPT:ANSWER or trace:FILE.csv.")


def _pairs(path: Path) -> list[Lengths]:
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        columns = next(
            names
            for names in (("prompt_tokens", "answer_tokens"), ("ContextTokens", "GeneratedTokens"))
            if rows and set(names) <= set(rows[0])
        )
        return [Lengths(max(int(row[columns[0]]), 1), max(int(row[columns[1]]), 1)) for row in rows]
    except (OSError, ValueError, StopIteration):
        raise LoadError(
            f"{path} is no readable trace; give a CSV file with the columns prompt_tokens and answer_tokens."
        ) from None

"""Lengths of prompts and answers: published distributions, fixed lengths, or pairs from a trace.

Lengths of chat prompts and answers are close to log-normal. A log-normal with median `m` and mean `a` has
`sigma = sqrt(2 ln(a / m))`; if a source gives the mean only, sigma is 1, as its description says.
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
    """Lengths of one request, in tokens."""

    prompt: int
    answer: int

    def clamped(self, max_prompt: int, max_answer: int) -> "Lengths":
        """Cut both lengths to their maximum."""
        return Lengths(min(self.prompt, max_prompt), min(self.answer, max_answer))


class Workload(Protocol):
    """Distribution of lengths."""

    def draw(self, rng: random.Random) -> Lengths:
        """Draw the lengths of one request."""
        ...


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Log-normal distribution of a length."""

    median: float
    sigma: float

    @classmethod
    def with_mean(cls, mean: float, sigma: float = 1.0) -> "LogNormal":
        """Create the distribution with this mean."""
        return cls(mean / math.exp(sigma**2 / 2), sigma)

    @property
    def mean(self) -> float:
        """Expected value."""
        return self.median * math.exp(self.sigma**2 / 2)

    def draw(self, rng: random.Random) -> int:
        """Draw a length of at least 1."""
        return max(1, round(rng.lognormvariate(math.log(self.median), self.sigma)))


@dataclass(frozen=True, slots=True)
class Published:
    """Published distributions; prompt and answer lengths are drawn independently."""

    source: str
    prompt: LogNormal
    answer: LogNormal

    def draw(self, rng: random.Random) -> Lengths:
        return Lengths(self.prompt.draw(rng), self.answer.draw(rng))


@dataclass(frozen=True, slots=True)
class Fixed:
    """Same lengths for every request."""

    lengths: Lengths

    def draw(self, rng: random.Random) -> Lengths:
        return self.lengths


@dataclass(frozen=True, slots=True)
class Trace:
    """Recorded pairs of lengths, drawn uniformly."""

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


@lru_cache  # called for every request: reads a trace once
def parse_workload(text: str) -> Workload:
    """Parse the name of a published workload, `fixed:PROMPT:ANSWER`, or `trace:FILE.csv`.

    A trace has a header with the columns `prompt_tokens,answer_tokens` or, as in Azure's public traces,
    `ContextTokens,GeneratedTokens`.

    Raises:
        LoadError: the text is none of these, or the file has no valid rows.
    """
    if text in WORKLOADS:
        return WORKLOADS[text]
    kind, _, rest = text.partition(":")
    if kind == "fixed":
        try:
            prompt, answer = (int(number) for number in rest.split(":"))
        except ValueError:
            raise LoadError(f"'{text}' is not a workload; write fixed:PROMPT:ANSWER, such as fixed:128:64.") from None
        if min(prompt, answer) < 1:
            raise LoadError(f"'{text}' has a length below 1; both need at least one token.")
        return Fixed(Lengths(prompt, answer))
    if kind == "trace":
        return Trace(tuple(_pairs(Path(rest))))
    raise LoadError(
        f"'{text}' is not a workload; choose one of: {', '.join(WORKLOADS)}, fixed:PROMPT:ANSWER or trace:FILE.csv."
    )


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
            f"Cannot read the trace {path}; it must be a CSV file with the columns prompt_tokens and answer_tokens."
        ) from None

"""Confidence of answers, from the log probabilities of their tokens: DeepConf (arXiv 2508.15260), online."""

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from serving.references import References
from serving.types import Choice, Delta, TokenLogprob

LEAST_LOGPROB = -100.0  # of alternatives that a rule excludes, which engines report as minus infinity


@dataclass(frozen=True, slots=True)
class Confidence:
    """Settings of one layer whose answers are stopped when their confidence falls."""

    alternatives: int  # per token, whose log probabilities are asked for
    window_tokens: int  # of a group
    warmup: int  # answers that are asked first and are never stopped
    keep: float  # share of the first answers that would not have been stopped


class ConfidenceWatch:
    """Answers of one layer while they are written: those whose confidence falls are to be stopped."""

    def __init__(self, settings: Confidence) -> None:
        self.settings = settings
        self._thresholds: Mapping[str, float] = {}  # by model
        self._groups: dict[tuple[int, int], Groups] = {}

    def warmed(self, references: References) -> None:
        """Set the thresholds from the first answers, once."""
        self._thresholds = self._thresholds or thresholds(references, self.settings.keep)

    def falls(self, answer: tuple[int, int], model: str, delta: Delta) -> bool:
        """True if `delta` brings an answer below the threshold of its model.

        Args:
            answer: slot and attempt: a new attempt begins with an empty group.
            model: that writes it.
            delta: of the answer.
        """
        threshold = self._thresholds.get(model)
        if threshold is None or delta.logprobs is None or delta.finish_reason is not None:
            return False
        groups = self._groups.setdefault(answer, Groups(self.settings.window_tokens))
        groups.add(delta.logprobs)
        return groups.now is not None and groups.now < threshold

    def of(self, choice: Choice) -> float | None:
        """Confidence of a whole answer; None without log probabilities."""
        return lowest_confidence(choice.logprobs, self.settings.window_tokens)


def token_confidence(token: TokenLogprob) -> float | None:
    """Negative mean log probability of the most likely tokens at one place; None without alternatives.

    It is large if one token has nearly all of the probability: the others then have almost none.
    """
    if len(token.top) < 2:
        return None
    values = [LEAST_LOGPROB if math.isnan(one.logprob) else max(one.logprob, LEAST_LOGPROB) for one in token.top]
    return -sum(values) / len(values)


@dataclass
class Groups:
    """Mean confidence of each group of `window_tokens` consecutive tokens of one answer, while it is written.

    Attributes:
        now: of the last whole group; None: there is none yet.
    """

    window_tokens: int
    now: float | None = None
    _lowest: float = math.inf
    _window: deque[float] = field(default_factory=deque)
    _sum: float = 0.0

    def add(self, tokens: Iterable[TokenLogprob]) -> None:
        """Add the next tokens."""
        for token in tokens:
            if (value := token_confidence(token)) is None:
                continue
            self._window.append(value)
            self._sum += value
            if len(self._window) > self.window_tokens:
                self._sum -= self._window.popleft()
            if len(self._window) == self.window_tokens:
                self.now = self._sum / self.window_tokens
                self._lowest = min(self._lowest, self.now)

    @property
    def lowest(self) -> float | None:
        """Confidence of the answer: that of its lowest group, or of all its tokens if they are fewer than a group."""
        if self.now is not None:
            return self._lowest
        return self._sum / len(self._window) if self._window else None


def lowest_confidence(tokens: Iterable[TokenLogprob] | None, window_tokens: int) -> float | None:
    """Confidence of a whole answer; None without log probabilities."""
    groups = Groups(window_tokens)
    groups.add(tokens or ())
    return groups.lowest


def thresholds(references: References, keep: float) -> Mapping[str, float]:
    """For each model the confidence that the share `keep` of its answers have, or more.

    Models are apart, as their vocabularies and their calibration differ.
    """
    known: dict[str, list[float]] = {}
    for one in references:
        if one.confidence is not None:
            known.setdefault(one.model, []).append(one.confidence)
    return {model: _percentile(sorted(values), 1 - keep) for model, values in known.items()}


def _percentile(values: list[float], share: float) -> float:
    """Value below which the `share` of sorted `values` is, interpolated as NumPy does."""
    place = share * (len(values) - 1)
    low = math.floor(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)

"""Tokens and dollars of requests: an estimate before the answer, and the cost of the answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from serving.cards import ModelCard
from serving.pooling import EmbedRequest, RerankRequest
from serving.store.spending import Spent
from serving.types import GenerateRequest, Report
from serving.usage import TokenUsage

CHARACTERS_PER_TOKEN = 4
ANSWER_TOKENS = 500  # of an answer without `max_tokens`, at first
IMAGE_TOKENS = 1000
LEARNED = 0.1  # weight of one answer in what is known of the answers of a model or recipe


@dataclass(frozen=True, slots=True)
class Estimate:
    """Expected tokens of a request: those of its prompt as one model reads it, and those of its answer."""

    prompt: float
    answer: float

    @property
    def total(self) -> float:
        """All tokens."""
        return self.prompt + self.answer


def estimate_of(request: GenerateRequest | EmbedRequest | RerankRequest) -> Estimate:
    """Estimate of a request's tokens by its characters and its `max_tokens`."""
    if isinstance(request, EmbedRequest):
        return Estimate(sum(_tokens(one) for one in request.inputs), 0)
    if isinstance(request, RerankRequest):
        documents = [_tokens(one) for one in request.documents]
        return Estimate(sum(documents) + len(documents) * _tokens(request.query), 0)
    sampling = request.sampling
    if request.prompt is not None:
        prompt = _tokens(request.prompt.content)
    else:
        prompt = sum(_tokens(message.content) for message in request.messages) + IMAGE_TOKENS * request.image_count
    answer = ANSWER_TOKENS if sampling.max_tokens is None else sampling.max_tokens
    return Estimate(1 + prompt, answer * sampling.n)


def _tokens(content: str | Sequence[int]) -> float:
    return len(content) / CHARACTERS_PER_TOKEN if isinstance(content, str) else len(content)


class Estimator:
    """Estimates that learn from answers: how many times the estimated tokens a model or recipe needs."""

    def __init__(self, cards: Mapping[str, ModelCard]) -> None:
        """`cards`: of all models and recipes, by id, with the prices of models."""
        self._prices = {
            card.id: (price["prompt"] / 1e6, price["completion"] / 1e6)
            for card in cards.values()
            if (price := card.usd_per_million_tokens) is not None
        }
        self._highest = max((max(price) for price in self._prices.values()), default=0.0)
        self._tokens: dict[str, float] = {}  # by id: tokens for each estimated one
        self._usd: dict[str, float] = {}  # by id: dollars for each estimated token

    def expected(self, model: str, tokens: float) -> Spent:
        """Expected cost of a request to `model`, whose estimate is `tokens`."""
        first = max(self._prices.get(model, (self._highest,)))
        return Spent(tokens * self._tokens.get(model, 1.0), tokens * self._usd.get(model, first))

    def learn(self, model: str, tokens: float, spent: Spent) -> None:
        """Take the cost of one answer into account; `tokens` was the estimate."""
        for known, value in ((self._tokens, spent.tokens / tokens), (self._usd, spent.usd / tokens)):
            known[model] = value if model not in known else (1 - LEARNED) * known[model] + LEARNED * value

    def cost(self, model: str, usage: TokenUsage, report: Report | None) -> Spent | None:
        """Cost of an answer; None if its tokens are unknown. A recipe's is that of its agents."""
        if usage.total_tokens is None:
            return None
        if report is None or not report.agents:
            return Spent(usage.total_tokens, self._usd_of(model, usage))
        return Spent(usage.total_tokens, sum(self._usd_of(agent.model, agent.usage) for agent in report.agents))

    def _usd_of(self, model: str, usage: TokenUsage) -> float:
        prompt, completion = self._prices.get(model, (0.0, 0.0))
        return (usage.prompt_tokens or 0) * prompt + (usage.completion_tokens or 0) * completion

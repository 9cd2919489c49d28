"""Tokens and dollars of requests: an estimate before the answer, and the cost of the answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from serving.cards import ModelCard
from serving.engine import Work
from serving.pooling import EmbedRequest, RerankRequest
from serving.store.spending import Spent
from serving.types import GenerateRequest, Report
from serving.usage import TokenUsage

CHARACTERS_PER_TOKEN = 4
ANSWER_TOKENS = 500  # of an answer without `max_tokens`, at first
IMAGE_TOKENS = 1000
ONE_CALL = Work()
LEARNED = 0.1  # weight of one answer in what is known of the answers of a model or recipe


@dataclass(frozen=True, slots=True)
class Estimate:
    """Expected tokens of a request.

    Attributes:
        prompt: as one model reads it.
        answer: of one model.
        work: upper bound of the calls and the completion tokens.
    """

    prompt: float
    answer: float
    work: Work = ONE_CALL

    @property
    def total(self) -> float:
        """All tokens, if each call reads the prompt and writes an answer."""
        return self.work.calls * (self.prompt + self.answer)

    @property
    def most(self) -> tuple[float, float] | None:
        """Largest numbers of prompt and of completion tokens, if each answer is read once by another agent.

        None: the completion tokens are not bounded.
        """
        if (completion := self.work.completion_tokens) is None:
            return None
        return self.work.calls * self.prompt + completion, completion


def estimate_of(request: GenerateRequest | EmbedRequest | RerankRequest, work: Work = ONE_CALL) -> Estimate:
    """Estimate of a request's tokens by its characters, its `max_tokens` and `work`, the bound of its engine."""
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
    return Estimate(1 + prompt, answer * sampling.n, work)


def _tokens(content: str | Sequence[int]) -> float:
    return len(content) / CHARACTERS_PER_TOKEN if isinstance(content, str) else len(content)


class Estimator:
    """Estimates that learn from answers: how many times the estimated tokens a model or recipe needs."""

    def __init__(self, cards: Mapping[str, ModelCard]) -> None:
        """`cards`: of all models and recipes, by id, with the prices of models."""
        self._prices = {card.id: price for card in cards.values() if (price := card.price) is not None}
        prices = self._prices.values()
        self._highest = tuple(max((price[place] for price in prices), default=0.0) for place in (0, 1))
        self._tokens: dict[str, float] = {}  # by id: tokens for each estimated one
        self._usd: dict[str, float] = {}  # by id: dollars for each estimated token

    def expected(self, model: str, estimate: Estimate) -> Spent:
        """Expected cost of a request to `model`."""
        tokens = estimate.total
        first = max(self._prices.get(model, self._highest)) / 1e6
        return Spent(tokens * self._tokens.get(model, 1.0), tokens * self._usd.get(model, first))

    def reserved(self, model: str, estimate: Estimate) -> Spent:
        """Cost to reserve in budgets: the expected one, or the largest while no answer of a recipe has ended."""
        if model in self._tokens or (most := estimate.most) is None:
            return self.expected(model, estimate)
        prompt, completion = most
        return Spent(prompt + completion, (prompt * self._highest[0] + completion * self._highest[1]) / 1e6)

    def learn(self, model: str, estimate: Estimate, spent: Spent) -> None:
        """Take the cost of one answer into account."""
        tokens = max(1.0, estimate.total)
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
        known = TokenUsage(usage.prompt_tokens or 0, usage.completion_tokens or 0)
        return known.usd(self._prices.get(model)) or 0.0

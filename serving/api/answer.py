"""The domain's values as OpenAI's JSON: whole answers, usage, log probabilities and the `moa` object."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from serving.types import AgentTrace, Completion, Report, TokenLogprob, TokenUsage

Json = dict[str, Any]
LEAST_LOGPROB = -9999.0  # OpenAI's word for "as good as impossible"; JSON has no infinity


@dataclass(frozen=True, slots=True)
class Head:
    """What every chunk of an answer, and the answer, begins with."""

    id: str
    created: int  # Unix time in seconds
    model: str


def completion_json(head: Head, completion: Completion, trace: bool) -> Json:
    """The body of an answer that is not streamed."""
    answer: Json = {
        "id": head.id,
        "object": "chat.completion",
        "created": head.created,
        "model": head.model,
        "choices": [
            {
                "index": index,
                "message": {"role": "assistant", "content": valid(choice.text), "refusal": None},
                "logprobs": None if choice.logprobs is None else logprobs_json(choice.logprobs),
                "finish_reason": choice.finish_reason,
            }
            for index, choice in enumerate(completion.choices)
        ],
        "usage": usage_json(completion.usage),
    }
    if (moa := moa_json(completion.report, trace)) is not None:
        answer["moa"] = moa
    return answer


def usage_json(usage: TokenUsage) -> Json:
    """A count that was lost stays null."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def logprobs_json(tokens: Iterable[TokenLogprob]) -> Json:
    content = [{**_logprob(token), "top_logprobs": [_logprob(other) for other in token.top]} for token in tokens]
    return {"content": content, "refusal": None}


def _logprob(token: TokenLogprob) -> Json:
    logprob = LEAST_LOGPROB if math.isnan(token.logprob) else max(token.logprob, LEAST_LOGPROB)
    return {"token": valid(token.token), "logprob": logprob, "bytes": list(token.token_bytes) or None}


def valid(text: str) -> str:
    """`text` without lone surrogates, which UTF-8 cannot carry: an engine may cut a token in the middle of a pair."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def moa_json(report: Report | None, trace: bool) -> Json | None:
    """The `moa` object: present where the caller asked for a trace, and always when there are reasons to tell."""
    if report is None or not (trace or report.reasons):
        return None
    moa: Json = {
        "recipe": report.recipe,
        "degraded": report.degraded,
        "reasons": [valid(reason) for reason in report.reasons],
    }
    if trace:
        agents = sorted(report.agents, key=lambda agent: (agent.layer, agent.agent))
        moa["trace"] = [
            {"layer": layer, "agents": [_agent(agent) for agent in members]}
            for layer, members in groupby(agents, key=lambda agent: agent.layer)
        ]
    return moa


def _agent(agent: AgentTrace) -> Json:
    return {
        "agent": agent.agent,
        "role": agent.role,
        "model": agent.model,
        "outcome": agent.outcome,
        "text": valid(agent.text),
        "usage": usage_json(agent.usage),
        "started_ms": _ms(agent.started_s),
        "elapsed_ms": _ms(agent.elapsed_s),
        "queue_ms": _ms(agent.timing.queue_s),
        "ttft_ms": _ms(agent.timing.ttft_s),
        "total_ms": _ms(agent.timing.total_s),
        "error": None if agent.error is None else valid(agent.error),
        "hedged": agent.hedged,
        "shortened": agent.shortened,
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)

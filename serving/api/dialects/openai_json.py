"""Parts of answers as OpenAI's JSON: usage, reasoning, tool calls, and the trace of a recipe's run."""

from itertools import groupby
from typing import Any

from serving.api.errors import encodable
from serving.conversation import ToolCall
from serving.types import AgentTrace, Report
from serving.usage import TokenUsage

Json = dict[str, Any]


def usage_json(usage: TokenUsage) -> Json:
    """OpenAI's usage object; an unknown count is null."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def reasoning_json(text: str) -> Json:
    """Reasoning under both names that clients read: DeepSeek's and vLLM's newer one."""
    return dict.fromkeys(("reasoning_content", "reasoning"), encodable(text))


def tool_call_json(call: ToolCall) -> Json:
    """OpenAI's object for a tool call."""
    function = {"name": encodable(call.name), "arguments": encodable(call.arguments)}
    return {"id": encodable(call.id), "type": "function", "function": function}


def trace_json(report: Report) -> list[Json]:
    """The agents of a run, by layer."""
    agents = sorted(report.agents, key=lambda agent: (agent.layer, agent.agent))
    return [
        {"layer": layer, "agents": [agent_json(agent) for agent in members]}
        for layer, members in groupby(agents, key=lambda agent: agent.layer)
    ]


def agent_json(agent: AgentTrace) -> Json:
    """One agent of the trace."""
    fields: Json = {
        "agent": agent.agent,
        "role": agent.role,
        "model": agent.model,
        "outcome": agent.status,
        "text": encodable(agent.text),
        "usage": usage_json(agent.usage),
        "started_ms": _ms(agent.started_s),
        "elapsed_ms": _ms(agent.elapsed_s),
        "queue_ms": _ms(agent.timing.queue_s),
        "ttft_ms": _ms(agent.timing.ttft_s),
        "total_ms": _ms(agent.timing.total_s),
        "error": None if agent.error is None else encodable(agent.error),
        "hedged": agent.hedged,
        "shortened": agent.shortened,
        "finish_reason": agent.finish_reason,
    }
    if agent.images:
        fields["images"] = agent.images
    if agent.reasoning:
        fields["reasoning"] = encodable(agent.reasoning)
    if agent.tool_calls:
        fields["tool_calls"] = [tool_call_json(call) for call in agent.tool_calls]
    return fields


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)

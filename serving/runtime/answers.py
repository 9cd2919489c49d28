"""Known answers: a text, or an earlier proposal that is returned as the final answer."""

import secrets
from dataclasses import replace

from serving.conversation import ToolCallDelta
from serving.references import Reference, References
from serving.types import Delta, GenerateRequest
from serving.usage import TokenUsage


def must_call(request: GenerateRequest) -> bool:
    """True if only tool calls can answer the request."""
    return bool(request.tools) and request.tool_choice.mode in ("required", "named")


def may_answer(reference: Reference, request: GenerateRequest) -> bool:
    """True if the proposal itself has what the answer must have: tool calls if they are required, else text or calls.

    The prose of calls, which `Reference.text` has for other agents, is no answer.
    """
    draft = reference.draft
    if reference.tool_calls:
        return request.may_call_tools
    if draft is None and reference.as_answer and not reference.text:
        return not must_call(request)  # the caller's own `stop` ended it at once
    return not must_call(request) and bool((reference.text if draft is None else draft.text).strip())


def delta_of(reference: Reference, usage: TokenUsage) -> Delta:
    """The proposal as a whole answer. Its calls get ids of their own, so that no two answers share one."""
    if reference.draft is None:
        return Delta(reference.text, finish_reason=reference.finish_reason, usage=usage)
    calls = tuple(
        ToolCallDelta(index, f"call_{secrets.token_hex(12)}", call.name, call.arguments)
        for index, call in enumerate(reference.tool_calls)
    )
    reason = reference.finish_reason
    if calls and reason != "length":
        reason = "tool_calls"
    return Delta(reference.draft.text, finish_reason=reason, usage=usage, tool_calls=calls)


def first_valid(references: References, request: GenerateRequest) -> Reference | None:
    """The first of `references` that can be the answer, cut where the caller's `stop` would have ended it."""
    asked = request.sampling
    for reference in references:
        if not may_answer(reference, request):
            continue
        if reference.as_answer:
            return reference
        if asked.response_format is not None or asked.decoding.fields or request.prompt_end == "continued":
            continue
        plain = reference if reference.draft is None else replace(reference, text=reference.draft.text, draft=None)
        ends = [place for stop in asked.stop if (place := plain.text.find(stop)) >= 0]
        if not ends:
            return plain
        if text := plain.text[: min(ends)].rstrip():
            return replace(plain, text=text, finish_reason="stop")
    return None

"""Answers that are not stored."""

from typing import Literal

from serving.types import Completion, Sampling

# "live": not looked for either, as the request asks for the events of the run.
Refusal = Literal["degraded", "cut", "filtered", "empty", "too_large", "encoding", "live"]


def refusal(completion: Completion, sampling: Sampling) -> Refusal | None:
    """Reason why a whole answer is not stored; None: it may be.

    An answer that was cut by the request's own `max_tokens` is stored: an equal request is cut at the same length. One
    that was cut by the context, a limit of the server or a deadline is not.
    """
    report = completion.report
    if (report is not None and report.degraded) or completion.shortened:
        return "degraded"
    reasons = {choice.finish_reason for choice in completion.choices}
    if "content_filter" in reasons:
        return "filtered"
    if "length" in reasons and sampling.max_tokens is None:
        return "cut"
    if not all(choice.text or choice.tool_calls for choice in completion.choices):
        return "empty"
    return None

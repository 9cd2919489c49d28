"""Usage that clients see: of the call that wrote the answer, or of the team."""

from serving.types import Report, TokenUsage, UsageScope


def usage_in_scope(team: TokenUsage, report: Report | None, scope: UsageScope) -> TokenUsage:
    """Usage of an answer whose calls used `team` tokens together; a single model has one call, and no report."""
    return team if scope == "team" or report is None or report.answer_usage is None else report.answer_usage

"""Report of a run, agent by agent: the source of usage, trace, metrics and of `degraded`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from serving.conversation import FinishReason
from serving.runtime.reasons import (
    COUNTED_SO_FAR,
    PROPOSAL_CUT,
    PROPOSAL_FILTERED,
    REPLACED,
    SHORTENED,
    SHORTENED_ONE,
    SHOWN,
    SHOWN_BEFORE,
    SHOWN_TO_SOME,
    UNCOUNTED,
    UNCOUNTED_ATTEMPTS,
    UNSEEN,
    Reason,
    outcome,
    who,
)
from serving.types import LOW_CONFIDENCE, AgentTrace, Report
from serving.usage import TokenUsage

READ_BY_OTHERS = ("proposer", "executor", "critic")  # roles whose answers other agents read
# Ends of an answer that is not whole.
CUTS: dict[FinishReason | None, Reason] = {"length": PROPOSAL_CUT, "content_filter": PROPOSAL_FILTERED}


@dataclass
class ReportBuilder:
    """Collects the traces of one request's agents and the reasons for which its answer is degraded."""

    recipe: str
    agents: list[AgentTrace] = field(default_factory=list)
    degraded: bool = False
    may_recover: bool = False  # degraded by what may be over at the next call, such as a lost or slow agent
    lasting: list[str] = field(default_factory=list)  # reasons that degrade and will be met at the next call, too
    reasons: list[str] = field(default_factory=list)  # one sentence each, for the caller
    on_reason: Callable[[str, bool], None] | None = None  # called with each new reason, and True if it degrades
    answer_usage: TokenUsage | None = None  # of the call that wrote the answer; None: no call of this run wrote it
    reused: bool = False  # references are those of an earlier request

    def add(self, trace: AgentTrace, instead: str | None = None) -> None:
        """Add one agent; a failure, a shortened reference or an unknown token count adds its reason.

        `instead`: the model that is asked for the same slot, so that this failure does not degrade the answer.
        """
        self.agents.append(trace)
        if trace.shortened == 1:
            self.degrade(SHORTENED_ONE(model=trace.model), lasts=True)
        elif trace.shortened:
            self.degrade(SHORTENED(count=trace.shortened, model=trace.model), lasts=True)
        if trace.status not in ("ok", "cancelled"):
            why = outcome(trace)
            if instead is None:
                self.degrade(why, lasts=trace.status == "empty")
            else:
                self.note(REPLACED(why=why.rstrip("."), model=instead))
        elif not _counted(trace):
            self.note(UNCOUNTED(who=who(trace)))
        elif trace.status == "cancelled":
            self.note(COUNTED_SO_FAR(who=who(trace)))
        if trace.cause == LOW_CONFIDENCE:
            self.note(outcome(trace))
        if trace.status == "ok" and trace.role in READ_BY_OTHERS and trace.finish_reason in CUTS:
            self.note(CUTS[trace.finish_reason](who=who(trace)))
        if trace.uncounted:
            self.note(UNCOUNTED_ATTEMPTS(who=who(trace)))

    def degrade(self, reason: str, *, lasts: bool = False) -> None:
        """Mark the answer as possibly worse than the recipe promises, because of `reason`.

        `lasts`: the same agents would give the same reason again, as a model with nothing to say does.
        """
        self.degraded = True
        if not lasts:
            self.may_recover = True
        elif reason not in self.lasting:
            self.lasting.append(reason)
        self._add_reason(reason, True)

    def note(self, reason: str) -> None:
        """Give the caller a reason that does not make the answer degraded."""
        self._add_reason(reason, False)

    def reuse(self, reason: str, missing: Sequence[str]) -> None:
        """Note that the references are those of an earlier request, whose answer `missing` degraded, like this one."""
        self.reused = True
        self.note(reason)
        for one in missing:
            self.degrade(one, lasts=True)

    def say_who_saw(self, images: int) -> None:
        """Note which models had the request's `images` in their prompts; nobody degrades the answer."""
        what = "image" if images == 1 else f"{images} images"
        saw = list(dict.fromkeys(trace.model for trace in self.agents if trace.images))
        read = list(dict.fromkeys(trace.model for trace in self.agents if not trace.images))
        known = {"images": what, "models": _named(saw), "others": _named(read)}
        if saw:
            self.note(SHOWN_TO_SOME(**known) if read else SHOWN(**known))
        elif self.reused:
            self.note(SHOWN_BEFORE(**known))
        else:
            self.degrade(UNSEEN(**known))

    def _add_reason(self, reason: str, degrades: bool) -> None:
        if reason not in self.reasons:
            self.reasons.append(reason)
            if self.on_reason is not None:
                self.on_reason(reason, degrades)

    @property
    def usage(self) -> TokenUsage:
        """Sum over all agents whose tokens are known.

        An agent that was lost or cancelled, or whose engine does not count, has no count (`None` in its trace). It is
        left out of the sum, like an attempt that another one replaced. The sum is then a lower bound and the report
        gives a reason for it; that alone does not make the answer degraded.
        """
        total = TokenUsage()
        for trace in self.agents:
            if _counted(trace):
                cached, reasoning = trace.usage.cached_tokens or 0, trace.usage.reasoning_tokens or 0
                total += replace(trace.usage, cached_tokens=cached, reasoning_tokens=reasoning)
        return total

    def answered_by(self, usage: TokenUsage | None) -> None:
        """Record the usage of the one call that wrote the answer.

        It is the call whose text or tool calls the caller receives: the final agent's, or the fallback's that replaced
        it; of an answer that is a proposal (a vote, a judge's choice, an agreement, a draft, an accepted first answer,
        the first proposal after a failed aggregation) the proposer's. Of an answer in chunks it is the sum of their
        calls. Its prompt tokens include the references that it
        read, and its completion tokens all samples of the call (`n`). Other attempts of a retried or hedged call are
        not in it, like failed agents before a fallback. `None`: no call of this run wrote the answer, as with a text of
        the recipe itself or a proposal that is kept from an earlier request; the sum of the team takes its place.
        """
        self.answer_usage = usage

    def report(self) -> Report:
        """The report so far, agents ordered by layer and position."""
        ordered = tuple(sorted(self.agents, key=lambda trace: (trace.layer, trace.agent, trace.started_s)))
        team = self.usage
        answer = team if self.answer_usage is None else self.answer_usage
        return Report(self.recipe, self.degraded, tuple(self.reasons), ordered, team, answer)


def _named(models: list[str]) -> str:
    return ", ".join(f"'{model}'" for model in models) or "no model"


def _counted(trace: AgentTrace) -> bool:
    return trace.usage.prompt_tokens is not None and trace.usage.completion_tokens is not None

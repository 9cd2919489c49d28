"""What a run did, agent by agent: the source of usage, trace, metrics and of the word "degraded"."""

from dataclasses import dataclass, field, replace

from serving.types import AgentTrace, Report, TokenUsage


@dataclass
class ReportBuilder:
    recipe: str
    agents: list[AgentTrace] = field(default_factory=list)
    degraded: bool = False
    reasons: list[str] = field(default_factory=list)  # one sentence for each thing that the caller should know

    def add(self, trace: AgentTrace) -> None:
        self.agents.append(trace)
        if trace.shortened:
            self.degrade(f"{trace.shortened} references were shortened to fit the context of '{trace.model}'")
        who = f"layer {trace.layer} {trace.role} '{trace.model}'"
        if trace.outcome not in ("ok", "cancelled"):
            self.degrade(f"{who}: {trace.error or trace.outcome}")
        elif not _counted(trace):
            self._note(f"{who}: its tokens could not be counted, and are not in the usage")
        if trace.uncounted:
            self._note(f"{who}: the tokens of its other attempts could not be counted, and are not in the usage")

    def degrade(self, reason: str) -> None:
        """The answer may be worse than the recipe promises, because of `reason`."""
        self.degraded = True
        self._note(reason)

    def _note(self, reason: str) -> None:
        if reason not in self.reasons:
            self.reasons.append(reason)

    @property
    def usage(self) -> TokenUsage:
        """The sum over all agents.

        An agent that was lost or cut off, or whose engine does not count, has no count (`None` in its trace). It is
        left out of the sum, as is an attempt that another one took the place of. The sum is then a lower bound, and
        the report gives a reason for it; by itself that does not make the answer degraded.
        """
        total = TokenUsage()
        for trace in self.agents:
            if _counted(trace):
                cached = trace.usage.cached_tokens or 0
                total += replace(trace.usage, cached_tokens=cached)
        return total

    def report(self) -> Report:
        ordered = tuple(sorted(self.agents, key=lambda trace: (trace.layer, trace.agent, trace.started_s)))
        return Report(self.recipe, self.degraded, tuple(self.reasons), ordered)


def _counted(trace: AgentTrace) -> bool:
    return trace.usage.prompt_tokens is not None and trace.usage.completion_tokens is not None

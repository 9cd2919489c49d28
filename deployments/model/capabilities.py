"""Capabilities of a model as it is served: tools, thinking, modalities."""

from dataclasses import dataclass

from deployments.model.templates.facts import TemplateFacts
from deployments.model_spec import ModelSpec


@dataclass(frozen=True, slots=True)
class ModelCapabilities:
    """One line each, for people."""

    tools: str
    thinking: str
    modalities: tuple[str, ...]
    notes: tuple[str, ...] = ()  # on what the chat template does not accept as it is


def capabilities(spec: ModelSpec, facts: TemplateFacts | None = None) -> ModelCapabilities:
    """Capabilities that the profile gives a model; `facts`: those of its template, if its tokenizer is at hand."""
    return ModelCapabilities(_tools(spec), _thinking(spec), ("text",), () if facts is None else _notes(spec, facts))


def _tools(spec: ModelSpec) -> str:
    if not spec.accepts_tools:
        return "none"
    return "auto, required, named" if spec.tool_call_parser is not None else "required, named"


def _thinking(spec: ModelSpec) -> str:
    if not spec.thinks:
        return "none"
    if spec.thinking is None:
        return "as the chat template has it"
    ways = [
        *([] if spec.thinking.switch_arg is None else [f"on and off by {spec.thinking.switch_arg}"]),
        *([] if spec.thinking.effort_arg is None else [f"effort by {spec.thinking.effort_arg}"]),
    ]
    return ", ".join([*ways, f"{'on' if spec.thinking.default else 'off'} by default"])


def _notes(spec: ModelSpec, facts: TemplateFacts) -> tuple[str, ...]:
    notes = (
        (spec.accepts_tools and not facts.tools, "the chat template has no tools: the model will not start"),
        (not facts.system, "system texts join the next user message"),
        (facts.system and not facts.later_system, "later system texts join the next user message"),
        (not facts.repeated_user, "consecutive user messages are merged"),
        (not facts.leading_assistant, "an empty user message goes before a leading assistant message"),
        (not facts.final_assistant, "an empty user message goes after a final assistant message"),
        (facts.tool_turns and not facts.parallel_calls, "parallel calls become calls one after the other"),
        (not facts.tool_turns and not facts.tool_turns_without_tools, "conversations with tool calls are refused"),
    )
    return tuple(note for applies, note in notes if applies)

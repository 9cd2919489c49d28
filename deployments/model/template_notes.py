"""Notes for people on what a model's chat template does not accept as callers send it."""

from deployments.model.templates.facts import TemplateFacts
from deployments.model_spec import ModelSpec


def template_notes(spec: ModelSpec, facts: TemplateFacts) -> tuple[str, ...]:
    """Describe what happens to conversations that the template does not accept, in one clause each."""
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

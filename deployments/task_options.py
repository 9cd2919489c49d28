"""Engine options and settings that fit the task of a model: generating text, embedding or ranking."""

from collections.abc import Mapping, Sequence
from typing import Any

from serving.cards import Task

# Options of vLLM's own API server that the replica honours itself; vLLM's engine does not know them.
SERVER_OPTIONS = frozenset(
    {"tool_call_parser", "enable_auto_tool_choice", "chat_template", "default_chat_template_kwargs"}
)
POOLING_OPTIONS = frozenset({"runner", "convert", "pooler_config"})  # of models that embed or rank
GENERATION_OPTIONS = frozenset({*SERVER_OPTIONS, "reasoning_parser"})


def task_problem(model: str, task: Task, options: Mapping[str, Any], settings: Sequence[str]) -> str | None:
    """Sentence for the first option that does not fit; None if all fit.

    Args:
        model: id of the model.
        task: its task.
        options: its `engine_kwargs`.
        settings: names of its other settings that are given and only apply to text generation.
    """
    if task == "generate":
        wrong = sorted(POOLING_OPTIONS & options.keys())
        return f"set task of model '{model}' to embed or rerank; engine_kwargs.{wrong[0]} needs it" if wrong else None
    if "runner" in options:
        return f"remove runner of model '{model}' from engine_kwargs; `task` sets it"
    convert = options.get("convert")
    if convert == ("classify" if task == "embed" else "embed"):
        return f"change engine_kwargs.convert of model '{model}'; {convert} does not fit task: {task}"
    unused = GENERATION_OPTIONS - ({"chat_template"} if task == "rerank" else set())
    given = [*sorted(f"engine_kwargs.{name}" for name in unused & options.keys()), *settings]
    return f"remove {given[0]} of model '{model}'; a model with task: {task} generates no text" if given else None

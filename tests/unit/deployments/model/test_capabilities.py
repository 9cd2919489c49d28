"""Capabilities of models, as `deployments.plan` prints them."""

from typing import Any

import pytest

from deployments.model.capabilities import capabilities
from deployments.model.prompt_renderer import PromptRenderer
from deployments.model_spec import ModelSpec
from tests.support.paths import ROOT


def spec(more: dict[str, Any] | None = None, **options: Any) -> ModelSpec:
    return ModelSpec.model_validate(
        {"id": "m", "source": "x", "engine_kwargs": {"max_model_len": 64, **options}, **(more or {})}
    )


@pytest.mark.parametrize(
    ("model", "tools", "thinking"),
    [
        (spec(), "none", "none"),
        (spec({"tools": True}), "required, named", "none"),
        (spec(tool_call_parser="hermes"), "auto, required, named", "none"),
        (spec(reasoning_parser="qwen3"), "none", "as the chat template has it"),
        (
            spec({"thinking": {"switch_arg": "think", "effort_arg": "effort", "default": False}}, reasoning_parser="x"),
            "none",
            "on and off by think, effort by effort, off by default",
        ),
    ],
)
def test_tools_and_thinking_are_the_profiles(model: ModelSpec, tools: str, thinking: str) -> None:
    found = capabilities(model)
    assert (found.tools, found.thinking, found.modalities, found.notes) == (tools, thinking, ("text",), ())


def test_notes_say_what_the_template_does_not_accept() -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(ROOT / "models" / "tiny" / "weights" / "tiny-mixtral")
    notes = capabilities(spec(), PromptRenderer(tokenizer).facts).notes
    assert "system texts join the next user message" in notes
    assert "consecutive user messages are merged" in notes
    assert "conversations with tool calls are refused" in notes
    assert "the chat template has no tools: the model will not start" not in notes
    assert (
        "the chat template has no tools: the model will not start"
        in capabilities(spec(tool_call_parser="hermes"), PromptRenderer(tokenizer).facts).notes
    )

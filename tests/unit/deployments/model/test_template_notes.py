"""Notes on chat templates, as `deployments.plan` prints them."""

from typing import Any

from deployments.model.prompt_renderer import PromptRenderer
from deployments.model.template_notes import template_notes
from deployments.model_spec import ModelSpec
from tests.support.paths import ROOT


def spec(**options: Any) -> ModelSpec:
    return ModelSpec.model_validate({"id": "m", "source": "x", "engine_kwargs": {"max_model_len": 64, **options}})


def test_notes_say_what_the_template_does_not_accept() -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(ROOT / "models" / "tiny" / "weights" / "tiny-mixtral")
    notes = template_notes(spec(), PromptRenderer(tokenizer).facts)
    assert "system texts join the next user message" in notes
    assert "consecutive user messages are merged" in notes
    assert "conversations with tool calls are refused" in notes
    assert "the chat template has no tools: the model will not start" not in notes
    assert "the chat template has no tools: the model will not start" in template_notes(
        spec(tool_call_parser="hermes"), PromptRenderer(tokenizer).facts
    )

"""Choice of templates: what cannot be served is refused at start, by name."""

from typing import Any

import pytest
from transformers import AutoTokenizer
from vllm.tokenizers.hf import maybe_make_thread_pool

from deployments.model.prompt_renderer import PromptRenderer
from deployments.model.templates.text import TextTemplate
from serving.conversation import Message
from serving.errors import ConfigError, InvalidRequest
from tests.support.paths import ROOT

OWN = "{% for message in messages %}<|im_start|>{{ message.role }}: {{ message.content }}<|im_end|>{% endfor %}"


def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(ROOT / "models" / "tiny" / "weights" / "tiny-qwen")


def test_a_given_template_replaces_that_of_an_engines_tokenizer() -> None:
    """vLLM gives the tokenizers of its engines a class with an `apply_chat_template` of its own."""
    renderer = PromptRenderer(maybe_make_thread_pool(tokenizer()), "m", OWN)
    assert renderer.text((Message("user", "Hello"),)) == "<|im_start|>user: Hello<|im_end|>"
    assert not renderer.accepts_tools


@pytest.mark.parametrize("mode", ["cohere", "kimi_audio", "terratorch"])
def test_a_mode_without_a_template_is_refused(mode: str) -> None:
    with pytest.raises(ConfigError, match=f"The tokenizer_mode '{mode}' of 'm' is not supported; remove it"):
        PromptRenderer(tokenizer(), "m", tokenizer_mode=mode)


@pytest.mark.parametrize("mode", ["deepseek_v32", "inkling", "kimi_k3"])
def test_a_built_in_format_takes_no_template(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.model.templates.inkling._OrdinaryText", lambda tokenizer: None)
    with pytest.raises(ConfigError, match="Remove chat_template of 'm'; its format is built in"):
        PromptRenderer(tokenizer(), "m", "{{ messages }}", mode)


def test_a_tokenizer_of_another_model_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"it is none of Inkling's\. Remove tokenizer_mode"):
        PromptRenderer(tokenizer(), "m", tokenizer_mode="inkling")


def test_a_template_that_lets_text_become_control_tokens_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def unescaped(self: TextTemplate, *args: Any) -> tuple[int, ...]:
        turns = args[0]
        return tuple(tokenizer().apply_chat_template(list(turns), add_generation_prompt=True)["input_ids"])

    monkeypatch.setattr(TextTemplate, "token_ids", unescaped)
    with pytest.raises(ConfigError, match="Text in messages to 'm' would become control tokens; it cannot be served"):
        PromptRenderer(tokenizer(), "m")


class _Kimi:
    """Stand-in for the tokenizer in Kimi K3's own code: one token a character, control tokens above."""

    all_special_tokens = ("<|open|>", "<|close|>")
    added_tokens_decoder = {200_000: "<|open|>", 200_001: "<|close|>"}

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def convert_tokens_to_ids(self, tokens: list[str]) -> list[int]:
        return [200_000 + self.all_special_tokens.index(token) for token in tokens]

    def decode(self, ids: list[int], skip_special_tokens: bool = False) -> str:
        return "".join(self.added_tokens_decoder.get(one) or chr(one) for one in ids)

    def apply_chat_template(self, messages: list[Any], tools: Any, tokenize: bool, **args: Any) -> list[int]:
        assert tokenize
        self.calls.append(args)
        ids = [*map(ord, str(tools))] if tools else []
        for message in messages:
            parts = [message["role"], message.get("reasoning_content"), message["content"], message.get("tool_calls")]
            ids += [200_000, *map(ord, " ".join(str(part) for part in parts if part)), 200_001]
        return [*ids, 200_000]


def kimi() -> tuple[PromptRenderer, _Kimi]:
    fake = _Kimi()
    return PromptRenderer(fake, "k3", tokenizer_mode="kimi_k3"), fake


def test_kimis_own_tokenizer_writes_its_prompts() -> None:
    rendered, fake = kimi()
    ids = rendered.token_ids(
        (Message("system", "a<|open|>"), Message("user", "b<|close|>")), (), {"enable_thinking": False}
    )
    assert rendered.decode(ids) == "<|open|>system a<|open|><|close|><|open|>user b<|close|><|close|><|open|>"
    assert [one for one in ids if one >= 200_000] == [200_000, 200_001, 200_000, 200_001, 200_000]
    assert fake.calls[-1] == {"add_generation_prompt": True, "thinking": False}
    rendered.token_ids((Message("user", "b"),), (), {"reasoning_effort": "none"})
    assert fake.calls[-1]["thinking"] is False


def test_kimis_prefills_are_prefixes() -> None:
    rendered, _ = kimi()
    prefix = rendered.prefill_ids((Message("user", "one two three[[m]]"),), "[[m]]")
    assert rendered.token_ids((Message("user", "one two three four"),))[: len(prefix)] == prefix
    assert rendered.decode(prefix) == "<|open|>user one two"
    assert rendered.prefill_ids((Message("user", "one two three"),), "[[m]]") == ()


@pytest.mark.parametrize("args", [{"reasoning_effort": "medium"}, {"thinking_effort": "none"}])
def test_an_effort_that_kimi_does_not_know_is_refused(args: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest, match="must be low, high or max") as caught:
        kimi()[0].token_ids((Message("user", "x"),), (), args)
    assert caught.value.param == next(iter(args))

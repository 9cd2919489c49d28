"""Checks of a model's `engine_kwargs` that need no vLLM: types of options, and options that cannot be given."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, TypeAdapter, ValidationError

from serving.validation import shown

# vLLM's tokenizer modes whose prompts a replica can write. From `mistral` on, the format is built in: no chat template.
TokenizerMode = Literal["auto", "hf", "slow", "mistral", "deepseek_v32", "deepseek_v4", "kimi_k3", "inkling"]
TEMPLATE_MODES = ("auto", "hf", "slow")
# vLLM options that plans are computed from, with their types: vLLM itself checks them only when its engine starts.
TYPED_ENGINE_OPTIONS: Mapping[str, tuple[TypeAdapter[Any], str]] = {
    **{
        name: (TypeAdapter(Annotated[int, Field(ge=1)]), "an integer above 0")
        for name in (
            "max_model_len",
            "tensor_parallel_size",
            "pipeline_parallel_size",
            "max_num_seqs",
            "kv_cache_memory_bytes",
            "max_loras",
            "max_cpu_loras",
            "max_lora_rank",
        )
    },
    "gpu_memory_utilization": (TypeAdapter(Annotated[float, Field(gt=0, le=1)]), "a number above 0 and at most 1"),
    **{
        name: (TypeAdapter(Annotated[str, Field(min_length=1)]), "a text")
        for name in ("reasoning_parser", "tool_call_parser", "chat_template")
    },
    "enable_auto_tool_choice": (TypeAdapter(Annotated[bool, Field(strict=True)]), "true or false"),
    "default_chat_template_kwargs": (TypeAdapter(dict[str, Any]), "a mapping of names to values"),
    "tokenizer_mode": (TypeAdapter(TokenizerMode), f"one of {', '.join(get_args(TokenizerMode))}"),
}


def typed_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """`options` with those of `TYPED_ENGINE_OPTIONS` in their types. Raises `ValueError` for a wrong value."""
    typed = {}
    for name in TYPED_ENGINE_OPTIONS.keys() & options.keys():
        adapter, noun = TYPED_ENGINE_OPTIONS[name]
        try:
            typed[name] = adapter.validate_python(options[name])
        except ValidationError:
            raise ValueError(f"{name} must be {noun}, not {shown(options[name])}") from None
    return {**options, **typed}


def options_problem(model: str, options: Mapping[str, Any]) -> str | None:
    """Sentence for the first option that no model can have, or that is missing; None if all are right.

    Args:
        model: id of the model.
        options: its `engine_kwargs`, typed.
    """
    if reserved := {"model", "served_model_name"} & set(options):
        return f"remove {sorted(reserved)} from engine_kwargs; 'id' and 'source' set them"
    if "max_model_len" not in options:
        return f"set engine_kwargs.max_model_len of model '{model}' to its context length in tokens"
    mode = options.get("tokenizer_mode", "auto")
    if "chat_template" in options and mode not in TEMPLATE_MODES:
        return f"remove chat_template of model '{model}'; tokenizer_mode {mode} has a built-in format"
    if options.get("skip_tokenizer_init"):
        return f"remove skip_tokenizer_init of model '{model}'; its prompts need the tokenizer"
    grammars = options.get("structured_outputs_config") or {}
    backend = grammars.get("backend", "auto") if isinstance(grammars, Mapping) else "auto"
    if backend not in ("auto", "xgrammar"):
        return f"set structured_outputs_config.backend of model '{model}' to xgrammar: grammars are checked for it"
    return None


def unknown_parser(model: str, option: str, name: str, known: Iterable[str]) -> str:
    """Sentence for a parser that vLLM does not have, with the most similar names."""
    names = sorted(known)
    nearest = get_close_matches(name, names, 3, cutoff=0.4) or names
    return f"vLLM has no {option} '{name}' (engine_kwargs of '{model}'); choose one of: {', '.join(nearest)}."

"""Models of a replica's LoRA adapters: loaded into its engine, over the format and the parsers of the base model."""

from collections.abc import Mapping

from deployments.adapter_files import AdapterFiles
from deployments.adapter_fit import check_fit
from deployments.model.prompt_renderer import PromptRenderer
from deployments.model.served_model import ServedModel
from deployments.model.vllm_adapter import VllmAdapter
from deployments.model_spec import ModelSpec
from serving.errors import ConfigError


async def load_adapters(
    spec: ModelSpec, files: Mapping[str, AdapterFiles], engine: VllmAdapter, base: ServedModel
) -> dict[str | None, ServedModel]:
    """Load the adapters of a model into its engine.

    Args:
        spec: The model.
        files: The adapters' files, by id.
        engine: Engine of the replica.
        base: The model over this engine.

    Returns:
        The adapters as models, by id.

    Raises:
        ConfigError: an adapter does not fit the model, vLLM cannot load it, or its chat template does not fit.
    """
    models: dict[str | None, ServedModel] = {}
    for number, (adapter, served) in enumerate(zip(spec.adapters, spec.as_adapters, strict=True), start=1):
        found = files[adapter.id]
        check_fit(adapter, found, spec.id, engine.layer_sizes, {})
        renderer = None
        if found.chat_template is not None and spec.takes_template:
            renderer = _renderer(found.chat_template, served, engine, base)
        parsers = engine.output_parsers(
            spec.reasoning_parser, spec.tool_call_parser, strict_tools=spec.strict_tools, model=adapter.id
        )
        lora = await engine.add_adapter(adapter.id, number, found.folder)
        models[adapter.id] = base.adapted(served, parsers, lora, renderer)
    return models


def _renderer(template: str, served: ModelSpec, engine: VllmAdapter, base: ServedModel) -> PromptRenderer:
    """Writer of prompts in the adapter's own template, which must have all that the model's has."""
    try:
        renderer = PromptRenderer(
            engine.tokenizer,
            served.id,
            template,
            engine.tokenizer_mode,
            engine.model_type,
            None if base.images is None else base.images.placeholder,
        )
    except ConfigError as error:
        raise ConfigError(
            f"The chat template in the folder of the adapter '{served.id}' cannot be used; correct it, or set"
            f" chat_template: base. ({error})"
        ) from error
    missing = "tools" if served.accepts_tools and not renderer.accepts_tools else ""
    missing = missing or ("images" if served.sees and not renderer.accepts_images else "")
    if missing:
        raise ConfigError(
            f"The chat template in the folder of the adapter '{served.id}' has no {missing}; set its"
            " chat_template: base."
        )
    return renderer

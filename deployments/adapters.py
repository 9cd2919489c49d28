"""LoRA adapters of a model on the machine that loads them: their files, their ranks, and whether they fit the model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deployments.adapter_files import AdapterFiles, read_adapter
from deployments.adapter_fit import Shapes, check_fit, model_config, model_shapes
from deployments.adapter_spec import needed_rank
from deployments.model_spec import ModelSpec
from serving.errors import ConfigError


def local_folders(model: ModelSpec) -> dict[str, Path]:
    """Folders of the adapters whose sources are folders of this machine, by id; a folder may be missing."""
    return {one.id: one.folder for one in model.adapters if one.names_folder or one.path is not None}


def check_adapters(model: ModelSpec, folders: Mapping[str, Path], where: str = "") -> dict[str, AdapterFiles]:
    """Read and check the adapters of a model.

    Args:
        model: The model.
        folders: Folders of the adapters to check, by id.
        where: Place for the sentences, with a space before it, such as " on node a".

    Returns:
        The adapters' files, by id.

    Raises:
        ConfigError: an adapter's files are missing or wrong, or it does not fit the model or its `max_lora_rank`.
    """
    found = {one.id: read_adapter(one, folders[one.id], where) for one in model.adapters if one.id in folders}
    most = model.engine_kwargs.get("max_lora_rank")
    config: Mapping[str, Any] = {}
    shapes: Shapes = {}
    if found and model.path is not None:
        config, shapes = model_config(model.path), model_shapes(model.path)
    for adapter in model.adapters:
        if (files := found.get(adapter.id)) is None:
            continue
        if most is not None and files.rank > most:
            raise ConfigError(
                f"The adapter '{adapter.id}' has the rank {files.rank}, but engine_kwargs.max_lora_rank of '{model.id}'"
                f" is {most}; set it to {needed_rank([files.rank])}, or remove it."
            )
        check_fit(adapter, files, model.id, config, shapes)
    return found

"""Folders of weights: their check on the machine that loads them."""

from deployments.model_spec import ModelSpec
from serving.errors import ConfigError


def check_weights(model: ModelSpec, where: str = "") -> None:
    """Check that the folder of the model's weights is on this machine and not empty, if its source names a folder.

    Args:
        model: The model to be loaded.
        where: Place for the sentence, with a space before it, such as " on node a".

    Raises:
        ConfigError: the folder is missing or empty.
    """
    path = model.path
    if path is None and model.fetch_command is not None:
        raise ConfigError(f"The weights of '{model.id}' are not there yet; run: {model.fetch_command}")
    if not model.names_folder:
        return
    if path is None:
        raise ConfigError(
            f"The folder '{model.source}' with the weights of '{model.id}' does not exist{where}; correct its source."
        )
    if not any(path.iterdir()):
        raise ConfigError(
            f"The folder '{model.source}' with the weights of '{model.id}' is empty{where}; copy the weights to it, or"
            " correct its source."
        )

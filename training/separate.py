"""Profile of an iteration in which only the trained recipe asks the trained weights."""

from pathlib import Path

from training.errors import TrainingError
from training.profiles import separate_profile, write_profile
from training.state import RunState

FILE = "separate.yaml"  # in the folder of the iteration


def write_separate(directory: Path, state: RunState, number: int, out: Path | None = None) -> Path:
    """Write the profile of a finished iteration to `out`, by default in the iteration's folder; returns its path.

    Raises:
        TrainingError: no model is trained, or `separate_profile` refuses the profile.
    """
    weights = {model: Path(folder) for model, folder in state.weights_before(number + 1).items()}
    if not weights:
        raise TrainingError(
            f"Iteration {number} of '{directory}' has no trained weights to separate; leave out --separate, or choose"
            " a later iteration."
        )
    settings = state.settings
    version = state.version(number)
    raw = separate_profile(str(settings["profile"]), str(settings["recipe"]), weights, version, number)
    path = out or directory / f"iteration-{number}" / FILE
    write_profile(path, raw)
    return path

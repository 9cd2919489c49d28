"""The package's profiles, for tests without the weights that a command fetches."""

from deployments.config import Profile, load_profile

STAND_IN = {"source": "models/tiny/weights/tiny-llama"}


def runnable(name: str) -> Profile:
    """The profile, with weights of the repository in place of those of models with a `fetch_command`."""
    profile = load_profile(name)
    models = tuple(model.model_copy(update=STAND_IN if model.fetch_command else {}) for model in profile.models)
    return profile.model_copy(update={"models": models})

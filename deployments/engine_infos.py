"""Abilities of a profile's models for a repetition of a run, in which each sample is a call of its own."""

from deployments.config import Profile
from serving.engine import EngineInfo


def engine_infos(profile: Profile) -> dict[str, EngineInfo]:
    """Abilities of all models, as the server's orchestrator has them but for "n", by id."""
    own = {
        model.id: EngineInfo(
            model.context_tokens,
            model.replicas.min,
            model.unsupported | {"n"},  # one call per sample, so that each has its own place
            model.accepts_tools,
            model.thinks,
            modalities=model.modalities,
        )
        for model in profile.generating
    }
    others = {
        model.id: EngineInfo(
            model.context_tokens,
            None,
            model.unsupported_abilities | {"n"},
            modalities=model.modalities,
            thinking=True,
        )
        for model in profile.external
    }
    return own | others

"""The setting `batches.enabled` of a profile, and the parts that follow from it."""

from collections.abc import Mapping

from deployments.config import Profile
from serving.batches.service import Batches
from serving.errors import ConfigError
from serving.store.settings import StoreSettings
from serving.store.store import Store


def with_batches(profile: Profile, environment: Mapping[str, str], *, local: bool) -> Profile:
    """`profile` with its setting `batches.enabled` decided: unless it is given, on if all replicas share the store.

    Args:
        profile: of the server.
        environment: of the replicas, beside the profile's `env`.
        local: the server runs on this machine alone.

    Raises:
        ConfigError: the setting is on, and batches cannot work.
    """
    given = profile.batches.enabled
    problem = _problem(profile, {**environment, **profile.env}, local=local)
    if given and problem is not None:
        raise ConfigError(problem)
    enabled = problem is None if given is None else given
    return profile.model_copy(update={"batches": profile.batches.model_copy(update={"enabled": enabled})})


def batches_of(profile: Profile, store: Store | None, *, works: bool) -> Batches | None:
    """Files and batches of a profile after `with_batches`; None if it has none. `works`: see `Batches`.

    Raises:
        ConfigError: `batches.files` cannot be used.
    """
    if store is None or not profile.batches.enabled:
        return None
    return Batches(profile.batches, profile.store, store, works=works)


def _problem(profile: Profile, environment: Mapping[str, str], *, local: bool) -> str | None:
    """A sentence if batches cannot work."""
    store: StoreSettings = profile.store
    if not store.enabled:
        return "Set store.enabled to true: batches are kept in the store."
    if local:
        return None
    if not environment.get(store.database_env, "").strip():
        return f"Set {store.database_env} to the address of a PostgreSQL database: batches need one for all nodes."
    if profile.batches.files is None:
        return "Set batches.files to s3://BUCKET/PREFIX, or to file:///FOLDER on a volume that all nodes share."
    return None

"""The setting `batches.enabled`, decided from where the server runs."""

from typing import Any

import pytest

from deployments.batch_spec import BatchSpec
from deployments.batches_setting import batches_of, with_batches
from deployments.config import Profile, load_profile
from serving.errors import ConfigError
from serving.store.settings import StoreSettings
from serving.store.store import Store

DATABASE = {"MOA_DATABASE_URL": "postgresql://host/name"}
TINY = load_profile("tiny")


def profile(*, store: bool = True, **batches: Any) -> Profile:
    return TINY.model_copy(update={"batches": BatchSpec(**batches), "store": StoreSettings(enabled=store)})


@pytest.mark.parametrize(
    ("given", "environment", "local", "expected"),
    [
        (profile(), {}, True, True),
        (profile(enabled=False), {}, True, False),
        (profile(store=False), {}, True, False),
        (profile(), {}, False, False),
        (profile(), DATABASE, False, False),
        (profile(files="s3://bucket/moa"), {}, False, False),
        (profile(files="s3://bucket/moa"), DATABASE, False, True),
        (profile(files="s3://bucket/moa", enabled=False), DATABASE, False, False),
    ],
)
def test_batches_are_on_where_all_replicas_share_the_store(
    given: Profile, environment: dict[str, str], local: bool, expected: bool
) -> None:
    assert with_batches(given, environment, local=local).batches.enabled is expected


def test_the_profiles_own_variables_count() -> None:
    own = profile(enabled=True, files="s3://bucket/moa").model_copy(update={"env": DATABASE})
    assert with_batches(own, {}, local=False).batches.enabled


@pytest.mark.parametrize(
    ("given", "environment", "local", "named"),
    [
        (profile(enabled=True, store=False), {}, True, "store.enabled"),
        (profile(enabled=True, files="s3://bucket/moa"), {}, False, "MOA_DATABASE_URL"),
        (profile(enabled=True), DATABASE, False, "batches.files"),
    ],
)
def test_what_cannot_work_is_refused(given: Profile, environment: dict[str, str], local: bool, named: str) -> None:
    with pytest.raises(ConfigError, match=f"Set {named}"):
        with_batches(given, environment, local=local)


async def test_there_are_none_without_a_store_or_before_the_decision() -> None:
    store = Store(StoreSettings(), environment={})
    assert batches_of(profile(), store, works=True) is None
    assert batches_of(profile(enabled=True), None, works=True) is None
    batches = batches_of(profile(enabled=True), store, works=True)
    assert batches is not None
    assert batches.works
    with pytest.raises(ConfigError, match=r"batches\.files"):
        batches_of(profile(enabled=True, files="gs://bucket"), store, works=False)
    await store.close()

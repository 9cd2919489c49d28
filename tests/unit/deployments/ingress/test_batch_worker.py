"""The deployment that answers lines of batches."""

from pathlib import Path
from typing import Any

from deployments.app import build
from deployments.batch_spec import BatchSpec
from deployments.config import AppArgs, Profile, load_profile
from deployments.ingress.batch_worker import BatchWorker, worker_options
from serving.store.settings import StoreSettings
from tests.unit.deployments.ingress.test_remote_pooling import Handle

TINY = load_profile("tiny")


def profile(folder: Path, **batches: Any) -> Profile:
    store = StoreSettings(path=str(folder / "store.sqlite"), timeout_s=20)
    return TINY.model_copy(update={"batches": BatchSpec(**batches), "store": store})


def bound(profile: Profile) -> dict[str, Any]:
    """Handles of the ingress on a cluster with a database."""
    shared = profile.model_copy(update={"env": {"MOA_DATABASE_URL": "postgresql://host/name"}})
    handles: Any = build(shared, AppArgs(), local=False)._bound_deployment.init_kwargs
    return handles


def test_it_is_part_of_the_application_where_batches_are_on(tmp_path: Path) -> None:
    assert "batches" in bound(profile(tmp_path, files=tmp_path.as_uri()))
    assert "batches" not in bound(profile(tmp_path))


def test_it_needs_no_gpu_and_is_one() -> None:
    options = worker_options(TINY.model_copy(update={"batches": BatchSpec(num_cpus=0.5, resources={"moa-batches": 1})}))
    assert (options["name"], options["num_replicas"]) == ("batches", 1)
    actor = options["ray_actor_options"]
    assert (actor["num_cpus"], actor["resources"]) == (0.5, {"moa-batches": 1})
    assert "num_gpus" not in actor


async def test_it_works_from_its_start_to_its_end(tmp_path: Path) -> None:
    handles: dict[str, Any] = {f"model_{number}": Handle() for number in range(len(TINY.models))}
    for handle in handles.values():
        handle.gives = [0]  # the health check at the start
    worker = BatchWorker.__new__(BatchWorker)
    await worker.__init__(profile(tmp_path, enabled=True), **handles)
    assert (tmp_path / "store.sqlite").exists()
    await worker.__del__()
    assert worker.__del__() is None  # by Python, when the object goes

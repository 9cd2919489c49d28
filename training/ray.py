"""Training on a Ray cluster: one job on several workers of Ray Train."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.errors import TrainingError
from training.job import TrainingJob, finished_result, run_job


def run_on_ray(job: TrainingJob, workers: int) -> dict[str, float]:
    """Train on `workers` workers of the cluster of `RAY_ADDRESS`, or of a local one; as `run_job`.

    Each worker has a GPU if the cluster has any, else a CPU. Data, weights and `out` must be at the same path on every
    node: a shared file system. The workers share each step's batch: a step has `workers` times `batch_size` examples.

    Raises:
        TrainingError: Ray Train is not installed, or the training failed.
    """
    try:
        import ray
        from ray.train import ScalingConfig
        from ray.train.torch import TorchTrainer
    except ImportError as error:
        raise TrainingError(f"Ray Train is not installed ({error}); leave out --ray-workers.") from None

    ours = not ray.is_initialized()
    if ours:
        if address := os.environ.get("RAY_ADDRESS"):
            ray.init(address=address)
        else:
            ray.init(num_cpus=workers + 1, include_dashboard=False)  # one CPU is Ray Train's own controller's
    try:
        gpus = ray.cluster_resources().get("GPU", 0) > 0  # type: ignore[no-untyped-call]
        trainer = TorchTrainer(
            _worker,
            train_loop_config={"job": job.model_dump(), "folder": str(Path.cwd())},
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpus),
        )
        trainer.fit()
    except Exception as error:
        last = str(error).strip().rpartition("\n")[2]  # of a traceback of a worker
        raise TrainingError(f"The training on Ray failed: {last or type(error).__name__}") from error
    finally:
        if ours:
            ray.shutdown()
    result = finished_result(job)
    assert result is not None  # the first worker wrote it
    return result


def _worker(config: Mapping[str, Any]) -> None:
    """Run the job in one worker: TRL finds the others by the variables that Ray Train sets."""
    os.chdir(config["folder"])
    run_job(TrainingJob.model_validate(config["job"]))

"""Settings of batches on a cluster."""

from collections.abc import Mapping

from pydantic import Field

from serving.batches.settings import BatchSettings


class BatchSpec(BatchSettings):
    """Files and batches, and the deployment that answers their lines."""

    num_cpus: float = Field(default=0, ge=0, description="CPUs that Ray reserves for the worker.")
    resources: Mapping[str, float] = Field(
        default_factory=dict, description="Custom Ray resources that the worker's node must have."
    )

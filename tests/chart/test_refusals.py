"""Values that cannot work are refused before anything reaches a cluster, with the field's name."""

import pytest
from render import MATRIX, helm

REFUSED = {
    "an unknown key": ("modles.x=1", "modles"),
    "a typo deep inside": ("autoscaler.idleTimeoutSecond=3", "idleTimeoutSecond"),
    "a typo in a model": ("models.mixtral-8x7b.gpu=2", "gpu"),
    "a typo in a team": ("team.agregator=x", "agregator"),
    "a wrong type": ("orchestrator.replicas.min=two", "orchestrator.replicas.min"),
    "a number as text": ("models.mixtral-8x7b.gpus=two", "models.mixtral-8x7b.gpus"),
    "two weight sources": ("weights.pvc.claimName=weights", "weights.pvc.claimName"),
    "S3 without a bucket": ("weights.s3.uri=", "weights.s3.uri"),
    "PVC without a claim": ("weights.source=pvc,weights.s3.uri=", "weights.pvc.claimName"),
    "a disk for weights that is too small": (
        "weights.source=nvme,weights.nvme.sizeLimit=60Gi", "weights.nvme.sizeLimit is 60Gi, below the 73 GiB of",
    ),
    "memory that cannot load a model": (
        "models.mixtral-8x7b.resources.memory=40Gi",
        "models.mixtral-8x7b.resources.memory is 40Gi, below the 48 GiB that its engine needs while it loads:"
        " raise it, or lower weights.s3.bufferGiB",
    ),
    "memory that cannot load a model from a claim": (
        "weights.source=pvc,weights.pvc.claimName=w,weights.s3.uri=,models.mixtral-8x7b.resources.memory=31G",
        "below the 32 GiB that its engine needs while it loads: raise it.",
    ),
    "an adapter without a rank": ("models.mixtral-8x7b.adapters.sql.description=x", "rank"),
    "an adapter with a path": ("models.mixtral-8x7b.adapters.sql.path=x", "path"),
    "a rank that vLLM has not": ("models.mixtral-8x7b.adapters.sql.rank=513", "rank"),
    "an adapter with a model's id": (
        "models.mixtral-8x7b.adapters.llama-3\\.1-70b.rank=8", "two models or adapters have one id (llama-3.1-70b",
    ),
    "an adapter of a model that embeds": (
        "models.mixtral-8x7b.task=embed,models.mixtral-8x7b.adapters.sql.rank=8",
        "models.mixtral-8x7b.adapters: a model whose task is embed can have none, remove them",
    ),
    "an adapter that the hub lacks": (
        "weights.source=hub,weights.s3.uri=,models.mixtral-8x7b.adapters.sql.rank=8",
        "models.mixtral-8x7b.adapters.sql.hub is missing: weights.source is hub",
    ),
    "adapters of experts of unknown width": (
        "models.mixtral-8x7b.adapters.sql.rank=8,models.mixtral-8x7b.shape.activeParameters=12879925248",
        "models.mixtral-8x7b.shape.linearWidth is missing",
    ),
    "a number of adapters without any": (
        "models.mixtral-8x7b.engineKwargs.max_loras=2", "engineKwargs.max_loras is set, but the model has no adapters",
    ),
    "a rank that the chart computes": ("models.mixtral-8x7b.engineKwargs.max_lora_rank=8", "max_lora_rank"),
    "memory without room for adapters": (
        "models.mixtral-8x7b.adapters.sql.rank=512,models.mixtral-8x7b.resources.memory=48Gi",
        "GiB that its engine needs while it loads",
    ),
    "an unknown weight source": ("weights.source=floppy", "weights.source"),
    "a grace that spot does not give": ("shutdown.graceSeconds=180", "shutdown.graceSeconds"),
    "a grace shorter than the drain": ("shutdown.drainSeconds=105", "shutdown.graceSeconds is 110"),
    "more replicas at least than at most": ("models.mixtral-8x7b.replicas.min=5", "above max (2)"),
    "a floor above the least": ("models.mixtral-8x7b.replicas.onDemandFloor=2", "onDemandFloor is 2"),
    "a team member that is not there": ("team.aggregator=gpt", "team names 'gpt'"),
    "a team member that embeds": ("models.mixtral-8x7b.task=embed", "team names 'mixtral-8x7b', whose task is embed"),
    "an unknown task": ("models.mixtral-8x7b.task=chat", "task"),
    "a judge that is not there": ("team.judge=gpt", "team names 'gpt'"),
    "a solo that is not there": ("team.solo=gpt", "team names 'gpt'"),
    "a name too long for KubeRay": (f"fullnameOverride={'m' * 48}", "fullnameOverride"),
    "an upgrade without the service that everything names": (
        "upgrade.strategy=NewClusterWithIncrementalUpgrade",
        "upgrade.strategy is NewClusterWithIncrementalUpgrade, with which KubeRay makes no service moa-serve-svc",
    ),
    "an ingress for every host": ("ingress.enabled=true", "ingress.host"),
    "a vLLM option that the chart sets": ("models.mixtral-8x7b.engineKwargs.load_format=x", "load_format"),
    "a setting of the API that there is not": ("api.settings.cors_origin[0]=*", "cors_origin"),
    "a setting of the API that the chart sets": ("api.settings.deadline_s=5", "deadline_s"),
    "a setting of a wrong type": ("orchestrator.settings.session_affinity.enabled=maybe", "enabled"),
    "a setting of a model that the chart sets": ("models.mixtral-8x7b.settings.source=x", "source"),
    "an image digest that is none": ("image.digest=latest", "image.digest"),
    "a label that Kubernetes refuses": ("costLabels.team=a b", "costLabels.team"),
    "no account for the pods": ("serviceAccount.create=false", "serviceAccount.name"),
}  # fmt: skip


@pytest.mark.parametrize(("pair", "named"), REFUSED.values(), ids=REFUSED.keys())
def test_is_refused_with_its_name(pair: str, named: str) -> None:
    result = helm("template", "moa", sets=(pair,), check=False)
    assert result.returncode != 0
    assert named in result.stderr


@pytest.mark.parametrize("case", MATRIX)
def test_every_supported_combination_is_taken(case: str) -> None:
    files, sets = MATRIX[case]
    assert helm("template", "moa", files=files, sets=sets).returncode == 0


def test_a_release_name_that_is_too_long_is_cut() -> None:
    out = helm("template", "m" * 53).stdout
    assert f"name: {'m' * 47}\n" in out

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
    "a budget below nothing": ("monitoring.rules.usdPerMonth=-1", "usdPerMonth"),
    "a budget in words": ("monitoring.rules.usdPerMonth=much", "usdPerMonth"),
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
    "Redis without a database": (
        "store.redis.existingSecret=r",
        "store.redis.existingSecret: set store.database.existingSecret, too: Redis keeps only what expires.",
    ),
    "a database's path": ("store.settings.path=/data/x", "path"),
    "an adapter without a rank": ("models.mixtral-8x7b.adapters.sql.description=x", "rank"),
    "an adapter with a path": ("models.mixtral-8x7b.adapters.sql.path=x", "path"),
    "a rank that vLLM has not": ("models.mixtral-8x7b.adapters.sql.rank=513", "rank"),
    "an adapter with a model's id": (
        "models.qwen2\\.5-72b.adapters.llama-3\\.1-70b.rank=8", "two models or adapters have one id (llama-3.1-70b",
    ),
    "an adapter of a model that embeds": (
        "models.mixtral-8x7b.task=embed,models.mixtral-8x7b.adapters.sql.rank=8",
        "models.mixtral-8x7b.adapters: a model whose task is embed can have none, remove them",
    ),
    "an adapter that the hub lacks": (
        "weights.source=hub,weights.s3.uri=,models.llama-3\\.1-70b.adapters.sql.rank=8",
        "models.llama-3.1-70b.adapters.sql.hub is missing: weights.source is hub",
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
        "models.llama-3\\.1-70b.adapters.sql.rank=512,models.llama-3\\.1-70b.resources.memory=48Gi",
        "GiB that its engine needs while it loads",
    ),
    "batches without a place for files": ("batches.enabled=true", "batches.files is missing: set it to s3://"),
    "batches without a database": (
        "batches.enabled=true,batches.files=s3://b/p", "batches.enabled: set store.database.existingSecret, too",
    ),
    "a judge without a name": ("quality.sample=0.5,quality.jugde=x", "jugde"),
    "batches in another store": ("batches.files=gs://bucket/x", "batches.files"),
    "batches of a profile that the chart does not write": (
        "profile=tiny,weights.source=image,weights.s3.uri=,batches.enabled=true,batches.files=s3://b/p",
        "batches.enabled has no effect on the profile tiny",
    ),
    "an unknown setting of batches": ("batches.settings.max_conc=3", "max_conc"),
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
    "a secret that nobody makes": (
        "auth.generate=never,auth.apiKey.value=key,auth.ray.existingSecret=ray",
        "auth.generate is never, but gcs.redis.existingSecret names no secret: name one.",
    ),
    "an unknown maker of secrets": ("auth.generate=argocd", "auth.generate"),
    "a report for nobody": (
        "report.schedule=@daily", "report.schedule is set, but report.webhookSecret names no secret: name one",
    ),
    "a report of no records": (
        "report.schedule=@daily,report.webhookSecret=chat",
        "report.schedule is set, but store.database.existingSecret names no secret",
    ),
    "a report of an hour": ("report.period=hour", "report.period"),
    "a time that is none": ("schedule.suspend=20:00", "schedule.suspend"),
    "a schedule of a service that is stopped": (
        "suspend=true,schedule.resume=0 6 * * *", "suspend is true, but schedule stops and starts the service itself:",
    ),
    "jobs without accounts": (
        "serviceAccount.create=false,serviceAccount.name=w,serviceAccount.headName=h,auth.generate=job",
        "serviceAccount.create is false, but auth.generate: job needs a job with an account of its own",
    ),
    "a variable that the chart sets": (
        "head.pod.extraEnv[0].name=HF_HOME", "head.pod.extraEnv sets HF_HOME, which is set already: remove it.",
    ),
    "a variable that KubeRay sets": ("pods.extraEnv[0].name=RAY_AUTH_MODE", "pods.extraEnv sets RAY_AUTH_MODE, which"),
    "a variable that is set twice": (
        "pods.extraEnv[0].name=A,orchestrator.pod.extraEnv[0].name=A", "orchestrator.pod.extraEnv sets A, which",
    ),
    "a variable that is a number": ("pods.extraEnv[0].name=A,pods.extraEnv[0].value=1", "pods.extraEnv.0.value"),
    "a volume that the chart has": (
        "models.mixtral-8x7b.pod.extraVolumes[0].name=compile-cache,models.mixtral-8x7b.pod.extraVolumes[0].emptyDir.medium=Memory",
        "models.mixtral-8x7b.pod.extraVolumes has a volume compile-cache, which exists already: rename it.",
    ),
    "a volume of another weights source": (
        "pods.extraVolumes[0].name=weights,pods.extraVolumes[0].emptyDir.medium=Memory", "has a volume weights",
    ),
    "a volume without a source": ("pods.extraVolumes[0].name=a", "pods.extraVolumes.0"),
    "a mount of no volume": (
        "gcs.redis.pod.extraVolumeMounts[0].name=a,gcs.redis.pod.extraVolumeMounts[0].mountPath=/a",
        "gcs.redis.pod.extraVolumeMounts mounts a, which is not in extraVolumes (data, password, tmp): add it",
    ),
    "a mount over a mount of the chart": (
        "pods.extraVolumeMounts[0].name=tmp,pods.extraVolumeMounts[0].mountPath=/scratch/",
        "pods.extraVolumeMounts mounts /scratch, where a volume is already: choose another path.",
    ),
    "a label that the chart selects by": (
        "orchestrator.pod.podLabels.moa/group=x", "orchestrator.pod.podLabels sets moa/group, which the chart",
    ),
    "a cost label that is set twice": ("pods.podLabels.cost-center=x", "pods.podLabels sets cost-center, which"),
    "an annotation that keeps spot pods from their drain": (
        "pods.podAnnotations.karpenter\\.sh/do-not-disrupt=x",
        "pods.podAnnotations sets karpenter.sh/do-not-disrupt, which",
    ),
    "a label with a space": ("pods.podLabels.team=a b", "pods.podLabels.team"),
    "an addition that there is not": ("pods.extraEnvs[0].name=A", "extraEnvs"),
    "an image without a tag": ("head.image.repository=x", "head.image names a repository without a tag or a"),
    "an image without a name": ("orchestrator.image.tag=v1", "orchestrator.image has no repository: add it"),
    "a setting of the kubelet that there is not": ("karpenter.gpu.kubelet.maxPod=1", "maxPod"),
    "an aggregator that may have no replica": (
        "models.qwen2\\.5-72b.replicas.min=0,models.qwen2\\.5-72b.replicas.onDemandFloor=0",
        "models.qwen2.5-72b.replicas.min is 0, but it runs team.aggregator (qwen2.5-72b), which every answer of a team",
    ),
    "an aggregator that is an adapter of a model that may have no replica": (
        "models.llama-3\\.1-70b.replicas.min=0,models.llama-3\\.1-70b.adapters.law.rank=8,team.aggregator=law",
        "models.llama-3.1-70b.replicas.min is 0, but it runs team.aggregator (law), which every answer of a team",
    ),
    "a floor of a model that may have no replica": (
        "models.mixtral-8x7b.replicas.min=0,models.mixtral-8x7b.replicas.onDemandFloor=1",
        "onDemandFloor is 1, above min (0)",
    ),
    "a wait for a replica that is always there": (
        "models.mixtral-8x7b.replicas.waitSeconds=9",
        "models.mixtral-8x7b.replicas has idleSeconds or waitSeconds, which need min 0",
    ),
    "pods that nothing would start": (
        "autoscaler.enabled=false,models.mixtral-8x7b.replicas.min=0",
        "models.mixtral-8x7b.replicas.min is 0, but nothing would start its pods: set autoscaler.enabled to true",
    ),
    "an ingress for every host": ("ingress.enabled=true", "ingress.host"),
    "a vLLM option that the chart sets": ("models.mixtral-8x7b.engineKwargs.load_format=x", "load_format"),
    "a setting of the API that there is not": ("api.settings.cors_origin[0]=*", "cors_origin"),
    "a setting of the API that the chart sets": ("api.settings.deadline_s=5", "deadline_s"),
    "a time of the response cache that is none": ("api.settings.cache.ttl_s=0", "ttl_s"),
    "a setting of a wrong type": ("orchestrator.settings.session_affinity.enabled=maybe", "enabled"),
    "a setting of a model that the chart sets": ("models.mixtral-8x7b.settings.source=x", "source"),
    "an objective between two buckets": ("monitoring.rules.recipeTtftSeconds.moa=70", "recipeTtftSeconds.moa"),
    "an unknown exporter": ("monitoring.exporters.nvidia=true", "nvidia"),
    "a collector without a scheme": ("telemetry.otlp.endpoint=otel:4317", "telemetry.otlp.endpoint"),
    "a protocol that is not there": ("telemetry.otlp.protocol=http/json", "telemetry.otlp.protocol"),
    "more traces than requests": ("telemetry.otlp.samplingRatio=2", "telemetry.otlp.samplingRatio"),
    "texts in some spans": ("telemetry.otlp.captureTexts=sometimes", "telemetry.otlp.captureTexts"),
    "a format of logs that there is not": ("api.settings.log_format=xml", "log_format"),
    "an attribute with a separator": ("telemetry.otlp.resourceAttributes.team=a=b", "otlp.resourceAttributes.team"),
    "an image digest that is none": ("image.digest=latest", "image.digest"),
    "a label that Kubernetes refuses": ("costLabels.team=a b", "costLabels.team"),
    "an API server that is everywhere": (
        "networkPolicy.apiServerCidrs[0]=0.0.0.0/0",
        "networkPolicy.apiServerCidrs contains 0.0.0.0/0, which restricts nothing: name the addresses of the API",
    ),
    "a disk faster than its operations": (
        "karpenter.rootVolumeThroughput=1000,karpenter.rootVolumeIops=3000",
        "karpenter.rootVolumeThroughput is 1000 MiB/s, above a quarter of rootVolumeIops (3000): lower it",
    ),
    "a disk that gp3 does not have": ("karpenter.rootVolumeIops=20000", "karpenter.rootVolumeIops"),
    "a snapshot without Bottlerocket": (
        "karpenter.imageSnapshot.id=snap-0123456789abcdef0",
        "needs nodes of Bottlerocket, whose data disk the snapshot is, but karpenter.amiAlias is al2023@",
    ),
    "a snapshot that is none": ("karpenter.imageSnapshot.id=latest", "imageSnapshot.id"),
    "another cloud's nodes with Karpenter": (
        "scheduling.gpuNodeSelector.gpu=h100",
        "scheduling.gpuNodeSelector is for clusters without Karpenter: set karpenter.enabled to false",
    ),
    "no account for the pods": ("serviceAccount.create=false", "serviceAccount.name"),
}  # fmt: skip


@pytest.mark.parametrize(("pair", "named"), REFUSED.values(), ids=REFUSED.keys())
def test_is_refused_with_its_name(pair: str, named: str) -> None:
    result = helm("template", "moa", sets=(pair,), check=False)
    assert result.returncode != 0
    assert named in result.stderr


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("ttftShare=0.8", "monitoring.rules.ttftShare: Must be greater than or equal to 0.85"),
        ("errorBudget=0.1", "monitoring.rules.errorBudget: Must be less than or equal to 0.05"),
    ],
)
def test_a_share_is_refused_whose_alert_could_never_fire(pair: str, message: str) -> None:
    """Alerts begin at 6 and 14.4 times the allowed share, which must be less than all requests."""
    result = helm("template", "moa", "--set-json", f"monitoring.rules.{pair}", check=False)
    assert message in result.stderr


@pytest.mark.parametrize("case", MATRIX)
def test_every_supported_combination_is_taken(case: str) -> None:
    files, sets = MATRIX[case]
    assert helm("template", "moa", files=files, sets=sets).returncode == 0


def test_a_release_name_that_is_too_long_is_cut() -> None:
    out = helm("template", "m" * 53).stdout
    assert f"name: {'m' * 47}\n" in out

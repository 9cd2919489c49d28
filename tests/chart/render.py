"""Rendered chart as Python objects; each combination of values is rendered once."""

import functools
import pickle
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "moa"
Object = dict[str, Any]

# A digest and existing secrets, so that nothing random is rendered.
FIXED = (
    "auth.apiKey.existingSecret=moa-api-key",
    "auth.ray.existingSecret=moa-ray-token",
    "gcs.redis.existingSecret=moa-redis",
)
TINY = ("values-tiny.yaml",)
LARGE = ("values-large.yaml",)
# What the templates can become: name -> (values files, --set).
MATRIX: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "default": ((), ()),
    "tiny": (TINY, ()),
    "large": (LARGE, ()),
    "gpt-oss": (("values-gpt-oss.yaml",), ()),
    "gke": (("values-gke.yaml",), ()),
    "k3s": (("values-k3s.yaml",), ()),
    "image-snapshot": (
        (),
        ("karpenter.amiAlias=bottlerocket@1.64.0", "karpenter.imageSnapshot.id=snap-0123456789abcdef0"),
    ),
    "secrets-made": (
        (),
        ("auth.apiKey.value=key", "auth.huggingFace.token=hf", "weights.source=hub", "weights.s3.uri="),
    ),
    "pvc": ((), ("weights.source=pvc", "weights.pvc.claimName=weights", "weights.s3.uri=")),
    "nvme": ((), ("weights.source=nvme",)),
    "no-karpenter": ((), ("karpenter.enabled=false", "scheduling.nodeSelector.pool=gpu")),
    "bottlerocket": ((), ("karpenter.amiAlias=bottlerocket@1.50.0", "karpenter.gpu.fallback=false")),
    "external-redis": ((), ("gcs.redis.externalAddress=redis://redis.example:6380",)),
    "store": (
        (),
        (
            "store.database.existingSecret=moa-database",
            "store.redis.existingSecret=moa-redis-url",
            "store.redis.port=6380",
            "store.settings.timeout_s=5",
        ),
    ),
    "batches-on-s3": (
        (),
        (
            "weights.source=pvc",
            "weights.pvc.claimName=weights",
            "weights.s3.uri=",
            "store.database.existingSecret=moa-database",
            "batches.enabled=true",
            "batches.files=s3://my-batches/moa",
        ),
    ),
    "no-fault-tolerance": ((), ("gcs.faultTolerance=false",)),
    "fixed-size": ((), ("autoscaler.enabled=false",)),
    "gateway": ((), ("httpRoute.enabled=true", "httpRoute.gateway=public", "httpRoute.hostnames[0]=moa.example.com")),
    "settings": (
        (),
        (
            "api.settings.cors_origins[0]=https://chat.example.org",
            "api.settings.max_body_bytes=33554432",
            "api.settings.unsupported_tools=omit",
            "orchestrator.settings.session_affinity.enabled=false",
            "store.database.existingSecret=moa-database",
            "quality.judge=llama-3.1-70b",
            "batches.enabled=true",
            "batches.files=s3://my-batches/moa",
            "batches.settings.max_concurrent=32",
            "models.qwen2\\.5-72b.settings.strict_tools=true",
            "models.qwen2\\.5-72b.engineKwargs.tool_call_parser=hermes",
        ),
    ),
    "own-objectives": (
        (),
        ("monitoring.rules.recipeTtftSeconds.team\\.1=15", "monitoring.rules.recipeTtftSeconds.vote=null"),
    ),
    "no-exporters": (
        (),
        tuple(f"monitoring.exporters.{name}=false" for name in ("kubeRay", "kubeStateMetrics", "karpenter", "dcgm")),
    ),
    "traced": (
        (),
        (
            "telemetry.otlp.endpoint=http://otel-collector.observability.svc:4318",
            "telemetry.otlp.headersSecret=otel",
            "telemetry.otlp.samplingRatio=1",
            "telemetry.otlp.resourceAttributes.deployment\\.environment\\.name=production",
        ),
    ),
    "adapters": (
        (),
        (
            "models.qwen2\\.5-72b.adapters.qwen-sql.rank=16",
            "models.qwen2\\.5-72b.adapters.qwen-sql.description=writes SQL",
            "models.qwen2\\.5-72b.adapters.qwen-law.rank=40",
            "models.qwen2\\.5-72b.adapters.qwen-law.chatTemplate=base",
            "team.aggregator=qwen-law",
            "weights.source=nvme",
        ),
    ),
    "own-accounts": (
        (),
        (
            "serviceAccount.create=false",
            "serviceAccount.name=workers",
            "serviceAccount.headName=head",
            "priorityClass.create=false",
            "compileCache.existingClaim=cache",
            "image.pullSecrets[0]=registry",
        ),
    ),
    "jobs": (
        (),
        (
            "auth.generate=job",
            "schedule.suspend=0 20 * * 1-5",
            "schedule.resume=30 6 * * 1-5",
            "image.pullSecrets[0]=registry",
        ),
    ),
    "report": (
        (),
        (
            "report.schedule=15 0 * * *",
            "report.webhookSecret=chat",
            "store.database.existingSecret=records",
            "monitoring.rules.usdPerMonth=4000",
        ),
    ),
    "suspended": ((), ("suspend=true",)),
    "from-zero": ((), ("models.mixtral-8x7b.replicas.min=0", "models.mixtral-8x7b.replicas.idleSeconds=900")),
    "additions": ((str(Path(__file__).with_name("additions.yaml")),), ()),
    "many-replicas": (
        (),
        (
            "models.llama-3\\.1-70b.replicas.min=3",
            "models.llama-3\\.1-70b.replicas.max=6",
            "models.llama-3\\.1-70b.replicas.onDemandFloor=1",
            "networkPolicy.apiFromNamespaces[0]=apps",
            "scheduling.tolerations[0].key=team",
            "scheduling.tolerations[0].operator=Exists",
        ),
    ),
}


@functools.cache
def text(case: str, fixed: bool = False) -> str:
    files, sets = MATRIX[case]
    return helm("template", "moa", files=files, sets=(*sets, *(FIXED if fixed else ()))).stdout


def helm(
    verb: str, *arguments: str, files: tuple[str, ...] = (), sets: tuple[str, ...] = (), check: bool = True
) -> subprocess.CompletedProcess[str]:
    own = [] if "--namespace" in arguments else ["--namespace", "moa"]
    command = ["helm", verb, *arguments, str(CHART), *own]
    for file in files:
        command += ["--values", str(CHART / file)]
    for pair in sets:
        command += ["--set", pair]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if check and result.returncode:
        raise AssertionError(result.stderr)
    return result


def objects(case: str) -> list[Object]:
    """Fresh copies of the objects, which a test may change."""
    return pickle.loads(_parsed(case))


@functools.cache
def _parsed(case: str) -> bytes:
    return pickle.dumps([obj for obj in yaml.load_all(text(case), yaml.CSafeLoader) if obj])


def of_kind(case: str, kind: str) -> list[Object]:
    return [obj for obj in objects(case) if obj["kind"] == kind]


def ray_cluster(case: str) -> Object:
    (service,) = of_kind(case, "RayService")
    return service["spec"]["rayClusterConfig"]


def groups(case: str) -> dict[str, Object]:
    return {group["groupName"]: group for group in ray_cluster(case)["workerGroupSpecs"]}


def ray_templates(case: str) -> dict[str, Object]:
    """Pod templates of the Ray cluster by group; the head's is `head`."""
    workers = {name: group["template"] for name, group in groups(case).items()}
    return {"head": ray_cluster(case)["headGroupSpec"]["template"], **workers}


def pods(case: str) -> Iterator[tuple[str, Object]]:
    """Pod templates of all pods, including those of the RayService, the StatefulSet and jobs, as (name, template)."""
    yield from ray_templates(case).items()
    for obj in objects(case):
        if obj["kind"] in ("StatefulSet", "Job"):
            yield obj["metadata"]["name"], obj["spec"]["template"]
        elif obj["kind"] == "CronJob":
            yield obj["metadata"]["name"], obj["spec"]["jobTemplate"]["spec"]["template"]
        elif obj["kind"] == "Pod":
            yield obj["metadata"]["name"], obj

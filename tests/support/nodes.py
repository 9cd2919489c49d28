"""A cluster of several nodes on this machine, the real orchestrator on the first, scripted models on the others."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import ray
from ray import serve
from ray._private import state
from ray.cluster_utils import Cluster
from ray.serve.config import HTTPOptions

from deployments.cluster.loopback import free_port, keep_to_loopback
from deployments.config import Profile
from deployments.ingress.deployment import Ingress, ingress_options
from deployments.model.coalescing import coalesced
from deployments.wire import EngineStats, Packed, pack
from serving.engines.scripted import ScriptedEngine
from serving.types import GenerateRequest
from tests.support.paths import ROOT

MODELS = ("a", "b", "c")
WORKERS = 3
LOOPBACK = "127.0.0.1"


class ScriptedModel:
    """What `ModelServer` is to its callers, without an engine."""

    def __init__(self, model: str) -> None:
        self._engine = ScriptedEngine(model, f"{model} " * 20, ttft_s=0.2, itl_s=0.03)

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[tuple[Packed, ...], None]:
        async with aclosing(coalesced(self._engine.generate(request))) as groups:
            async for group in groups:
                yield tuple(pack(delta) for delta in group)

    async def stats(self) -> EngineStats:
        return EngineStats(self._engine.running, len(self._engine.requests), self._engine.cancelled, 0, os.getpid())


@dataclass
class Nodes:
    cluster: Cluster
    workers: list[Any]
    url: str

    def replicas_on(self, node_id: str) -> list[str]:
        return [name for name, _ in self._alive(node_id)]

    def kill(self, number: int) -> list[str]:
        """As when a machine dies: its processes, then its raylet. Returns the replicas that were there."""
        node = self.workers.pop(number)
        there = self._alive(node.node_id)
        for _, pid in there:
            os.kill(pid, signal.SIGKILL)
        self.cluster.remove_node(node, allow_graceful=False)
        return [name for name, _ in there]

    def _alive(self, node_id: str | None = None) -> list[tuple[str, int]]:
        """(name, process id) of Serve's replicas, on one node or on all."""
        return [
            (actor["Name"], actor["Pid"])
            for actor in state.actors().values()
            if node_id in (None, actor["Address"]["NodeID"])
            and actor["ActorClassName"].startswith("ServeReplica:")
            and actor["State"] == "ALIVE"
        ]

    def wait_until_replaced(self, lost: list[str], count: int, timeout_s: float = 180) -> None:
        """Until none of `lost` is counted as alive any more and there are `count` replicas again."""
        ends_at = time.monotonic() + timeout_s
        while True:
            names = {name for name, _ in self._alive()}
            if len(names) == count and not names & set(lost):
                return
            assert time.monotonic() < ends_at, names
            time.sleep(0.1)

    def healthy(self) -> bool:
        apps = serve.status().applications.values()
        return all(deployment.status == "HEALTHY" for app in apps for deployment in app.deployments.values())

    def wait_until_healthy(self, timeout_s: float = 180) -> None:
        ends_at = time.monotonic() + timeout_s
        while not self.healthy():
            assert time.monotonic() < ends_at, serve.status()
            time.sleep(0.5)


@contextmanager
def nodes(folder: Path) -> Iterator[Nodes]:
    """Three workers; two replicas of each model, never two of one model on one worker: one worker may go."""
    port = free_port()
    proxy = folder / "proxy"
    (folder / "ray").mkdir()
    os.environ.update(
        RAY_TMPDIR=str(folder),
        RAY_SERVE_HAPROXY_CONFIG_FILE_LOC=str(proxy / "haproxy.cfg"),
        RAY_SERVE_HAPROXY_SOCKET_PATH=str(proxy / "admin.sock"),
        RAY_SERVE_HAPROXY_SERVER_STATE_BASE=str(proxy),
        RAY_SERVE_HAPROXY_SERVER_STATE_FILE=str(proxy / "state"),
        PYTHONPATH=str(ROOT),
    )
    keep_to_loopback()
    common = {"node_ip_address": LOOPBACK, "object_store_memory": 100 * 2**20}
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 2, "resources": {"moa-orchestrator": 2}, "include_dashboard": False, **common},
    )
    try:
        workers = [
            cluster.add_node(num_cpus=len(MODELS), resources={"moa-models": 8}, **common) for _ in range(WORKERS)
        ]
        ray.init(address=cluster.address, namespace="serve", log_to_driver=False, logging_level="ERROR")
        serve.start(proxy_location="HeadOnly", http_options=HTTPOptions(host=LOOPBACK, port=port))
        serve.run(application(), name="moa", route_prefix="/")
        yield Nodes(cluster, workers, f"http://{LOOPBACK}:{port}")
    finally:
        serve.shutdown()
        ray.shutdown()
        cluster.shutdown()


def application() -> serve.Application:
    spec = {"source": "scripted", "engine_kwargs": {"max_model_len": 8192}, "accelerator": "cpu"}
    profile = Profile.model_validate(
        {
            "name": "nodes",
            "models": [{"id": model, **spec} for model in MODELS],
            "team": {"proposers": list(MODELS), "aggregator": MODELS[0]},
            "recipes": ["moa-lite"],
            "orchestrator": {"num_cpus": 0, "resources": {"moa-orchestrator": 1}},
        }
    )
    models = {
        f"model_{number}": serve.deployment(
            ScriptedModel,
            name=f"model:{model}",
            num_replicas=2,
            max_replicas_per_node=1,
            ray_actor_options={"num_cpus": 1, "resources": {"moa-models": 1}},
            graceful_shutdown_timeout_s=10,
            graceful_shutdown_wait_loop_s=0.2,
        ).bind(model)
        for number, model in enumerate(MODELS)
    }
    return serve.deployment(Ingress, **ingress_options(profile)).bind(profile, **models)


@dataclass
class Load:
    """Callers that ask one whole answer after the other, and what they got."""

    url: str
    model: str
    callers: int = 6
    statuses: list[int] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    latencies_s: list[float] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    @property
    def degraded(self) -> int:
        return sum(bool(body.get("moa", {}).get("degraded")) for body in self.bodies)

    def summary(self) -> str:
        worst = max(self.latencies_s, default=0.0)
        return (
            f"{self.model}: {len(self.statuses)} asked, {self.statuses.count(200)} answered, {self.degraded} degraded,"
            f" slowest {worst:.2f} s"
        )

    @contextmanager
    def running(self) -> Iterator["Load"]:
        thread = threading.Thread(target=lambda: asyncio.run(self._all()))
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join(60)

    async def _all(self) -> None:
        async with httpx.AsyncClient(timeout=60) as client:
            await asyncio.gather(*(self._one(client, number) for number in range(self.callers)))

    async def _one(self, client: httpx.AsyncClient, number: int) -> None:
        count = 0
        while not self._stop.is_set():
            count += 1
            body = {"model": self.model, "messages": [{"role": "user", "content": f"question {number} {count}"}]}
            if self.model == "moa-lite":
                body["moa"] = {"trace": True}
            began = time.monotonic()
            response = await client.post(f"{self.url}/v1/chat/completions", json=body)
            self.latencies_s.append(time.monotonic() - began)
            self.statuses.append(response.status_code)
            self.bodies.append(response.json())

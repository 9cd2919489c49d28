"""A cluster of several nodes on this machine, each with its own HAProxy: real orchestrators, scripted models.

Every node has the loopback address, and HAProxy ports of its own in the environment of its raylet.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import ray
from ray import serve
from ray._private import state
from ray._raylet import GcsClient
from ray.cluster_utils import Cluster
from ray.serve.config import HTTPOptions

from deployments.cluster.haproxy.node import Node, send
from deployments.cluster.loopback import keep_to_loopback
from deployments.cluster.proxy import proxy_folder
from deployments.config import Profile
from deployments.ingress.deployment import Ingress, ingress_options
from deployments.model.coalescing import coalesced
from deployments.wire import EngineStats, Packed, pack
from serving.engines.scripted import ScriptedEngine
from serving.ports import LOOPBACK, free_port
from serving.types import Delta, GenerateRequest
from serving.usage import TokenUsage
from tests.support.paths import ROOT

MODELS = ("a", "b", "c")
FIRST = (("a", "b"), ("a", "c", "orchestrator"), ("b", "c", "orchestrator"))  # what the first workers have room for
ANY = (*MODELS, "orchestrator")
WORDS = 20  # of an answer; a held one has at least so many
GUARD_S = 180.0  # against a hang
COMMON = {"num_cpus": 1, "node_ip_address": LOOPBACK, "object_store_memory": 100 * 2**20}


class ScriptedModel:
    """In place of `ModelServer`, without an engine.

    A question `hold NAME` is answered until the file NAME is in the folder `gates`, to which each answer that has begun
    adds a file `NAME-...`.
    """

    def __init__(self, model: str, gates: Path) -> None:
        answer = " ".join(f"{model}{number}" for number in range(WORDS))
        self._engine = ScriptedEngine(model, answer, ttft_s=0.2, itl_s=0.03, intercept=self._intercepted)
        self._gates = gates

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[tuple[Packed, ...], None]:
        async with aclosing(coalesced(self._engine.generate(request))) as groups:
            async for group in groups:
                yield tuple(pack(delta) for delta in group)

    async def stats(self) -> EngineStats:
        return EngineStats(self._engine.running, len(self._engine.requests), self._engine.cancelled, 0, os.getpid())

    async def _intercepted(
        self, request: GenerateRequest, stream: AsyncGenerator[Delta, None]
    ) -> AsyncGenerator[Delta, None]:
        async with aclosing(stream):
            words = request.messages[-1].content.split()
            if words[0] != "hold":
                async for delta in stream:
                    yield delta
                return
        gate = self._gates / words[1]
        (self._gates / "-".join(words[1:])).touch()
        text, count = "", 0
        while count < WORDS or not gate.exists():
            word = f"{self._engine.model}{count} "
            count += 1
            if request.streaming:
                yield Delta(word)
            else:
                text += word
            await asyncio.sleep(0.05)
        yield Delta(text, finish_reason="stop", usage=TokenUsage(1, count))


@dataclass(frozen=True)
class Worker:
    node: Any  # Ray's
    url: str  # of its own HAProxy

    @property
    def node_id(self) -> str:
        return str(self.node.node_id)


@dataclass
class Nodes:
    cluster: Cluster
    url: str  # of the head's HAProxy
    gates: Path
    workers: list[Worker]

    def add_worker(self, *rooms: str) -> Worker:
        """A node with room for one replica of each of the models, or of the orchestrator."""
        port = free_port()
        ports = {
            "RAY_SERVE_WORKER_PROXY_HTTP_PORT": str(port),
            "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port()),
            "RAY_SERVE_HAPROXY_STATS_PORT": str(free_port()),
        }
        resources = {f"moa-{room}": 1 for room in rooms}
        node = self.cluster.add_node(resources=resources, env_vars=ports, **COMMON)
        worker = Worker(node, f"http://{LOOPBACK}:{port}")
        self.workers.append(worker)
        return worker

    def replicas_on(self, worker: Worker) -> list[str]:
        return [name for name, _ in self._alive(worker.node_id)]

    def models_on(self, worker: Worker) -> list[str]:
        """Models with a replica on the node, in their order."""
        names = self.replicas_on(worker)
        return [model for model in MODELS if any(f"#model:{model}#" in name for name in names)]

    def notice_ends_at(self, worker: Worker, drain_s: float) -> float | None:
        """Time, as of `time.time`, at which the notice of a draining node is over. None: it is not draining."""
        draining: dict[str, int] = GcsClient(address=self.cluster.address).get_draining_nodes()
        deadline_ms = draining.get(worker.node_id)
        return None if deadline_ms is None else deadline_ms / 1000 - drain_s

    def kill(self, worker: Worker) -> list[str]:
        """As when a machine dies: replicas and HAProxy, then the raylet. Returns the replicas that were there."""
        self.workers.remove(worker)
        there = self._alive(worker.node_id)
        for _, pid in there:
            os.kill(pid, signal.SIGKILL)
        folder = proxy_folder(worker.node_id)
        for instance in Node(str(folder)).instances() if folder.is_dir() else []:
            for pid in instance:  # the supervisor first, which would start another HAProxy
                send(pid, signal.SIGKILL)
        self.cluster.remove_node(worker.node, allow_graceful=False)
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

    def wait_until_replaced(self, lost: list[str]) -> None:
        """Until none of `lost` is counted as alive any more and there are as many replicas again."""
        count = 2 * len(MODELS) + 2

        def replaced() -> bool:
            names = {name for name, _ in self._alive()}
            return len(names) == count and not names & set(lost)

        until(replaced, self._alive)

    def healthy(self) -> bool:
        apps = serve.status().applications.values()
        return all(deployment.status == "HEALTHY" for app in apps for deployment in app.deployments.values())

    def wait_until_healthy(self) -> None:
        """Until all replicas run and each node that has one answers through its own HAProxy."""
        until(self.healthy, serve.status)
        for url in (self.url, *(worker.url for worker in self.workers if self.replicas_on(worker))):
            until(lambda url=url: ready(url), url)


def ready(url: str) -> bool:
    """True if the server answers that it is ready."""
    try:
        return httpx.get(f"{url}/ready", timeout=GUARD_S).status_code == 200
    except httpx.TransportError:
        return False


def until(met: Callable[[], Any], otherwise: Any) -> Any:
    """The first result of `met` that is true; fails with `otherwise`, or its result, after `GUARD_S`."""
    ends_at = time.monotonic() + GUARD_S
    while not (result := met()):
        assert time.monotonic() < ends_at, otherwise() if callable(otherwise) else otherwise
        time.sleep(0.1)
    return result


@contextmanager
def nodes(folder: Path, notice_s: float, drain_s: float) -> Iterator[Nodes]:
    """Three workers with two replicas of each model and two of the orchestrator, two models on each.

    The times are those of the chart's `shutdown`; a replica that stops gets `drain_s`.
    """
    proxy, gates = folder / "proxy", folder / "gates"
    (folder / "ray").mkdir()
    gates.mkdir()
    variables = {
        "RAY_TMPDIR": str(folder),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(proxy / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(proxy / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(proxy),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(proxy / "state"),
        "PYTHONPATH": str(ROOT),
        # As the chart sets them.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": str(notice_s),
        "RAY_SERVE_PROXY_MIN_DRAINING_PERIOD_S": str(notice_s + drain_s),
        "RAY_SERVE_HAPROXY_CLOSE_SPREAD_TIME_S": str(int(notice_s)),
    }
    port = free_port()
    with patch.dict(os.environ, variables):
        keep_to_loopback()
        cluster = Cluster(
            initialize_head=True, head_node_args={"include_dashboard": False, "dashboard_port": free_port(), **COMMON}
        )
        try:
            up = Nodes(cluster, f"http://{LOOPBACK}:{port}", gates, [])
            for rooms in FIRST:
                up.add_worker(*rooms)
            ray.init(address=cluster.address, namespace="serve", log_to_driver=False, logging_level="ERROR")
            serve.start(proxy_location="EveryNode", http_options=HTTPOptions(host=LOOPBACK, port=port))
            serve.run(application(gates, drain_s), name="moa", route_prefix="/")
            yield up
        finally:
            serve.shutdown()
            ray.shutdown()
            cluster.shutdown()


def application(gates: Path, drain_s: float) -> serve.Application:
    spec = {"source": "scripted", "engine_kwargs": {"max_model_len": 8192}, "accelerator": "cpu"}
    profile = Profile.model_validate(
        {
            "name": "nodes",
            "models": [{"id": model, **spec} for model in MODELS],
            "team": {"proposers": list(MODELS), "aggregator": MODELS[0]},
            "recipes": ["moa-lite"],
            "orchestrator": {
                "num_cpus": 0,
                "resources": {"moa-orchestrator": 1},
                "replicas": {"min": 2},
                "drain_s": drain_s,
            },
        }
    )
    models = {
        f"model_{number}": serve.deployment(
            ScriptedModel,
            name=f"model:{model}",
            num_replicas=2,
            ray_actor_options={"num_cpus": 0, "resources": {f"moa-{model}": 1}},
            graceful_shutdown_timeout_s=drain_s,
            graceful_shutdown_wait_loop_s=0.2,
        ).bind(model, gates)
        for number, model in enumerate(MODELS)
    }
    return serve.deployment(Ingress, **ingress_options(profile)).bind(profile, **models)

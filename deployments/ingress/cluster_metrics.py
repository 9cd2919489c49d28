"""Metrics of the whole cluster as one page: those of the server, of Ray Serve, of the engines and of the GPUs.

Processes do not keep their metrics: Ray's agent on each node exports those of all processes there. This reads the
pages of all nodes, so that every orchestrator answers with the same, whatever nodes it and the models are on.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence

import httpx
import ray

from serving.errors import EngineUnavailable

# Of this server, the engines and the GPUs; the rest is about Ray's own processes and machines.
PREFIXES = ("ray_moa_", "ray_vllm_", "ray_serve_", "ray_node_gpus_utilization", "ray_node_gram_")
PRIVATE = ("ray_moa_key_",)  # by the names of keys: for the operator, whose collector reads the nodes' pages
REUSED_S = 0.25  # for tools that read several times a second, and for anyone who asks more often
TIMEOUT_S = 5.0


def node_pages() -> list[str]:
    """URL of the metrics page of each living node's agent."""
    nodes: list[dict[str, object]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [
        f"http://{_host(str(node['NodeManagerAddress']))}:{node['MetricsExportPort']}/metrics"
        for node in nodes
        if node["Alive"] and node["MetricsExportPort"]
    ]


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


class ClusterMetrics:
    """The page; callers share one that is being read, and its text for `REUSED_S`."""

    def __init__(
        self, pages: Callable[[], Sequence[str]] = node_pages, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        """Read the pages at the URLs that `pages()` returns; it may block. `transport`: of tests."""
        self._pages = pages
        self._client = httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False, transport=transport)
        self._reading: asyncio.Task[bytes] | None = None
        self._read_at = -float("inf")

    async def __call__(self) -> bytes:
        """Prometheus' text. A node that does not answer is named in a comment.

        Raises:
            EngineUnavailable: no node answered.
        """
        loop = asyncio.get_running_loop()
        if self._reading is None or (self._reading.done() and loop.time() - self._read_at >= REUSED_S):
            self._reading = asyncio.create_task(self._read())
            self._reading.add_done_callback(self._done)
        # A caller that gives up must not cancel the reading for the others.
        return await asyncio.shield(self._reading)

    def _done(self, reading: asyncio.Task[bytes]) -> None:
        self._read_at = asyncio.get_running_loop().time()
        if not reading.cancelled():
            reading.exception()  # retrieved, or asyncio logs it if all callers have left

    async def _read(self) -> bytes:
        urls = await asyncio.to_thread(self._pages)
        found = await asyncio.gather(*(self._page(url) for url in urls))
        texts = [text for text in found if isinstance(text, str)]
        failures = {url: error for url, error in zip(urls, found, strict=True) if isinstance(error, Exception)}
        if not texts:
            why = "; ".join(f"{url}: {type(error).__name__}" for url, error in failures.items()) or "there is no node"
            raise EngineUnavailable("metrics", why)
        comments = [f"# {url} did not answer: {type(error).__name__}\n" for url, error in failures.items()]
        return "".join([*comments, joined(texts)]).encode()

    async def _page(self, url: str) -> str | Exception:
        try:
            response = await self._client.get(url)
            response.raise_for_status()
        except httpx.HTTPError as error:
            return error
        return response.text


def _shown(name: str, prefixes: Sequence[str]) -> bool:
    return name.startswith(tuple(prefixes)) and not name.startswith(PRIVATE)


def joined(pages: Iterable[str], prefixes: Sequence[str] = PREFIXES) -> str:
    """Metrics of several pages whose names begin with one of `prefixes`, each with one description; not `PRIVATE` ones.

    The format wants all series of a metric together. Ray's labels (`WorkerId`, `NodeAddress`, ...) keep those of
    different processes apart.
    """
    described: dict[str, dict[str, str]] = {}  # by metric: its HELP and its TYPE
    series: dict[str, list[str]] = {}  # by metric
    for page in pages:
        name = ""
        for line in page.splitlines():
            if line.startswith(("# HELP ", "# TYPE ")):
                _, kind, name, *_ = line.split(" ", 3)
                if _shown(name, prefixes):
                    described.setdefault(name, {}).setdefault(kind, line)
            elif line and not line.startswith("#") and _shown(name, prefixes):
                series.setdefault(name, []).append(line)
    lines = [line for name, found in series.items() for line in (*described[name].values(), *found)]
    return "".join(f"{line}\n" for line in lines)

"""Metrics of all nodes as one page, over scripted agents."""

import asyncio
from typing import Any

import httpx
import pytest
import ray

from deployments.ingress import cluster_metrics
from deployments.ingress.cluster_metrics import ClusterMetrics, joined, node_pages
from serving.errors import EngineUnavailable

ONE = """# HELP ray_moa_requests_total Requests by outcome.
# TYPE ray_moa_requests_total counter
ray_moa_requests_total{model="a",WorkerId="1"} 3.0
# HELP ray_node_cpu_utilization CPUs in use.
# TYPE ray_node_cpu_utilization gauge
ray_node_cpu_utilization{ip="10.0.0.1"} 0.5
# HELP ray_vllm_time_to_first_token_seconds Time to the first token.
# TYPE ray_vllm_time_to_first_token_seconds histogram
ray_vllm_time_to_first_token_seconds_bucket{le="0.1"} 1.0
ray_vllm_time_to_first_token_seconds_bucket{le="+Inf"} 2.0
ray_vllm_time_to_first_token_seconds_count 2.0
ray_vllm_time_to_first_token_seconds_sum 0.3
"""
TWO = """# HELP ray_serve_num_router_requests_total Requests of a router.
# TYPE ray_serve_num_router_requests_total counter
ray_serve_num_router_requests_total{deployment="ingress"} 4.0
# HELP ray_moa_requests_total Requests by outcome.
# TYPE ray_moa_requests_total counter
ray_moa_requests_total{model="a",WorkerId="2"} 5.0
"""
URLS = ["http://10.0.0.1:8080/metrics", "http://10.0.0.2:8080/metrics"]


class Agents:
    """Answers of the nodes' agents by host; each reading is counted."""

    def __init__(self, **answers: str | int | Exception) -> None:
        self.answers = dict(zip(["10.0.0.1", "10.0.0.2"], answers.values(), strict=False))
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.called = asyncio.Event()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.host)
        self.called.set()
        await self.gate.wait()
        answer = self.answers[request.url.host]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer) if isinstance(answer, int) else httpx.Response(200, text=answer)

    @property
    def page(self) -> ClusterMetrics:
        return ClusterMetrics(lambda: URLS[: len(self.answers)], httpx.MockTransport(self))


def test_pages_are_joined_metric_by_metric_and_ray_s_own_left_out() -> None:
    requests = ONE.splitlines()[:3]
    assert (
        joined([ONE, TWO]).splitlines()
        == [
            *requests,
            'ray_moa_requests_total{model="a",WorkerId="2"} 5.0',
            *ONE.splitlines()[6:],  # the histogram
            *TWO.splitlines()[:3],
        ]
    )


def test_metrics_by_the_names_of_keys_are_left_out() -> None:
    page = (
        "# HELP ray_moa_key_requests_total Prompts.\n# TYPE ray_moa_key_requests_total counter\n"
        'ray_moa_key_requests_total{key="a"} 1.0\n'
        "# HELP ray_moa_requests_total Requests.\n# TYPE ray_moa_requests_total counter\n"
        'ray_moa_requests_total{model="m"} 2.0\n'
    )
    assert "key" not in joined([page])
    assert 'ray_moa_requests_total{model="m"} 2.0' in joined([page])


def test_the_gpus_from_which_costs_are_estimated_are_shown() -> None:
    page = "# TYPE ray_node_gpus_utilization gauge\n" + 'ray_node_gpus_utilization{GpuIndex="0"} 40.0\n'
    assert joined([page]) == page


def test_a_page_without_any_of_them_is_empty() -> None:
    assert joined(["# TYPE ray_node_mem gauge\nray_node_mem 1\n\n# a comment\nloose 3\n"]) == ""


async def test_all_nodes_are_read() -> None:
    agents = Agents(one=ONE, two=TWO)
    text = (await agents.page()).decode()
    assert sorted(agents.asked) == ["10.0.0.1", "10.0.0.2"]
    assert text == joined([ONE, TWO])


@pytest.mark.parametrize("failure", [500, httpx.ConnectError("refused"), httpx.ReadTimeout("late")])
async def test_a_node_that_does_not_answer_is_named_in_a_comment(failure: Any) -> None:
    text = (await Agents(one=ONE, two=failure).page()).decode()
    first, rest = text.split("\n", 1)
    assert first.startswith("# http://10.0.0.2:8080/metrics did not answer: ")
    assert rest == joined([ONE])


@pytest.mark.parametrize("answers", [{"one": 500}, {}])
async def test_without_any_page_there_is_an_error(answers: Any) -> None:
    with pytest.raises(EngineUnavailable, match="metrics"):
        await Agents(**answers).page()


async def test_callers_share_a_reading_and_its_text_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_metrics, "REUSED_S", float("inf"))
    agents = Agents(one=ONE)
    agents.gate.clear()
    page = agents.page
    first, second = asyncio.create_task(page()), asyncio.create_task(page())
    await agents.called.wait()
    first.cancel()  # it leaves; the other still gets the page
    agents.gate.set()
    assert await second == await page()
    assert len(agents.asked) == 1
    monkeypatch.setattr(cluster_metrics, "REUSED_S", 0.0)
    await page()
    assert len(agents.asked) == 2


def test_the_agents_of_living_nodes_are_known_to_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def node(address: str, port: int = 8080, *, alive: bool = True) -> dict[str, object]:
        return {"NodeManagerAddress": address, "MetricsExportPort": port, "Alive": alive}

    nodes = [node("10.0.0.1"), node("10.0.0.3", alive=False), node("fd00::2", 9090), node("10.0.0.4", 0)]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    assert node_pages() == ["http://10.0.0.1:8080/metrics", "http://[fd00::2]:9090/metrics"]

"""Every metric in helm/moa/files/metrics.yaml, which dashboards and alerts use, is exported by a running server."""

import re
import time

import httpx
import openai
import psutil
import pytest
import yaml

from tests.support.paths import ROOT
from tests.support.server import Server

LISTED = yaml.safe_load((ROOT / "helm" / "moa" / "files" / "metrics.yaml").read_text())
# Counters that nothing has counted yet are not exported: these need trouble, a second attempt, a vote, a price, a
# budget, a repeated prompt or a second replica.
RARE = {
    "ray_moa_session_requests_total",
    "ray_moa_requests_degraded_total",
    "ray_moa_hedged_calls_total",
    "ray_moa_tool_votes_total",
    "ray_moa_refilled_slots_total",
    "ray_moa_estimated_cost_usd_total",
    "ray_moa_budget_usd_per_month",
    "ray_vllm_prefix_cache_hits_total",
    "ray_vllm_num_preemptions_total",
}
EXPORT_S = 60  # Ray's agents collect every few seconds


def scrape(pid: int) -> str:
    """Metrics exported by the processes below `serve run`, including those of Ray's agent."""
    pages = []
    for child in psutil.Process(pid).children(recursive=True):
        try:
            ports = {c.laddr.port for c in child.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
            agent = "agent" in " ".join(child.cmdline()).lower()
        except psutil.Error:
            continue
        for port in ports if agent else ():
            try:
                pages.append(httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text)
            except httpx.HTTPError:
                continue
    return "\n".join(pages)


def exported(text: str) -> dict[str, set[str]]:
    """Labels by metric; a histogram has one entry, under its own name."""
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)", text, re.MULTILINE))
    found: dict[str, set[str]] = {}
    for series, labels in re.findall(r"^([a-zA-Z_:][\w:]*)\{([^}]*)\}", text, re.MULTILINE):
        stem = re.sub(r"_(bucket|sum|count)$", "", series)
        name = stem if kinds.get(stem) == "histogram" else series
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


@pytest.mark.timeout(300)
def test_every_listed_metric_is_exported(server: Server, client: openai.OpenAI) -> None:
    if server.pid is None:
        pytest.skip("a server that was started elsewhere: its metrics port is not known")
    for model in ("moa-lite", "tiny-qwen"):
        client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "What is 1 + 2?"}], max_tokens=8
        )
    with pytest.raises(openai.NotFoundError):  # a refusal, so that there is one to count
        client.chat.completions.create(model="none", messages=[{"role": "user", "content": "Hi"}])
    wanted = {**LISTED["server"], **LISTED["engine"]}
    ends_at = time.monotonic() + EXPORT_S
    found = exported(scrape(server.pid))
    while set(wanted) - RARE - set(found) and time.monotonic() < ends_at:
        time.sleep(2)
        found = exported(scrape(server.pid))
    assert set(wanted) - RARE - set(found) == set()
    for name in set(wanted) & set(found):
        assert set(wanted[name]["labels"]) <= found[name], name

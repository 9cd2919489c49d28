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
# budget, a repeated prompt, a stored answer, a batch, feedback, a judge, a lost store or a second replica.
RARE = {
    "ray_moa_session_requests_total",
    "ray_moa_requests_degraded_total",
    "ray_moa_hedged_calls_total",
    "ray_moa_tool_votes_total",
    "ray_moa_refilled_slots_total",
    "ray_moa_estimated_cost_usd_total",
    "ray_moa_budget_usd_per_month",
    "ray_moa_cache_answers_total",
    "ray_moa_cache_bytes_total",
    "ray_moa_lost_records_total",
    "ray_moa_spent_usd",
    "ray_moa_key_budget_usd_per_month",
    "ray_moa_quality_grade",
    "ray_moa_ungraded_answers_total",
    "ray_moa_feedback_score",
    "ray_moa_limits_without_store_total",
    "ray_moa_batch_line_ends_total",
    "ray_moa_batches_total",
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
    wanted = {**LISTED["server"], **LISTED["engine"]}
    ends_at = time.monotonic() + EXPORT_S
    found: dict[
        str, set[str]
    ] = {}  # in any of the looks: a gauge that is not set again is exported for some seconds only
    while set(wanted) - RARE - set(found) and time.monotonic() < ends_at:
        for model in ("moa-lite", "tiny-qwen"):
            client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": "Spell planet backwards."}], max_tokens=32
            )
        with pytest.raises(openai.NotFoundError):  # a refusal, so that there is one to count
            client.chat.completions.create(model="none", messages=[{"role": "user", "content": "Hi"}])
        time.sleep(2)
        for name, labels in exported(scrape(server.pid)).items():
            found.setdefault(name, set()).update(labels)
    assert set(wanted) - RARE - set(found) == set()
    for name in set(wanted) & set(found):
        assert set(wanted[name]["labels"]) <= found[name], name

"""Dashboards over a running server: every panel that needs no trouble has values."""

import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import openai
import pytest

from deployments.watch.dashboards import dashboards
from serving.ports import free_port
from tests.support.paths import ROOT
from tests.support.server import Server

# Panels without values on this server: it has no GPU, price, key or node pool, and nothing fails in so short a time.
EMPTY = {
    ("agents", "Hedged calls a second"), ("agents", "Lost calls by model"), ("agents", "Not ok, by model and role"),
    ("agents", "Refilled slots a second"), ("agents", "Stragglers by model"),
    ("agents", "Votes on tool calls a second"),
    ("engines", "Cost a day"), ("engines", "Cost a month"), ("engines", "Estimated cost"),
    ("engines", "Estimated cost by group"), ("engines", "Estimated cost by recipe"),
    ("engines", "Estimated cost of 1,000 answers"), ("engines", "GPU memory in use"), ("engines", "GPU utilization"),
    ("engines", "GPUs by pool"), ("engines", "Interruptions"), ("engines", "Preemptions a second"),
    ("overview", "Cost a day"), ("overview", "Cost a month"), ("overview", "Cost an hour"),
    ("overview", "Lost calls by model"), ("requests", "Degraded answers"), ("requests", "Prompts refused by key"),
    ("requests", "Prompts running by key"), ("requests", "Tokens a second by key"),
    ("requests", "Dollars of this month by key"), ("requests", "Response cache: share of hits"),
    ("requests", "Response cache: new answers"), ("requests", "Lines of batches a second by outcome"),
    ("agents", "Quality by recipe and proposers"), ("agents", "Quality and stragglers by recipe"),
    ("agents", "Feedback by model"), ("agents", "Answers without a grade a second"),
}  # fmt: skip
COLLECT_S = 120


@pytest.mark.timeout(300)
def test_panels_show_the_running_server(server: Server, client: openai.OpenAI, tmp_path: Path) -> None:
    port, page_port = free_port(), free_port()
    ports = ["--port", str(port), "--page-port", str(page_port), "--folder", str(tmp_path)]
    command = [sys.executable, "-m", "deployments.watch", "--url", server.url, *ports]

    def ask(expression: str) -> list[object]:
        filled = re.sub(r"\$\w+", ".*", expression.replace("$__rate_interval", "2m"))
        url = f"http://127.0.0.1:{page_port}/api/v1/query"
        try:
            response = httpx.get(url, params={"query": filled}, timeout=30)
        except httpx.HTTPError:  # the page starts
            return []
        if response.status_code in (502, 503):  # Prometheus starts
            return []
        answer = response.json()
        assert answer["status"] == "success", (expression, answer)
        return list(answer["data"]["result"])

    def empty() -> set[tuple[str, str]]:
        return {
            (name, panel["title"])
            for name, board in dashboards().items()
            for panel in board["panels"]
            if panel["type"] != "row" and not any(ask(target["expr"]) for target in panel["targets"])
        }

    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            ends_at = time.monotonic() + COLLECT_S
            while (missing := empty() - EMPTY) and time.monotonic() < ends_at:
                for model in ("moa-lite", "tiny-qwen"):
                    client.chat.completions.create(
                        model=model, messages=[{"role": "user", "content": "What is 1 + 2?"}], max_tokens=8
                    )
                with pytest.raises(openai.NotFoundError):
                    client.chat.completions.create(model="none", messages=[{"role": "user", "content": "Hi"}])
                time.sleep(3)
            assert missing == set()
        finally:
            process.terminate()
            assert process.wait(30) == 0

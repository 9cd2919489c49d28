"""Rules and alerts of the chart for a server outside Kubernetes, with this machine's prices."""

from pathlib import Path
from typing import Any

import yaml

RULES = Path(__file__).with_name("rules.yaml")  # written by scripts/render_manifests.py
NAMESPACE = "moa"  # label that the rules select; the scrape adds it
BUDGET = "moa:budget:usd_per_month"
GPU_COST = "moa:estimated_cost:usd_per_hour"


def local_rules(budget_usd_per_month: float | None = None, gpu_hour_usd: float | None = None) -> dict[str, Any]:
    """Content of a file of rules for Prometheus.

    Args:
        budget_usd_per_month: in place of the budget of the server's profile; None: that one, if it has one.
        gpu_hour_usd: price of one GPU for an hour; None: that of the chart's values.
    """
    content: dict[str, Any] = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    for group in content["groups"]:
        group.pop("interval", None)  # that of the configuration: one server has few series
        for rule in group["rules"]:
            if rule.get("record") == BUDGET and budget_usd_per_month is not None:
                rule["expr"] = f"vector({budget_usd_per_month!r})"
            if rule.get("record") == GPU_COST and gpu_hour_usd is not None:
                gpus, _, _ = rule["expr"].rpartition("*")
                rule["expr"] = f"{gpus}* {gpu_hour_usd!r}"
    return content

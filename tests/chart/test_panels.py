"""Panels: Prometheus accepts every query, and promtool computes the values that they show."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from render import Object
from test_dashboards import BOARDS
from test_monitoring import rule_spec

CASES: list[Object] = yaml.safe_load(Path(__file__).with_name("panels.yaml").read_text())
AT = "10m"
# As Grafana fills them in: all values, and an interval of four scrapes.
VARIABLES = {"__rate_interval": "4m"}


def filled(expression: str) -> str:
    """The query with its variables replaced, each one that selects values by all of them."""
    return re.sub(r"\$\{?(\w+)\}?", lambda found: VARIABLES.get(found[1], ".*"), expression)


def targets(board: str, title: str) -> list[Object]:
    [panel] = [panel for panel in BOARDS[board]["panels"] if panel["title"] == title]
    return list(panel["targets"])


def labels_in(legend: str, shown: str, fixed: set[str]) -> dict[str, str] | None:
    """Labels with which the target's `legend` becomes `shown`; None: another target shows it."""
    if shown in fixed:
        return {} if legend == shown else None
    parts = re.split(r"{{(\w+)}}", legend)
    pattern = "".join(f"(?P<{part}>.+)" if odd % 2 else re.escape(part) for odd, part in enumerate(parts))
    found = re.fullmatch(pattern, shown)
    return found and found.groupdict()


def promtool(tmp_path: Path, verb: str, content: Object) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "file.yaml"
    file.write_text(yaml.safe_dump(content))
    return subprocess.run(["promtool", verb, "rules", file], capture_output=True, text=True, timeout=60)


def test_promtool_accepts_every_query(tmp_path: Path) -> None:
    found = [
        {"record": f"panel:{board}:{panel['id']}:{target['refId']}", "expr": filled(target["expr"])}
        for board, content in BOARDS.items()
        for panel in content["panels"]
        for target in panel.get("targets", [])
    ]
    assert len(found) >= 70
    run = promtool(tmp_path, "check", {"groups": [{"name": "panels", "rules": found}]})
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{len(found)} rules found" in run.stdout


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['panel'][1]}: {case['because']}")
def test_a_panel_shows_the_right_values(case: Object, tmp_path: Path) -> None:
    """Every query must return exactly the series that its legend names."""
    found = targets(*case["panel"])
    fixed = {target["legendFormat"] for target in found if "{{" not in target["legendFormat"]}
    tests = []
    for target in found:
        samples = []
        for shown, value in case["shows"].items():
            labels = labels_in(target["legendFormat"], shown, fixed)
            if labels is not None:
                text = ", ".join(f"{name}={json.dumps(label)}" for name, label in labels.items())
                samples.append({"labels": "{" + text + "}", "value": value})
        tests.append({"expr": f"round({filled(target['expr'])}, 0.0001)", "eval_time": AT, "exp_samples": samples})
    assert sum(len(test["exp_samples"]) for test in tests) == len(case["shows"])
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule_spec()))
    run = promtool(
        tmp_path,
        "test",
        {
            "rule_files": ["rules.yaml"] if case.get("recorded") else [],
            "tests": [{"interval": "1m", "input_series": case["series"], "promql_expr_test": tests}],
        },
    )
    assert run.returncode == 0, run.stdout + run.stderr

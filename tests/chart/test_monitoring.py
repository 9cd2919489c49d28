"""Dashboards and rules: the metrics exist, and alerts fire exactly when they should."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from render import CHART, ROOT, Object, of_kind

KNOWN: dict[str, Object] = {}
for exporter in yaml.safe_load((CHART / "files" / "metrics.yaml").read_text()).values():
    KNOWN.update(exporter)
DASHBOARDS = sorted((CHART / "files" / "dashboards").glob("*.json"))
RULE_TESTS = sorted((Path(__file__).parent / "rules").glob("*.yaml"))
needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool; Debian has it in `prometheus`")
WORDS = {
    "by", "le", "rate", "sum", "avg", "max", "count", "vector", "increase", "histogram_quantile", "avg_over_time",
    "and", "or", "on", "group_left", "without", "unless",
}  # fmt: skip


def rule_spec(case: str = "default") -> Object:
    (rule,) = of_kind(case, "PrometheusRule")
    return rule["spec"]


def recorded() -> set[str]:
    return {rule["record"] for group in rule_spec()["groups"] for rule in group["rules"] if "record" in rule}


def names(expression: str) -> set[str]:
    """Metric names in a PromQL expression: identifiers that are neither functions, labels nor words."""
    bare = re.sub(r'"(\\.|[^"\\])*"', '""', expression)
    bare = re.sub(r"\[[^\]]*\]", "", bare)
    bare = re.sub(r"\{[^}]*\}", "", bare)
    bare = re.sub(r"\b(by|without|on)\s*\([^)]*\)", " ", bare)
    return set(re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", bare)) - WORDS


def labels(expression: str) -> set[tuple[str, str]]:
    """(metric, label) pairs of the selectors."""
    found = set()
    for metric, selector in re.findall(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{([^}]*)\}", expression):
        found |= {(metric, label) for label in re.findall(r"([a-zA-Z_]+)\s*[=!]~?", selector)}
    return found


def base(metric: str) -> str:
    """Series names of a histogram."""
    stem = re.sub(r"_(bucket|sum|count)$", "", metric)
    return stem if KNOWN.get(stem, {}).get("type") == "histogram" else metric


def expressions(dashboard: Object) -> list[tuple[str, str]]:
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    return [(panel["title"], target["expr"]) for panel in panels for target in panel["targets"]]


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_every_panel_names_a_metric_that_exists(file: Path) -> None:
    dashboard = json.loads(file.read_text())
    found = expressions(dashboard)
    assert len(found) >= 8
    for title, expression in found:
        used = names(expression)
        assert used, title
        assert {base(name) for name in used} <= set(KNOWN) | recorded(), title
        for metric, label in labels(expression):
            if metric in recorded():
                continue
            assert label in {*KNOWN[base(metric)]["labels"], "le", "group"}, (title, metric, label)


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_dashboards_are_installed_whole(file: Path) -> None:
    maps = {m["metadata"]["name"]: m for m in of_kind("default", "ConfigMap")}
    config = maps[f"moa-dashboard-{file.stem}"]
    assert json.loads(config["data"][file.name]) == json.loads(file.read_text())
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_dashboards_have_their_own_ids() -> None:
    boards = [json.loads(file.read_text()) for file in DASHBOARDS]
    assert len({board["uid"] for board in boards}) == len(boards)
    for board in boards:
        ids = [panel["id"] for panel in board["panels"]]
        assert len(ids) == len(set(ids))


def test_every_rule_names_metrics_that_exist() -> None:
    for group in rule_spec()["groups"]:
        for rule in group["rules"]:
            used = {base(name) for name in names(rule["expr"])}
            assert used, rule
            assert used <= set(KNOWN) | recorded(), rule


def test_every_alert_has_a_runbook_that_exists() -> None:
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).strip().replace(" ", "-")
        for line in (ROOT / "docs" / "operations.md").read_text().splitlines()
        if line.startswith("#")
    }
    for rule in rule_spec()["groups"][1]["rules"]:
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/operations.md"
        assert anchor in headings, anchor
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}


def test_each_model_has_its_own_engine_alert() -> None:
    down = [rule for rule in rule_spec()["groups"][1]["rules"] if rule["alert"] == "MoaEngineDown"]
    assert {rule["labels"]["model"] for rule in down} == {"qwen2.5-72b", "llama-3.1-70b", "mixtral-8x7b"}
    assert 'deployment="model:qwen2_5-72b"' in "".join(rule["expr"] for rule in down)


def test_the_metric_list_is_what_the_server_registers() -> None:
    """The names in deployments/ingress with Ray's prefix and Prometheus' suffix."""
    source = "".join(file.read_text() for file in (ROOT / "deployments" / "ingress").glob("*.py"))
    registered = {
        f"ray_{name}_total" if kind == "Counter" else f"ray_{name}"
        for kind, name in re.findall(r'(Counter|Gauge|Histogram)\(\s*"(moa_[a-z_]+)"', source)
    }
    listed = set(yaml.safe_load((CHART / "files" / "metrics.yaml").read_text())["server"])
    assert registered == listed


@needs_promtool
@pytest.mark.parametrize("case", ["default", "large", "no-karpenter", "many-replicas"])
def test_promtool_accepts_the_rules(case: str, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(rule_spec(case)))
    run = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr


@needs_promtool
@pytest.mark.parametrize("test", RULE_TESTS, ids=lambda file: file.stem)
def test_alerts_fire(test: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule_spec()))
    (tmp_path / test.name).write_text(test.read_text())
    run = subprocess.run(
        ["promtool", "test", "rules", test.name], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_alert_is_tested_both_ways() -> None:
    alerts = {rule["alert"] for rule in rule_spec()["groups"][1]["rules"]}
    fires, silent = set(), set()
    for file in RULE_TESTS:
        for case in yaml.safe_load(file.read_text())["tests"]:
            for check in case.get("alert_rule_test", []):
                (fires if check.get("exp_alerts") else silent).add(check["alertname"])
    assert fires == silent == alerts

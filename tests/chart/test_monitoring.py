"""Dashboards and rules: the metrics exist, and alerts fire exactly when they should."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from render import CHART, ROOT, Object, helm, of_kind

METRICS: dict[str, Object] = yaml.safe_load((CHART / "files" / "metrics.yaml").read_text())
VERSIONS = METRICS.pop("versions")
KNOWN: dict[str, Object] = {name: metric for exporter in METRICS.values() for name, metric in exporter.items()}
DASHBOARDS = sorted((CHART / "files" / "dashboards").glob("*.json"))
RULE_TESTS = sorted((Path(__file__).parent / "rules").glob("*.yaml"))
WORDS = {
    "by", "le", "rate", "sum", "avg", "min", "max", "count", "vector", "increase", "histogram_quantile",
    "avg_over_time",
    "and", "or", "on", "group_left", "without", "unless", "absent", "max_over_time", "sum_over_time",
}  # fmt: skip


def rule_spec(case: str = "default") -> Object:
    """The rules of all PrometheusRules as one file of Prometheus."""
    return {"groups": [group for rule in of_kind(case, "PrometheusRule") for group in rule["spec"]["groups"]]}


def rules(case: str = "default") -> list[Object]:
    return [rule for group in rule_spec(case)["groups"] for rule in group["rules"]]


def alerts(case: str = "default") -> list[Object]:
    return [rule for rule in rules(case) if "alert" in rule]


def recorded() -> set[str]:
    return {rule["record"] for rule in rules() if "record" in rule}


def names(expression: str) -> set[str]:
    """Metric names in a PromQL expression: identifiers that are neither functions, labels nor words."""
    bare = re.sub(r'"(\\.|[^"\\])*"', '""', expression)
    bare = re.sub(r"\[[^\]]*\]|\boffset \w+", "", bare)
    bare = re.sub(r"\{[^}]*\}", "", bare)
    bare = re.sub(r"\b(by|without|on)\s*\([^)]*\)", " ", bare)
    return set(re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", bare)) - WORDS


def labels(expression: str) -> set[tuple[str, str]]:
    """(metric, label) pairs of the selectors."""
    found = set()
    for metric, selector in re.findall(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{([^}]*)\}", expression):
        found |= {(metric, label) for label in re.findall(r"([a-zA-Z_]+)\s*[=!]~?", selector)}
    return found


def grouped(expression: str) -> set[str]:
    """Labels that aggregations and joins of the expression name."""
    lists = re.findall(r"\b(?:by|without|on|ignoring|group_left)\s*\(([^)]*)\)", expression)
    return {label.strip() for one in lists for label in one.split(",") if label.strip()}


def labels_of(metric: str) -> set[str]:
    """Labels that series of the metric have; `group`, `namespace` are Prometheus' own, of the pod that it scrapes."""
    if metric not in recorded():
        return {*KNOWN[base(metric)]["labels"], "le", "group", "namespace"}
    mine = [rule for rule in rules() if rule.get("record") == metric]
    return {label for rule in mine for label in (*rule.get("labels", {}), *grouped(rule["expr"]))}


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
            assert label in labels_of(metric), (title, metric, label)
        assert grouped(expression) <= {label for name in used for label in labels_of(name)}, title


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_every_legend_shows_labels_that_the_series_have(file: Path) -> None:
    for panel in json.loads(file.read_text())["panels"]:
        for target in panel.get("targets", []):
            expression, shown = target["expr"], set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            left = grouped(expression) - {"le"}
            if not re.search(r"\b(sum|avg|max|count)\b", expression):  # nothing is summed away
                left = {label for name in names(expression) for label in labels_of(name)}
            assert shown <= left, panel["title"]
            assert shown or target["legendFormat"]


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_dashboards_are_installed_whole(file: Path) -> None:
    maps = {m["metadata"]["name"]: m for m in of_kind("default", "ConfigMap")}
    config = maps[f"moa-dashboard-{file.stem}"]
    assert json.loads(config["data"][file.name]) == json.loads(file.read_text())
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_every_rule_names_metrics_that_exist() -> None:
    for rule in rules():
        used = {base(name) for name in names(rule["expr"])}
        assert used, rule
        assert used <= set(KNOWN) | recorded(), rule
        for metric, label in labels(rule["expr"]):
            if metric in recorded():
                continue
            assert label in {*KNOWN[base(metric)]["labels"], "le", "namespace"}, (rule, metric, label)
        assert grouped(rule["expr"]) <= {label for name in used for label in labels_of(name)}, rule


def test_the_dashboard_of_an_exporter_that_is_not_scraped_is_left_out() -> None:
    shown = {
        case: {one["metadata"]["name"] for one in of_kind(case, "ConfigMap") if "dashboard" in one["metadata"]["name"]}
        for case in ("default", "no-exporters")
    }
    assert shown["default"] - shown["no-exporters"] == {"moa-dashboard-gpus"}


def test_every_alert_has_a_runbook_that_exists() -> None:
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).strip().replace(" ", "-")
        for line in (ROOT / "docs" / "operations.md").read_text().splitlines()
        if line.startswith("#")
    }
    for rule in alerts():
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/operations.md"
        assert anchor in headings, anchor
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}


def test_alerts_of_an_exporter_that_is_not_scraped_are_left_out() -> None:
    """An alert without its metrics can never fire."""
    needs = {"kubeRay": "kuberay_", "kubeStateMetrics": "kube_", "karpenter": "karpenter_", "dcgm": "DCGM_"}
    everything = " ".join(rule["expr"] for rule in alerts())
    assert all(prefix in everything for prefix in needs.values())
    prefixes = (*needs.values(), "operator_")  # Karpenter's, too
    left = {rule["alert"] for rule in alerts() if not any(prefix in rule["expr"] for prefix in prefixes)}
    assert {rule["alert"] for rule in alerts("no-exporters")} == left
    assert len(of_kind("no-exporters", "PrometheusRule")) == 1
    missing = {rule["labels"]["exporter"] for rule in alerts() if rule["alert"] == "MoaExporterMissing"}
    assert missing == set(needs)
    assert "karpenter" not in " ".join(rule["expr"] for rule in alerts("no-karpenter"))


def test_a_service_that_is_stopped_on_purpose_raises_no_alert() -> None:
    for pair in ("schedule.suspend=0 20 * * *", "suspend=true"):
        rendered = helm("template", "moa", sets=(pair,)).stdout
        names = [
            r.get("alert")
            for o in yaml.safe_load_all(rendered)
            if o and o["kind"] == "PrometheusRule"
            for g in o["spec"]["groups"]
            for r in g["rules"]
        ]
        assert "MoaServiceNotReady" in names
        assert "MoaServiceWithoutCluster" not in names
    assert "MoaServiceWithoutCluster" in {rule["alert"] for rule in alerts()}


@pytest.mark.parametrize("name", ["moa", "team-a"])
def test_alerts_about_nodes_select_the_node_pools_of_the_release(name: str) -> None:
    rendered = [o for o in yaml.safe_load_all(helm("template", "x", sets=(f"fullnameOverride={name}",)).stdout) if o]
    pools = [o["metadata"]["name"] for o in rendered if o["kind"] == "NodePool"]
    assert len(pools) >= 3
    rules = [r for o in rendered if o["kind"] == "PrometheusRule" for g in o["spec"]["groups"] for r in g["rules"]]
    patterns = {p for r in rules for p in re.findall(r'(?:nodepool|karpenter_sh_nodepool)=~("(?:[^"])*")', r["expr"])}
    assert patterns
    for pattern in map(json.loads, patterns):
        assert all(re.fullmatch(pattern, pool) for pool in pools), (pattern, pools)
        assert not re.fullmatch(pattern, f"{name}-b-gpu-spot")
    named = {p for r in rules for p in re.findall(r'nodepool="([^"]*)"', r["expr"])}
    assert named <= set(pools)


def objectives(case: str) -> dict[str, str]:
    """Objective of each model that a recording rule of slow first tokens selects."""
    found = {}
    for rule in rules(case):
        if rule.get("record") == "moa:ttft_slow:ratio_rate5m":
            (selected,) = set(re.findall(r'model(=~|!~)"([^"]*)"', rule["expr"]))
            bounds = set(re.findall(r'le=~"([^"]*)"', rule["expr"]))
            assert bounds == {rule["labels"]["objective"].replace(".", r"\\.") + r"(\\.0)?"}
            for name in selected[1].split("|"):
                found[name if selected[0] == "=~" else f"not {name}"] = rule["labels"]["objective"]
    return found


def test_each_recipe_has_its_objective_and_only_one() -> None:
    found = objectives("default")
    assert (found["moa"], found["moa-lite"], found["not moa"]) == ("90", "30", "10")
    named = {name for name in found if not name.startswith("not ")}
    assert named == {name.removeprefix("not ") for name in found if name.startswith("not ")}
    assert objectives("gpt-oss")["moa"] == "45"


def test_objectives_can_be_added_and_taken_away() -> None:
    found = objectives("own-objectives")
    assert found[r"team\\.1"] == "15"
    assert "vote" not in found


def test_every_rule_reads_and_writes_metrics_of_its_own_namespace_only() -> None:
    """Two releases would otherwise record the same series, and raise each other's alerts."""
    for rule in rules():
        for name in re.findall(r"(?:ray_|moa_|moa:|kuberay_|kube_)[\w:]+(?=.)", re.sub(r'"[^"]*"', '""', rule["expr"])):
            assert re.search(re.escape(name) + r'\{namespace="moa"', rule["expr"]), (rule, name)
        if rule.get("record") != "moa:service:settling":  # has that of KubeRay's metric
            assert rule["labels"]["namespace"] == "moa"


def test_each_model_has_its_own_engine_alert() -> None:
    down = [rule for rule in alerts() if rule["alert"] == "MoaEngineDown"]
    assert {rule["labels"]["model"] for rule in down} == {"qwen2.5-72b", "llama-3.1-70b", "mixtral-8x7b"}
    assert 'deployment="model:qwen2_5-72b"' in "".join(rule["expr"] for rule in down)


def test_the_metric_list_is_what_the_server_registers() -> None:
    """The names in deployments/ingress with Ray's prefix and Prometheus' suffix."""
    source = "".join(file.read_text() for file in (ROOT / "deployments" / "ingress").glob("*.py"))
    registered = {
        f"ray_{name}_total" if kind == "Counter" else f"ray_{name}"
        for kind, name in re.findall(r'(Counter|Gauge|Histogram)\(\s*"(moa_[a-z_]+)"', source)
    }
    assert registered == set(METRICS["server"])


def test_the_list_was_compared_with_the_versions_that_are_installed() -> None:
    lock = (ROOT / "requirements" / "gpu.txt").read_text()
    locked = dict(re.findall(r"^([a-z]+)(?:\[[^]]*\])?==([\w.]+)", lock, re.MULTILINE))
    commands = (ROOT / "docs" / "operations.md").read_text()
    for exporter in ("engine", "gpu"):
        assert VERSIONS[exporter] == {name: locked[name] for name in VERSIONS[exporter]}
    installed = dict(re.findall(r"\b([A-Z_]+)=(\d+\.\d+\.\d+)\b", commands))
    assert VERSIONS["karpenter"] == {"karpenter": installed["KARPENTER"]}
    assert VERSIONS["kubeRay"] == {"kuberay-operator": installed["KUBERAY"]}
    assert VERSIONS["dcgm"] == {"dcgm-exporter": installed["DCGM_EXPORTER"]}
    assert set(VERSIONS) == set(METRICS) - {"server", "proxy", "prometheus"}  # this repository's, and Prometheus' own


@pytest.mark.parametrize("case", ["default", "large", "gpt-oss", "no-karpenter", "many-replicas", "own-objectives"])
def test_promtool_accepts_the_rules(case: str, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(rule_spec(case)))
    run = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("test", RULE_TESTS, ids=lambda file: file.stem)
def test_alerts_fire(test: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule_spec()))
    (tmp_path / test.name).write_text(test.read_text())
    run = subprocess.run(
        ["promtool", "test", "rules", test.name], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_alert_is_tested_both_ways() -> None:
    known = {rule["alert"] for rule in alerts()}
    fires, silent = set(), set()
    for file in RULE_TESTS:
        for case in yaml.safe_load(file.read_text())["tests"]:
            for check in case.get("alert_rule_test", []):
                (fires if check.get("exp_alerts") else silent).add(check["alertname"])
    assert fires == silent == known

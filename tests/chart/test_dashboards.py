"""Dashboards: Grafana can load each of them, and shows every panel."""

import json
import re
from itertools import combinations

import pytest
import yaml
from render import CHART, Object

DASHBOARDS = sorted((CHART / "files" / "dashboards").glob("*.json"))
BUILT_IN = {"__rate_interval", "__all"}
VARIABLE = re.compile(r"\$\{?(\w+)\}?")
COLUMNS = 24

BOARDS = {file.stem: json.loads(file.read_text()) for file in DASHBOARDS}
each = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)


def variables(board: Object) -> dict[str, Object]:
    return {variable["name"]: variable for variable in board["templating"]["list"]}


def test_dashboards_have_their_own_ids() -> None:
    boards = BOARDS.values()
    assert len({board["uid"] for board in boards}) == len({board["title"] for board in boards}) == len(boards)
    assert {board["schemaVersion"] for board in boards} == {39}


def test_files_are_named_like_their_dashboards() -> None:
    assert {name: board["uid"] for name, board in BOARDS.items()} == {name: f"moa-{name}" for name in BOARDS}


@each
def test_panels_have_ids_and_places_of_their_own(board: Object) -> None:
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= COLUMNS, panel["title"]
    for one, other in combinations(panels, 2):
        a, b = one["gridPos"], other["gridPos"]
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        below = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert beside or below, (one["title"], other["title"])


@each
def test_every_panel_asks_the_chosen_data_source(board: Object) -> None:
    assert variables(board)["datasource"] == {
        "name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source",
    }  # fmt: skip
    source = {"type": "prometheus", "uid": "${datasource}"}
    queried = [variable for variable in variables(board).values() if variable["type"] == "query"]
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    targets = [target for panel in panels for target in panel["targets"]]
    assert all(item["datasource"] == source for item in [*queried, *panels, *targets])
    for panel in panels:
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters)
        assert panel["fieldConfig"]["defaults"]["unit"]


@each
def test_every_variable_is_defined_and_used(board: Object) -> None:
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    used = set(VARIABLE.findall(json.dumps(panels)))
    assert used - BUILT_IN == set(variables(board))


def test_the_gpu_dashboard_shows_every_model_apart() -> None:
    board = BOARDS["gpus"]
    rows = [panel["title"] for panel in board["panels"] if panel["type"] == "row"]
    assert rows == ["Models", "GPUs", "Errors"]
    text = json.dumps(board)
    for metric in ("GPU_UTIL", "FB_USED", "POWER_USAGE", "XID_ERRORS"):
        assert f"DCGM_FI_DEV_{metric}" in text
    models = [p for p in board["panels"] if p["title"].endswith("by model")]
    assert len(models) == 6
    assert all("by (moa_group)" in target["expr"] for panel in models for target in panel["targets"])


def test_the_exporters_values_give_the_label_of_the_model() -> None:
    """`moa/group` of the pod becomes `moa_group`: the exporter replaces what Prometheus forbids in names."""
    values = yaml.safe_load((CHART.parent / "operators" / "dcgm-exporter.yaml").read_text())
    (pattern,) = values["kubernetes"]["podLabelAllowlistRegex"]
    assert re.search(pattern, "moa/group")
    assert values["kubernetes"]["enablePodLabels"] is True
    assert values["serviceMonitor"]["honorLabels"] is True

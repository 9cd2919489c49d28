"""Dashboards: Grafana can load each of them, and shows every panel."""

import json
import re
from itertools import combinations

import pytest
import yaml
from render import CHART, ROOT, Object

DASHBOARDS = sorted((CHART / "files" / "dashboards").glob("*.json"))
BUILT_IN = {"__rate_interval", "__all", "__url_time_range"}
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


@each
def test_every_panel_has_a_unit_and_says_what_it_shows(board: Object) -> None:
    for panel in board["panels"]:
        if panel["type"] != "row":
            assert panel["fieldConfig"]["defaults"]["unit"] not in ("", "short"), panel["title"]
            assert re.fullmatch(r"[A-Z].{20,}\.", panel["description"], re.DOTALL), panel["title"]


@each
def test_every_dashboard_links_to_all_others(board: Object) -> None:
    [link] = board["links"]
    assert link["type"] == "dashboards"
    assert all(set(link["tags"]) <= set(other["tags"]) for other in BOARDS.values())
    assert link["includeVars"] is link["keepTime"] is True


def test_a_variable_means_the_same_on_all_dashboards() -> None:
    """The links hand on their values: a group of GPU pods would select no recipe."""
    labels: dict[str, set[str]] = {}
    for board in BOARDS.values():
        for name, variable in variables(board).items():
            labels.setdefault(name, set()).add(variable["label"])
    assert {name: found for name, found in labels.items() if len(found) > 1} == {}


def test_the_panels_of_the_overview_link_to_the_dashboard_with_more() -> None:
    uids = {board["uid"]: board["title"] for board in BOARDS.values()}
    panels = [panel for panel in BOARDS["overview"]["panels"] if panel["type"] != "row"]
    assert len(panels) >= 12
    unlinked = {panel["title"] for panel in panels if not panel.get("links")}
    assert unlinked == {"Alerts"}
    for panel in panels:
        for link in panel.get("links", []):
            uid = re.match(r"/d/([a-z-]+)\?", link["url"])
            assert uid is not None, panel["title"]
            assert uids[uid[1]] == link["title"]


def test_the_overview_shows_what_an_operator_looks_for_first() -> None:
    shown = {panel["title"] for panel in BOARDS["overview"]["panels"]}
    assert shown >= {
        "Alerts", "Cost a day", "Cost a month", "First token, p95", "Lost calls by model", "Proposers by model",
        "Refusals a second by reason", "Time per output token",
    }  # fmt: skip


def test_documents_name_dashboards_and_panels_that_exist() -> None:
    """In the runbook: *MoA / Name* is a dashboard, and a panel is named as *Panel* of *MoA / Name*."""
    titles = {board["title"]: {panel["title"] for panel in board["panels"]} for board in BOARDS.values()}
    text = re.sub(r"\s+", " ", (ROOT / "docs" / "operations.md").read_text())
    assert set(re.findall(r"\*(MoA / [^*]+)\*", text)) == set(titles)
    named = [(panel, board) for panel, board in re.findall(r"\*([^*]+)\* of \*(MoA / [^*]+)\*", text)]
    assert len(named) >= 8
    assert [(panel, board) for panel, board in named if panel not in titles[board]] == []
    assert not re.findall(r"[Pp]anels? \*[^*]+\*(?! of \*| and \*)", text)  # a panel without its dashboard


@each
def test_every_variable_is_defined_and_used(board: Object) -> None:
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    used = set(VARIABLE.findall(json.dumps(panels)))
    assert used - BUILT_IN == set(variables(board))


def test_alerts_name_dashboards_and_panels_that_exist() -> None:
    titles = {board["title"]: {panel["title"] for panel in board["panels"]} for board in BOARDS.values()}
    text = (CHART / "templates" / "prometheusrules.yaml").read_text()
    panels = re.findall(r"panel (.+?) of (MoA / [^.]+)\.", text)
    boards = re.findall(r"dashboard (MoA / .+?) shows", text)
    assert len(panels) == len(boards) == 1
    assert all(panel in titles[board] for panel, board in panels)
    assert set(boards) <= set(titles)


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

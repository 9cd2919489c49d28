"""Grafana of a local server: found where it is installed, and given the dashboards and the data source."""

import json
from pathlib import Path

import pytest
import yaml

from deployments.watch.dashboards import NAMES
from deployments.watch.grafana import Grafana, environment, find_grafana, provision


def program(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    return file


def home(folder: Path) -> Path:
    (folder / "conf").mkdir(parents=True)
    (folder / "conf" / "defaults.ini").write_text("")
    return folder


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "bin"


def test_without_grafana_there_is_none(path: Path) -> None:
    assert find_grafana(homes=()) is None


def test_a_package_has_its_home_elsewhere(path: Path, tmp_path: Path) -> None:
    found, share = program(path, "grafana"), home(tmp_path / "share")
    assert find_grafana(homes=(str(share),)) == Grafana((str(found), "server"), share)


def test_a_package_that_is_not_on_the_path_is_found_in_its_home(path: Path, tmp_path: Path) -> None:
    share = home(tmp_path / "share")
    found = program(share / "bin", "grafana")
    assert find_grafana(homes=(str(share),)) == Grafana((str(found), "server"), share)


def test_an_unpacked_archive_is_its_own_home(path: Path, tmp_path: Path) -> None:
    archive = home(tmp_path / "grafana-13")
    real = program(archive / "bin", "grafana-server")
    path.mkdir()
    (path / "grafana-server").symlink_to(real)
    assert find_grafana(homes=()) == Grafana((str(path / "grafana-server"),), archive)


def test_another_program_of_that_name_is_not_started(path: Path) -> None:
    program(path, "grafana")
    assert find_grafana(homes=()) is None


def test_the_dashboards_and_the_data_source_are_provisioned(tmp_path: Path) -> None:
    (tmp_path / "boards").mkdir()
    (tmp_path / "boards" / "gone.json").write_text("{}")
    provision(tmp_path, "http://127.0.0.1:9090")
    [source] = yaml.safe_load((tmp_path / "provisioning" / "datasources" / "moa.yaml").read_text())["datasources"]
    assert (source["type"], source["url"], source["isDefault"]) == ("prometheus", "http://127.0.0.1:9090", True)
    [provider] = yaml.safe_load((tmp_path / "provisioning" / "dashboards" / "moa.yaml").read_text())["providers"]
    boards = Path(provider["options"]["path"])
    assert {file.stem for file in boards.glob("*.json")} == set(NAMES)
    home_page = Path(environment(tmp_path, 3000)["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert json.loads(home_page.read_text())["title"] == "MoA / Overview"


def test_grafana_keeps_to_this_machine_and_sends_nothing(tmp_path: Path) -> None:
    settings = environment(tmp_path, 3001)
    assert (settings["GF_SERVER_HTTP_ADDR"], settings["GF_SERVER_HTTP_PORT"]) == ("127.0.0.1", "3001")
    off = [name for name in settings if "ANALYTICS" in name or "NEWS" in name]
    assert len(off) == 4
    assert {settings[name] for name in off} == {"false"}
    assert all(Path(value).is_relative_to(tmp_path) for name, value in settings.items() if "PATHS" in name)

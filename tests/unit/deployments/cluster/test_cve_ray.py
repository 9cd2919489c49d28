"""Classes of attacks on Ray's dashboard and ports: a web page or a stranger finds none of them.

CVE-2025-62593 and CVE-2026-27482: pages of the web asked the dashboard of a machine, by DNS rebinding and with
methods that were forgotten. ShadowRay (CVE-2023-48022): anyone who reached the dashboard ran code.
"""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp.web
import pytest
from ray.dashboard import optional_utils

from deployments.cluster import local
from deployments.config import AppArgs, load_profile
from tests.support.paths import ROOT

PROFILE = load_profile("tiny")
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)", "Origin": "http://evil.example"}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Arguments with which Ray and Serve would be started."""
    seen: dict[str, Any] = {}
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("MOA_HAPROXY_HOST", "")
    monkeypatch.setattr(local, "interrupt_once", lambda _: None)
    monkeypatch.setattr(local, "check_host", lambda *_: None)
    monkeypatch.setattr(local, "keep_to_loopback", lambda: seen.update(loopback=True))
    monkeypatch.setattr(local, "session_logs", lambda: tmp_path)
    monkeypatch.setattr(local.ray, "is_initialized", lambda: False)

    def init(**options: Any) -> SimpleNamespace:
        seen.update(options)
        return SimpleNamespace(dashboard_url="127.0.0.1:8266" if options["include_dashboard"] else "")

    monkeypatch.setattr(local.ray, "init", init)
    monkeypatch.setattr(local.serve, "start", lambda **options: seen.update(options))
    return seen


def test_there_is_no_dashboard_unless_it_is_asked_for(
    started: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert local.start_cluster(PROFILE, AppArgs())
    assert started["include_dashboard"] is False
    assert capsys.readouterr().err == ""
    local.start_cluster(PROFILE, AppArgs(dashboard=True))
    assert started["include_dashboard"] is True
    # Ray takes another port if its own is in use: the address is printed.
    assert capsys.readouterr().err == "Ray's dashboard: http://127.0.0.1:8266\n"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_dashboard_never_leaves_the_machine(started: dict[str, Any], host: str) -> None:
    local.start_cluster(PROFILE, AppArgs(dashboard=True, host=host))
    assert started.get("dashboard_host", "127.0.0.1") == "127.0.0.1"  # Ray's default
    assert started["loopback"] is True
    assert started["http_options"].host == "127.0.0.1"  # of the replicas' ports; HAProxy's is another one
    assert os.environ["MOA_HAPROXY_HOST"] == host


@pytest.mark.parametrize("method", ["DELETE", "POST", "PUT", "PATCH", "GET", "HEAD", "OPTIONS"])
async def test_no_web_page_asks_the_dashboards_agent(method: str) -> None:
    """The installed version of Ray refuses browsers by default, and not by a list of forbidden methods."""
    asked: list[str] = []

    async def handler(request: Any) -> str:
        asked.append(request.method)
        return "done"

    refuses = optional_utils.get_browser_request_middleware(aiohttp)  # as the agent does
    request: Any = SimpleNamespace(method=method, headers=BROWSER, path="/api/jobs/1")
    response = await refuses(request, handler)
    assert (response.status in (403, 405), asked) == (True, [])


def test_rays_own_ports_need_a_token_on_kubernetes() -> None:
    lines = (ROOT / "helm" / "moa" / "templates" / "rayservice.yaml").read_text().split()
    assert "authOptions:" in lines
    assert lines[lines.index("authOptions:") + 1 :][:2] == ["mode:", "token"]

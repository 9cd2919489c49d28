"""Jobs that call the Kubernetes API: secrets that are made once, the service stopped and started by the clock.

The program of each job is run as it is rendered, against a server that answers as Kubernetes does.
"""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from render import FIXED, MATRIX, Object, helm, objects, of_kind, ray_templates


class Kubernetes:
    """Secrets and RayServices of one namespace, and what was asked for."""

    def __init__(self) -> None:
        self.secrets: dict[str, Object] = {}
        self.suspended: dict[str, bool] = {"moa": False}
        self.calls: list[tuple[str, str]] = []
        self.url = ""

    def answer(self, method: str, path: str, headers: Any, body: Object) -> int:
        self.calls.append((method, path))
        if headers["Authorization"] != "Bearer a-token":
            return 401
        if (method, path) == ("POST", "/api/v1/namespaces/moa/secrets"):
            name = body["metadata"]["name"]
            if name in self.secrets:
                return 409
            self.secrets[name] = body
            return 201
        service = path.removeprefix("/apis/ray.io/v1/namespaces/moa/rayservices/")
        if method == "PATCH" and service in self.suspended:
            assert headers["Content-Type"] == "application/merge-patch+json"
            self.suspended[service] = body["spec"]["suspend"]
            return 200
        return 404


@pytest.fixture
def kubernetes() -> Iterator[Kubernetes]:
    state = Kubernetes()

    class Handler(BaseHTTPRequestHandler):
        def do(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = state.answer(self.command, self.path, self.headers, body)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b'{"message": "said by the server"}')

        do_POST = do_PATCH = do

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    server.server_close()


def run(
    template: Object, kubernetes: Kubernetes, account: Path, token: str = "a-token"
) -> subprocess.CompletedProcess[str]:
    """Run a job's container, with a service account in the folder `account`."""
    (account / "token").write_text(f"{token}\n")
    (account / "namespace").write_text("moa")
    (container,) = template["spec"]["containers"]
    python, *command = container["command"]
    assert python == "python"
    given = {entry["name"]: entry["value"] for entry in container.get("env", [])}
    own = {"SERVICE_ACCOUNT": str(account), "KUBERNETES_API": kubernetes.url, "PATH": os.environ["PATH"]}
    return subprocess.run(
        [sys.executable, *command, *container["args"]], env={**given, **own}, capture_output=True, text=True, timeout=60
    )


def job(found: list[Object]) -> Object:
    (one,) = [obj for obj in found if obj["kind"] == "Job"]
    return one["spec"]["template"]


def cron(action: str) -> Object:
    (one,) = [obj for obj in of_kind("jobs", "CronJob") if obj["metadata"]["name"] == f"moa-{action}"]
    return one["spec"]["jobTemplate"]["spec"]["template"]


def test_the_job_makes_each_secret_once_and_a_later_sync_leaves_them(kubernetes: Kubernetes, tmp_path: Path) -> None:
    template = job(objects("jobs"))
    first = run(template, kubernetes, tmp_path)
    assert first.returncode == 0, first.stderr
    made = {name: secret["stringData"] for name, secret in kubernetes.secrets.items()}
    assert {name: list(data) for name, data in made.items()} == {
        "moa-api-key": ["api-key"], "moa-ray-token": ["auth_token"], "moa-redis": ["password"],
    }  # fmt: skip
    values = [value for data in made.values() for value in data.values()]
    assert len(set(values)) == 3
    assert all(len(value) >= 40 for value in values)
    second = run(template, kubernetes, tmp_path)
    assert second.returncode == 0, second.stderr
    assert {name: secret["stringData"] for name, secret in kubernetes.secrets.items()} == made
    assert not any(value in first.stdout + second.stdout for value in values), "no secret in a log"
    for secret in kubernetes.secrets.values():  # Helm can take them over
        assert secret["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
        assert secret["metadata"]["annotations"]["meta.helm.sh/release-name"] == "moa"
        assert secret["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_a_refused_job_fails_with_the_servers_sentence(kubernetes: Kubernetes, tmp_path: Path) -> None:
    refused = run(job(objects("jobs")), kubernetes, tmp_path, token="another")
    assert refused.returncode != 0
    assert "401" in refused.stderr
    assert "said by the server" in refused.stderr


def test_what_only_renders_the_chart_gets_the_same_output_each_time() -> None:
    """As Argo CD, for which `lookup` finds nothing: no secret with a value, so none that changes."""
    first, second = (helm("template", "moa", sets=("auth.generate=job",)).stdout for _ in range(2))
    assert first == second
    assert not [obj for obj in yaml.safe_load_all(first) if obj and obj["kind"] == "Secret"]


def test_the_job_runs_before_the_pods_that_read_its_secrets_and_on_any_node() -> None:
    hooks = [obj for obj in objects("jobs") if obj["metadata"]["name"] == "moa-secrets"]
    assert [obj["kind"] for obj in hooks] == ["ServiceAccount", "Role", "RoleBinding", "Job"]
    weights = []
    for obj in hooks:
        annotations = obj["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade"
        weights.append(int(annotations["helm.sh/hook-weight"]))
    assert max(weights[:-1]) < weights[-1], "its account first"
    assert "nodeSelector" not in job(objects("jobs"))["spec"], "the chart's own nodes do not exist yet"
    (role,) = [obj for obj in hooks if obj["kind"] == "Role"]
    assert role["rules"] == [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]}]


def secrets_read(template: Object) -> set[tuple[str, str]]:
    entries = template["spec"]["containers"][0]["env"]
    found = [entry["valueFrom"]["secretKeyRef"] for entry in entries if "secretKeyRef" in entry.get("valueFrom", {})]
    return {(ref["name"], ref["key"]) for ref in found}


def test_pods_read_the_secrets_that_the_job_makes() -> None:
    arguments = job(objects("jobs"))["spec"]["containers"][0]["args"]
    made = {tuple(pair.split("=")) for pair in arguments[1:]}
    for name, template in ray_templates("jobs").items():
        assert secrets_read(template) <= made, name


def test_only_secrets_without_a_name_are_made() -> None:
    out = helm("template", "moa", sets=("auth.generate=job", "auth.apiKey.value=key", FIXED[1])).stdout
    found = [obj for obj in yaml.safe_load_all(out) if obj]
    assert job(found)["spec"]["containers"][0]["args"] == ["secrets", "moa-redis=password"]
    (given,) = [obj for obj in found if obj["kind"] == "Secret"]
    assert given["stringData"] == {"api-key": "key"}
    assert not [
        o
        for o in yaml.safe_load_all(helm("template", "moa", sets=("auth.generate=job", *FIXED)).stdout)
        if o and o["kind"] == "Job"
    ]


def test_secrets_that_helm_makes_stay_when_something_else_makes_them() -> None:
    kept = [
        obj
        for obj in of_kind("default", "Secret")
        if "helm.sh/resource-policy" in obj["metadata"].get("annotations", {})
    ]
    assert {obj["metadata"]["name"] for obj in kept} == {"moa-api-key", "moa-ray-token", "moa-redis"}
    for obj in kept:
        (value,) = obj["stringData"].values()
        assert re.fullmatch("[A-Za-z0-9]{40}", value), obj["metadata"]["name"]


def test_the_clock_stops_and_starts_the_service(kubernetes: Kubernetes, tmp_path: Path) -> None:
    for action, suspended in (("suspend", True), ("resume", False)):
        done = run(cron(action), kubernetes, tmp_path)
        assert done.returncode == 0, done.stderr
        assert kubernetes.suspended == {"moa": suspended}
    times = {obj["metadata"]["name"]: obj["spec"]["schedule"] for obj in of_kind("jobs", "CronJob")}
    assert times == {"moa-suspend": "0 20 * * 1-5", "moa-resume": "30 6 * * 1-5"}
    (role,) = [obj for obj in of_kind("jobs", "Role") if obj["metadata"]["name"] == "moa-schedule"]
    (service,) = of_kind("jobs", "RayService")
    assert role["rules"] == [
        {
            "apiGroups": ["ray.io"],
            "resources": ["rayservices"],
            "resourceNames": [service["metadata"]["name"]],
            "verbs": ["patch"],
        }
    ]


@pytest.mark.parametrize("case", MATRIX)
def test_suspend_is_written_only_where_the_values_stop_the_service(case: str) -> None:
    """Written as false, an upgrade or a sync at night would start it."""
    (service,) = of_kind(case, "RayService")
    assert service["spec"].get("suspend") == (True if case == "suspended" else None)


def test_a_schedule_may_stop_only() -> None:
    out = helm("template", "moa", sets=("schedule.suspend=@weekly",)).stdout
    assert [obj["metadata"]["name"] for obj in yaml.safe_load_all(out) if obj and obj["kind"] == "CronJob"] == [
        "moa-suspend"
    ]


def test_names_of_cron_jobs_are_short_enough() -> None:
    out = helm("template", "m" * 53, sets=("schedule.suspend=@daily", "schedule.resume=@weekly")).stdout
    names = [obj["metadata"]["name"] for obj in yaml.safe_load_all(out) if obj and obj["kind"] == "CronJob"]
    assert len(set(names)) == 2
    assert max(map(len, names)) <= 52


def test_jobs_reach_the_api_server_only() -> None:
    (policy,) = [obj["spec"] for obj in of_kind("jobs", "NetworkPolicy") if obj["metadata"]["name"] == "moa-jobs"]
    labels = policy["podSelector"]["matchLabels"]
    for template in (job(objects("jobs")), cron("suspend")):
        assert labels.items() <= template["metadata"]["labels"].items()
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy
    (rule,) = policy["egress"]
    assert {port["port"] for port in rule["ports"]} == {443, 6443}
    (ray,) = [obj["spec"] for obj in of_kind("jobs", "NetworkPolicy") if obj["metadata"]["name"] == "moa"]
    assert "job" not in ray["podSelector"]["matchExpressions"][0]["values"]


def test_an_external_redis_gets_the_password_that_is_named_and_no_random_one() -> None:
    address = "gcs.redis.externalAddress=redis://redis.example:6379"
    for sets, password in {
        (address,): None,
        (address, "gcs.redis.existingSecret=theirs"): {
            "valueFrom": {"secretKeyRef": {"name": "theirs", "key": "password"}}
        },
    }.items():
        found = [obj for obj in yaml.safe_load_all(helm("template", "moa", sets=sets).stdout) if obj]
        (service,) = [obj for obj in found if obj["kind"] == "RayService"]
        assert service["spec"]["rayClusterConfig"]["gcsFaultToleranceOptions"].get("redisPassword") == password
        assert "moa-redis" not in {obj["metadata"]["name"] for obj in found if obj["kind"] == "Secret"}

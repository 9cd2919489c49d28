"""Traces: where each pod sends them, and that it may."""

import pytest
import yaml
from render import CHART, Object, helm, of_kind, ray_templates

ENDPOINT = "http://otel-collector.observability.svc:4318"
API_SERVER = yaml.safe_load((CHART / "values.yaml").read_text())["networkPolicy"]["apiServerCidrs"]
CLAIM = ("weights.source=pvc", "weights.pvc.claimName=w", "weights.s3.uri=")  # without a rule for port 443


def environment(container: Object) -> dict[str, Object]:
    return {variable["name"]: variable for variable in container["env"]}


def ray_containers(case: str) -> list[Object]:
    templates = ray_templates(case).values()
    return [c for t in templates for c in t["spec"]["containers"] if c["name"].startswith("ray-")]


def test_without_an_endpoint_nothing_is_traced() -> None:
    for container in ray_containers("default"):
        assert not [name for name in environment(container) if name.startswith("OTEL_") or "TRACING" in name]


def test_every_ray_pod_sends_its_spans_to_the_collector() -> None:
    containers = ray_containers("traced")
    assert len(containers) >= 5  # the head, the orchestrators, the models
    for container in containers:
        found = environment(container)
        values = {name: found[name].get("value") for name in found if name.startswith("OTEL_") or "TRACING" in name}
        assert values == {
            "RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH": "deployments.cluster.tracing:span_processors",
            "RAY_SERVE_TRACING_SAMPLING_RATIO": "1",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{ENDPOINT}/v1/traces",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            "OTEL_SERVICE_NAME": "moa",
            "OTEL_RESOURCE_ATTRIBUTES": "service.namespace=moa,deployment.environment.name=production",
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS": None,
        }
        headers = found["OTEL_EXPORTER_OTLP_TRACES_HEADERS"]["valueFrom"]
        assert headers == {"secretKeyRef": {"name": "otel", "key": "headers"}}


def test_texts_are_in_spans_only_if_the_operator_says_so() -> None:
    name = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
    assert name not in helm("template", "moa", sets=(f"telemetry.otlp.endpoint={ENDPOINT}",)).stdout
    sets = (f"telemetry.otlp.endpoint={ENDPOINT}", "telemetry.otlp.captureTexts=true")
    assert f'{name}, value: "true"' in helm("template", "moa", sets=sets).stdout


def test_logs_are_json_by_a_setting_of_the_api() -> None:
    rendered = helm("template", "moa", sets=("api.settings.log_format=json",)).stdout
    assert "log_format: json" in rendered


@pytest.mark.parametrize(
    ("protocol", "endpoint", "url"),
    [
        ("http/protobuf", ENDPOINT, f"{ENDPOINT}/v1/traces"),
        ("http/protobuf", f"{ENDPOINT}/", f"{ENDPOINT}/v1/traces"),
        ("http/protobuf", "https://otlp.example.com/otlp", "https://otlp.example.com/otlp/v1/traces"),
        ("http/protobuf", "https://otlp.example.com/v1/traces", "https://otlp.example.com/v1/traces"),
        ("grpc", "http://otel-collector.observability.svc:4317", "http://otel-collector.observability.svc:4317"),
    ],
)
def test_the_path_of_traces_is_added_over_http(protocol: str, endpoint: str, url: str) -> None:
    sets = (f"telemetry.otlp.endpoint={endpoint}", f"telemetry.otlp.protocol={protocol}")
    rendered = helm("template", "moa", sets=sets).stdout
    assert f'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, value: "{url}"' in rendered


def test_variables_that_ray_reads_for_its_own_metrics_are_not_set() -> None:
    """Ray's processes send each other metrics by OTLP: they would use the collector's token and TLS."""
    for container in ray_containers("traced"):
        of_otlp = {name for name in environment(container) if name.startswith("OTEL_EXPORTER_OTLP")}
        assert of_otlp
        assert all(name.startswith("OTEL_EXPORTER_OTLP_TRACES_") for name in of_otlp)


def egress(endpoint: str, *values: str) -> list[Object]:
    """Egress rules of the Ray pods that an endpoint adds."""

    def rules(*sets: str) -> list[Object]:
        rendered = yaml.safe_load_all(helm("template", "moa", sets=sets).stdout)
        (policy,) = [o for o in rendered if o and o["kind"] == "NetworkPolicy" and o["metadata"]["name"] == "moa"]
        return policy["spec"]["egress"]

    before = rules(*values)
    return [rule for rule in rules(f"telemetry.otlp.endpoint={endpoint}", *values) if rule not in before]


@pytest.mark.parametrize(
    ("endpoint", "port"),
    [
        (ENDPOINT, 4318),
        ("http://otel-collector.observability.svc.cluster.local:4317", 4317),
        ("https://otel-collector.observability.svc", 443),
    ],
)
def test_ray_pods_may_reach_a_collector_in_the_cluster(endpoint: str, port: int) -> None:
    (rule,) = egress(endpoint)
    selector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "observability"}}}
    assert rule == {"to": [selector], "ports": [{"port": port, "protocol": "TCP"}]}


@pytest.mark.parametrize(("endpoint", "port"), [("https://otlp.example.com:4317/v1", 4317), ("http://10.0.0.7", 80)])
def test_ray_pods_may_reach_a_collector_elsewhere(endpoint: str, port: int) -> None:
    (rule,) = egress(endpoint)
    assert rule == {"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": port, "protocol": "TCP"}]}


def test_a_collector_at_the_port_of_the_api_server_opens_no_way_to_that() -> None:
    (rule,) = egress("https://otlp.example.com:6443")
    assert rule["to"] == [{"ipBlock": {"cidr": "0.0.0.0/0", "except": API_SERVER}}]
    assert egress("https://otlp.example.com") == [], "the rule of the weights"
    (claim,) = egress("https://otlp.example.com", *CLAIM)
    assert claim == {**rule, "ports": [{"port": 443, "protocol": "TCP"}]}


def test_redis_reaches_no_collector() -> None:
    policies = {policy["metadata"]["name"]: policy for policy in of_kind("traced", "NetworkPolicy")}
    assert "egress" not in policies["moa-redis"]["spec"]

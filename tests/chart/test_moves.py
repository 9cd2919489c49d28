"""Pods and nodes that move: what Karpenter and a lack of GPUs may end, and where pods are put."""

import re

import pytest
from render import MATRIX, Object, of_kind, pods, ray_templates

CASES = pytest.mark.parametrize("case", MATRIX)


def held(template: Object) -> str | None:
    """Time for which a pod keeps Karpenter from its node."""
    return template["metadata"].get("annotations", {}).get("karpenter.sh/do-not-disrupt")


@CASES
def test_a_pod_that_may_be_on_spot_can_be_drained_at_any_time(case: str) -> None:
    for name, template in ray_templates(case).items():
        selector = template["spec"].get("nodeSelector", {})
        if selector.get("karpenter.sh/capacity-type") != "on-demand":
            assert held(template) is None, name


def test_the_floor_holds_its_node_while_its_engine_loads() -> None:
    assert held(ray_templates("default")["qwen2-5-72b-floor"]) == "40m"
    for pool in of_kind("default", "NodePool"):
        assert pool["spec"]["template"]["spec"]["terminationGracePeriod"] == "1h"


@CASES
def test_the_head_and_redis_are_not_moved(case: str) -> None:
    karpenter = bool(of_kind(case, "NodePool"))
    lone = {name: template for name, template in pods(case) if name in ("head", "moa-redis")}
    assert "head" in lone
    for name, template in lone.items():
        assert held(template) == ("true" if karpenter else None), name
        if karpenter:
            selector = template["spec"]["nodeSelector"]
            assert (selector["moa/pool"], selector["karpenter.sh/capacity-type"]) == ("cpu", "on-demand")
    for pool in of_kind(case, "NodePool"):
        assert pool["spec"]["disruption"]["consolidationPolicy"] == "WhenEmpty"
        assert pool["spec"]["template"]["spec"]["expireAfter"] == "Never", "a node goes before another has come"


@CASES
def test_only_orchestrators_are_spread_over_zones(case: str) -> None:
    for name, template in pods(case):
        spread = template["spec"].get("topologySpreadConstraints", [])
        if name != "orchestrator":
            assert spread == [], name
            continue
        (rule,) = spread
        assert rule["topologyKey"] == "topology.kubernetes.io/zone"
        assert rule["labelSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        assert rule["matchLabelKeys"] == ["ray.io/cluster"], "not the pods of the cluster before an upgrade"


@CASES
def test_serve_leaves_a_draining_nodes_proxy_to_the_hook(case: str) -> None:
    """Serve ends an idle one after 30 s otherwise, while load balancers may still use it until the notice is over."""
    drained = 0
    for name, template in ray_templates(case).items():
        (container,) = template["spec"]["containers"]
        variables = {one["name"]: one.get("value") for one in container["env"]}
        hook = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [])
        times = dict(word.removeprefix("--").split("=") for word in hook if word.startswith("--"))
        if times:
            drained += 1
            lasts_s = float(times["notice-s"]) + float(times["drain-s"])
            assert float(variables["RAY_SERVE_PROXY_MIN_DRAINING_PERIOD_S"]) >= lasts_s, name
    assert drained


def hours(duration: str) -> float:
    units = {"h": 1, "m": 1 / 60, "s": 1 / 3600}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([0-9]+)([hms])", duration))


@CASES
def test_a_lack_of_gpus_does_not_end_the_service(case: str) -> None:
    """KubeRay never tries again once the time is over; GPUs may be missing for hours."""
    (service,) = of_kind(case, "RayService")
    assert hours(service["metadata"]["annotations"]["ray.io/initializing-timeout"]) >= 24

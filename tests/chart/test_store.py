"""The store of the server: its addresses from secrets, its settings, and the way to its servers."""

import pytest
import yaml
from render import Object, of_kind, ray_templates

SECRETS = {"MOA_DATABASE_URL": "moa-database", "MOA_REDIS_URL": "moa-redis-url"}


def written(case: str) -> Object:
    (config,) = [c for c in of_kind(case, "ConfigMap") if "profile.yaml" in c["data"]]
    return yaml.safe_load(config["data"]["profile.yaml"])


def addresses(case: str) -> dict[str, dict[str, Object]]:
    """Secrets of the variables of each Ray pod."""
    return {
        name: {one["name"]: one["valueFrom"]["secretKeyRef"] for one in template["spec"]["containers"][0]["env"]
               if one["name"] in SECRETS}
        for name, template in ray_templates(case).items()
    }  # fmt: skip


def test_addresses_come_from_secrets() -> None:
    found = addresses("store")
    assert found
    for variables in found.values():
        assert variables == {name: {"name": secret, "key": "url"} for name, secret in SECRETS.items()}


def test_settings_reach_the_profile() -> None:
    assert written("store")["store"] == {"enabled": True, "timeout_s": 5}


@pytest.mark.parametrize("case", ["default", "pvc"])
def test_without_a_database_nothing_is_kept(case: str) -> None:
    assert written(case)["store"] == {"enabled": False}
    assert all(variables == {} for variables in addresses(case).values())


def test_pods_may_reach_both_servers() -> None:
    def ports(case: str) -> list[int]:
        return [rule["ports"][0]["port"] for policy in of_kind(case, "NetworkPolicy")
                for rule in policy["spec"].get("egress", []) if "to" not in rule]  # fmt: skip

    assert set(ports("store")) >= {5432, 6380}
    assert not set(ports("default")) & {5432, 6380}

"""The key that manages keys: from a secret that exists, and only if there is one."""

import yaml
from render import Object, helm, ray_templates


def admin_keys(templates: list[Object]) -> list[Object]:
    containers = [one for template in templates for one in template["spec"]["containers"]]
    return [entry for one in containers for entry in one.get("env", ()) if entry["name"] == "MOA_ADMIN_KEY"]


def test_without_a_secret_there_is_no_admin_key() -> None:
    assert admin_keys([*ray_templates("default").values()]) == []


def test_the_admin_key_comes_from_the_secret() -> None:
    text = helm("template", "moa", sets=("auth.adminKey.existingSecret=moa-admin",)).stdout
    rendered = [one for one in yaml.safe_load_all(text) if one]
    (service,) = (one for one in rendered if one["kind"] == "RayService")
    cluster = service["spec"]["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    found = admin_keys([group["template"] for group in groups])
    assert len(found) >= len(groups)
    source = {"secretKeyRef": {"name": "moa-admin", "key": "admin-key"}}
    assert all(entry == {"name": "MOA_ADMIN_KEY", "valueFrom": source} for entry in found)

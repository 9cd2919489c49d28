"""terraform/: versions, names that the chart and the documents share, and the values that it prints."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml
from render import CHART, ROOT, helm
from test_walk import WALK, exported, manifests

FOLDER = ROOT / "terraform"
FILES = sorted(FOLDER.glob("*.tf"))
EXACT = re.compile(r"\d+\.\d+\.\d+")
# What the references of the values can be.
SAMPLE = {
    "aws_ecr_repository.image.repository_url": "111122223333.dkr.ecr.us-east-1.amazonaws.com/moa-large/moa-gpu",
    "aws_s3_bucket.weights.bucket": "moa-large-weights-111122223333",
    "aws_efs_file_system.cache.id": "fs-0123456789abcdef0",
    'local.tags["cost-center"]': "moa",
    "module.eks.cluster_name": "moa-large",
    "module.eks.cluster_service_cidr": "172.20.0.0/16",
    "module.karpenter.node_iam_role_name": "KarpenterNodeRole-moa-large",
    "module.vpc.vpc_cidr_block": "10.0.0.0/16",
    "var.image_tag": "0.1.0",
}
# Checks of checkov that do not fit, each with its reason.
SKIPPED = {
    "CKV_TF_1": "the registry's modules are pinned by their exact version",
    "CKV_AWS_394": "the number of zones is a variable",
    "CKV_AWS_184": "the compile cache holds nothing secret; EFS' own key encrypts it",
    "CKV_AWS_136": "the registry's own key encrypts the image",
    "CKV_AWS_145": "S3's own key encrypts public weights",
    "CKV_AWS_18": "reads of the weights need no log",
    "CKV2_AWS_62": "nothing waits for new weights",
    "CKV_AWS_21": "weights can be uploaded again; versions of them would cost as much as they do",
    "CKV_AWS_144": "the same",
}


def blocks(kind: str) -> list[dict[str, Any]]:
    return [block for file in FILES for block in hcl2.loads(file.read_text()).get(kind, [])]


def named(kind: str) -> dict[str, dict[str, Any]]:
    return {name: body for block in blocks(kind) for name, body in block.items()}


def one(body: dict[str, Any], field: str) -> Any:
    """Value of an attribute; this parser returns it in a list."""
    (value,) = body[field]
    return value


def filled(value: Any) -> Any:
    """The value with samples in place of references."""
    if isinstance(value, dict):
        return {key: filled(child) for key, child in value.items()}
    if isinstance(value, list):
        return [filled(child) for child in value]
    if isinstance(value, str):
        return re.sub(r"\$\{(.+?)\}", lambda found: SAMPLE[found[1].replace('\\"', '"')], value)
    return value


def test_modules_and_providers_have_exact_versions() -> None:
    modules = named("module")
    assert {"vpc", "eks", "karpenter", "weights"} <= set(modules)
    for name, body in modules.items():
        assert EXACT.fullmatch(one(body, "version")), name
    (terraform,) = blocks("terraform")
    providers = one(terraform, "required_providers")
    assert {"aws", "time", "tls"} <= set(providers)
    for name in ("aws", "time", "tls"):
        assert EXACT.fullmatch(one(providers, name)["version"]), name


def test_modules_of_one_source_have_one_version() -> None:
    versions: dict[str, set[str]] = {}
    for body in named("module").values():
        source = one(body, "source").partition("//")[0]
        versions.setdefault(source, set()).add(one(body, "version"))
    assert all(len(found) == 1 for found in versions.values()), versions


def test_variables_are_declared_used_and_described() -> None:
    text = "".join(file.read_text() for file in FILES)
    variables = named("variable")
    used = set(re.findall(r"\bvar\.(\w+)", re.sub(r'variable "\w+" \{.*?\n\}', "", text, flags=re.DOTALL)))
    assert used == set(variables)
    listed = set(
        re.findall(r"`(\w+)`", "".join(re.findall(r"^\| .*", (FOLDER / "README.md").read_text(), re.MULTILINE)))
    )
    for name, body in variables.items():
        assert one(body, "description").endswith("."), name
        assert name in listed, name


def test_the_readme_shows_the_defaults() -> None:
    rows = (FOLDER / "README.md").read_text()
    for name, body in named("variable").items():
        if "default" in body:
            default = one(body, "default")
            shown = default if isinstance(default, str) else json.dumps(default)
            (row,) = [line for line in rows.splitlines() if line.startswith("| ") and f"`{name}`" in line]
            assert f"`{shown}`" in row, row


def test_versions_are_those_of_the_walk() -> None:
    assert one(named("variable")["kubernetes_version"], "default") == exported()["KUBERNETES"]
    assert one(named("module")["eks"], "upgrade_policy") == {"support_type": "STANDARD"}


def test_the_cluster_has_what_that_of_the_walk_has() -> None:
    (walked,) = [obj for obj in manifests() if obj["kind"] == "ClusterConfig"]
    eks = named("module")["eks"]
    addons = one(eks, "addons")
    assert {addon["name"] for addon in walked["addons"]} <= set(addons)
    assert "enableNetworkPolicy" in addons["vpc-cni"]["configuration_values"]
    assert re.search(r"defaultStorageClass.*enabled.*True", addons["aws-ebs-csi-driver"]["configuration_values"])
    group = one(eks, "eks_managed_node_groups")["system"]
    (nodes,) = walked["managedNodeGroups"]
    assert (group["instance_types"], group["desired_size"]) == ([nodes["instanceType"]], nodes["desiredCapacity"])


def test_commands_of_the_walk_work_with_its_names() -> None:
    karpenter = named("module")["karpenter"]
    assert one(karpenter, "queue_name") == "${var.name}"
    assert "settings.interruptionQueue=$CLUSTER" in WALK
    assert one(karpenter, "node_iam_role_name") == "KarpenterNodeRole-${var.name}", "the chart's default"
    buckets = {name: body for block in blocks("resource") for name, body in block.get("aws_s3_bucket", {}).items()}
    name = one(buckets["weights"], "bucket")
    assert name == "${var.name}-weights-${data.aws_caller_identity.current.account_id}"
    assert "s3://$CLUSTER-weights-$ACCOUNT/models" in WALK
    environment = one(named("output")["environment"], "value")
    made = set(re.findall(r"export ([A-Z]+)=", environment))
    assert made == {"CLUSTER", "REGION", "ACCOUNT", "VPC", "EFS", "IMAGE"}


def test_nodes_and_subnets_have_the_tag_by_which_karpenter_finds_them() -> None:
    tag = {'"karpenter.sh/discovery"', "karpenter.sh/discovery"}
    assert tag & set(one(named("module")["eks"], "node_security_group_tags"))
    assert tag & set(one(named("module")["vpc"], "private_subnet_tags"))


def test_the_kubernetes_api_is_not_open_by_default() -> None:
    assert "default" not in named("variable")["api_access_cidrs"], "must be chosen"
    assert "/0" in one(one(named("variable")["api_access_cidrs"], "validation"), "condition")


def test_the_storage_class_is_that_of_the_walk() -> None:
    (local,) = [block["storage_class"] for block in blocks("locals") if "storage_class" in block]
    (walked,) = [obj for obj in manifests() if obj["kind"] == "StorageClass"]
    walked["parameters"]["fileSystemId"] = SAMPLE["aws_efs_file_system.cache.id"]
    assert filled(local[0]) == walked


def test_the_chart_takes_the_values_that_it_prints(tmp_path: Path) -> None:
    (local,) = [block["helm_values"] for block in blocks("locals") if "helm_values" in block]
    file = tmp_path / "values.yaml"
    values = filled(local[0])
    file.write_text(yaml.safe_dump(values))
    shown = helm("template", "moa", files=(str(file),)).stdout
    found = [obj for obj in yaml.safe_load_all(shown) if obj]
    (node_class, _) = [obj["spec"] for obj in found if obj["kind"] == "EC2NodeClass"]
    assert node_class["role"] == "KarpenterNodeRole-moa-large"
    assert "CHANGE-ME" not in shown
    (head,) = [obj for obj in found if obj["kind"] == "NetworkPolicy" and obj["metadata"]["name"] == "moa-head"]
    assert [peer["ipBlock"]["cidr"] for peer in head["spec"]["egress"][0]["to"]] == ["10.0.0.0/16", "172.20.0.0/16"]
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(values) <= set(defaults)


@pytest.mark.skipif(not shutil.which("terraform"), reason="no terraform")
def test_files_are_formatted() -> None:
    run = subprocess.run(
        ["terraform", f"-chdir={FOLDER}", "fmt", "-check", "-diff", "-recursive"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.skipif(
    not (shutil.which("terraform") and (FOLDER / ".terraform" / "providers").is_dir()),
    reason="no terraform, or `terraform init` has not fetched modules and providers",
)
def test_terraform_finds_it_valid() -> None:
    run = subprocess.run(
        ["terraform", f"-chdir={FOLDER}", "validate", "-no-color"], capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_checkov_finds_nothing() -> None:
    run = subprocess.run(
        [Path(sys.executable).with_name("checkov"), "--framework", "terraform", "-d", FOLDER, "--compact", "--quiet",
         "-o", "json", "--skip-download", "--skip-check", ",".join(SKIPPED)],
        capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    report = json.loads(run.stdout)
    assert report.get("results", {}).get("failed_checks", []) == []
    assert report.get("passed") or report["summary"]["passed"]

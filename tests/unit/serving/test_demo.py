"""The demo server: its command line, and answers of its models and recipes."""

import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import deployments.demo
from deployments.config import PROFILES, load_profile
from serving import demo
from serving.ports import free_port
from tests.support.api import ask, get
from tests.support.paths import ROOT

QUICK = ("--tokens", "3", "--ttft-s", "0", "--itl-s", "0")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Arguments with which the demo starts its HTTP server."""
    started: dict[str, Any] = {}
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("uvicorn.run", lambda app, **options: started.update(app=app, **options))
    return started


async def test_every_model_and_recipe_answers(
    started: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    monkeypatch.setattr(sys, "argv", ["demo", "--port", str(port), *QUICK])
    demo.main()
    assert (started["host"], started["port"]) == ("127.0.0.1", port)
    ids = [card["id"] for card in (await get(started["app"], "/v1/models")).json()["data"]]
    assert ids == ["moa", "moa-lite", *demo.MODELS]
    assert f"http://127.0.0.1:{port}/v1 answers as: {', '.join(ids)}" in capsys.readouterr().out
    for name in ids:
        model = name if name in demo.MODELS else demo.MODELS[0]
        response = await ask(started["app"], model=name)
        assert response.json()["choices"][0]["message"]["content"] == f"{model}-1 {model}-2 {model}-3"


@pytest.mark.parametrize("name", sorted(path.stem for path in PROFILES.glob("*.yaml")))
async def test_every_profile_can_be_served_without_its_weights(started: dict[str, Any], name: str) -> None:
    deployments.demo.main(["--profile", name, "--port", str(free_port()), *QUICK])
    profile = load_profile(name)
    cards = {card["id"]: card for card in (await get(started["app"], "/v1/models")).json()["data"]}
    assert {model.id for model in profile.served} <= set(cards)
    assert len(cards) == len(profile.served) + len(profile.recipes) + len(profile.pooling)
    response = await ask(started["app"], model="moa-lite")
    assert response.status_code == 200
    aggregator = profile.team["aggregator"]
    assert response.json()["choices"][0]["message"]["content"] == f"{aggregator}-1 {aggregator}-2 {aggregator}-3"


async def test_an_own_recipe_of_an_own_profile_answers(started: dict[str, Any], tmp_path: Path) -> None:
    text = (PROFILES / "tiny.yaml").read_text().replace("recipes:\n", "recipes:\n  - {preset: vote, id: mine}\n", 1)
    (tmp_path / "own.yaml").write_text(text)
    deployments.demo.main(["--profile", str(tmp_path / "own.yaml"), "--port", str(free_port()), *QUICK])
    response = await ask(started["app"], model="mine")
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--profile", "tny"], "Error: There is no profile 'tny'; did you mean 'tiny'? choose one of"),
        (["--port", "0"], "error: argument --port: must be a whole number from 1 to 65535, not '0'."),
        (["--ttft-s", "-1"], "error: argument --ttft-s: must be a number of at least 0, not '-1'."),
        (["--tokens", "many"], "error: argument --tokens: must be a whole number of at least 1, not 'many'."),
        (["--profil", "tny"], "Error: There is no profile 'tny'"),  # an abbreviation
        (["--host", "192.0.2.1"], "Error: '192.0.2.1' is no address of this machine"),
    ],
)
def test_what_is_wrong_is_one_sentence(words: list[str], sentence: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "serving.demo", *words], capture_output=True, text=True, cwd=ROOT, timeout=120
    )
    assert done.returncode in (1, 2)
    assert done.stdout == ""
    assert done.stderr.startswith(sentence)


def test_a_port_in_use_is_refused() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SystemExit, match=f"Error: Port {port} on 127.0.0.1 cannot be used .*add --port NUMBER"):
            demo.main(["--port", str(port)])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=str)
def test_a_signal_ends_it_with_status_0_and_without_a_traceback(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "serving.demo", "--port", str(free_port())],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert "answers as" in process.stdout.readline()
            process.send_signal(number)
            _, errors = process.communicate(timeout=120)
        finally:
            process.kill()
    assert (process.returncode, errors) == (0, "")

"""Progress of a start: readiness of the API, and the command that is printed for it."""

import json
import re
import shlex
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from pydantic import SecretStr

from deployments.cluster import progress
from deployments.cluster.progress import abilities, addresses, how_to_ask, is_ready
from deployments.config import PROFILES, load_profile
from deployments.metrics_setting import with_metrics
from models.tiny.questions import BACKWARDS, SORTED, SUMS, facts
from serving.ports import free_port

URL = "http://127.0.0.1:8000"


@contextmanager
def server(status: int) -> Iterator[str]:
    """The URL of a server whose every answer has `status`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/ready" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{httpd.server_port}"
        finally:
            httpd.shutdown()
            thread.join()


@pytest.mark.parametrize(("status", "ready"), [(200, True), (503, False)])
def test_readiness_is_the_status_of_the_answer(status: int, ready: bool) -> None:
    with server(status) as url:
        assert is_ready(url) is ready


def test_a_server_that_does_not_listen_is_not_ready() -> None:
    assert not is_ready(f"http://127.0.0.1:{free_port()}")


def test_the_environments_proxy_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    with server(200) as url:
        assert is_ready(url)


def test_the_first_address_is_that_of_the_console() -> None:
    profile = with_metrics(load_profile("tiny"), "127.0.0.1", local=True, keyed=False)
    found = re.findall(r"http\S+", "\n".join(addresses(profile, URL)))
    assert found == [f"{URL}/console", f"{URL}/v1", f"{URL}/metrics"]


def test_without_metrics_of_the_api_the_address_is_that_of_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "node_pages", lambda: ["http://10.0.0.1:99/metrics"])
    *_, last = addresses(load_profile("lite"), URL)
    assert last == "Metrics, for Prometheus: http://10.0.0.1:99/metrics"


def test_without_ray_no_address_of_metrics_is_invented(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> list[str]:
        raise RuntimeError("Ray has stopped")

    monkeypatch.setattr(progress, "node_pages", gone)
    assert len(list(addresses(load_profile("lite"), URL))) == 2


def test_one_line_says_what_the_models_can_do() -> None:
    profile = load_profile("tiny")
    [line] = abilities(profile)
    for model in profile.models:
        assert f"{model.id}, {model.description}" in line
    assert line.endswith("They know nothing else. For real language: make smol, then make serve ARGS=profile=smol.")


def test_models_without_a_description_are_not_described() -> None:
    profile = load_profile("tiny")
    silent = tuple(model.model_copy(update={"description": ""}) for model in profile.models)
    assert list(abilities(profile.model_copy(update={"models": silent, "scope": ""}))) == []
    assert list(abilities(profile.model_copy(update={"models": silent, "scope": "Only sums."}))) == ["Only sums."]


def test_the_tiny_profiles_questions_are_of_its_three_skills() -> None:
    """Phrased as in training, with a right answer that the data has: nothing is promised that was not taught."""
    phrasings = {
        "arithmetic": SUMS,
        "words": [*BACKWARDS, *SORTED],
        "facts": [text.replace("{x}", fact.subject) for fact in facts() for text in fact.phrasings],
    }
    found = [
        skill
        for question in load_profile("tiny").questions
        for skill, texts in phrasings.items()
        if any(re.fullmatch(re.sub(r"\\{.\\}", r"\\w+", re.escape(text)), question) for text in texts)
    ]
    assert found == ["arithmetic", "words", "facts"]


@pytest.mark.parametrize("name", sorted(path.stem for path in PROFILES.glob("*.yaml")))
def test_the_printed_command_asks_a_model_that_is_served(name: str) -> None:
    profile = load_profile(name)
    lines = list(how_to_ask(profile, URL))
    words = shlex.split(lines[1])
    body = json.loads(words[words.index("-d") + 1])
    assert body["model"] == "moa-lite"
    first, *others = profile.questions or ("What is 17 + 25?",)
    assert body["messages"] == [{"role": "user", "content": first}]
    assert all(other in "\n".join(lines) for other in others)


def test_the_printed_command_survives_any_question_and_sends_the_key() -> None:
    tiny = load_profile("tiny")
    api = tiny.api.model_copy(update={"api_key": SecretStr("secret")})
    asked = 'What\'s "x" & $HOME?'
    lines = list(how_to_ask(tiny.model_copy(update={"questions": (asked,), "api": api}), URL))
    words = shlex.split(lines[1])
    assert json.loads(words[words.index("-d") + 1])["messages"][0]["content"] == asked
    assert "Authorization: Bearer $MOA_API_KEY" in words
    assert "secret" not in "\n".join(lines)

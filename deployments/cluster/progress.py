"""Progress of a start on the terminal, until the server is ready."""

import json
import logging
import os
import shlex
import threading
import time
from collections.abc import Callable, Iterator

import httpx
from ray import serve

from deployments.api_settings import API_KEY
from deployments.config import Profile
from deployments.ingress.cluster_metrics import node_pages
from serving.recipes import load_recipes

POLL_S = 0.5


def watch_start(profile: Profile, host: str, port: int, say: Callable[[str], None]) -> threading.Thread:
    """Start a daemon thread that passes each model's progress, then example commands, to `say`."""
    thread = threading.Thread(target=_watch_start, args=(profile, host, port, say), daemon=True, name="progress")
    thread.start()
    return thread


def _watch_start(profile: Profile, host: str, port: int, say: Callable[[str], None]) -> None:
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs every request, and this polls
    began = time.monotonic()
    open_host = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    url = f"http://{open_host}:{port}"
    # A model without replicas at the start (`min: 0`) is loaded when it is asked.
    loading = {f"model:{model.id.replace('.', '_')}": model.id for model in profile.models if model.replicas.min}
    if loading:
        say(f"Loading {len(loading)} engines ({', '.join(loading.values())}) ...")
    while loading:
        for deployment in _healthy() & set(loading):
            say(f"  {loading.pop(deployment)}: loaded and warm after {time.monotonic() - began:.0f} s")
        time.sleep(POLL_S)
    while not is_ready(url):
        time.sleep(POLL_S)
    say(f"Ready after {time.monotonic() - began:.0f} s.")
    for line in (*abilities(profile), *addresses(profile, url), *how_to_ask(profile, url)):
        say(line)


def _healthy() -> set[str]:
    """Names of the deployments whose replicas all run."""
    try:
        applications = serve.status().applications.values()
    except Exception:  # Serve itself is starting or stopping
        return set()
    return {
        name
        for application in applications
        for name, deployment in application.deployments.items()
        if deployment.status == "HEALTHY"
    }


def is_ready(url: str, timeout_s: float = 5.0) -> bool:
    """True if `/ready` answers with 200: every engine is up."""
    try:
        # The server is on this machine: proxies of the environment are not for it.
        return httpx.get(f"{url}/ready", timeout=timeout_s, trust_env=False).status_code == 200
    except httpx.RequestError:
        return False


def abilities(profile: Profile) -> Iterator[str]:
    """A line that says what the models can do, by their descriptions; none if they have none."""
    described = [(model.id, model.description.rstrip(".")) for model in profile.models if model.description]
    if described or profile.scope:
        models = "; ".join(f"{model}, {text}" for model, text in described)
        yield " ".join(part for part in (models and f"Models: {models}.", profile.scope) if part)


def addresses(profile: Profile, url: str) -> Iterator[str]:
    """Lines with the addresses of the server: the page for people first, since people read them."""
    yield f"Console, for a browser: {url}/console"
    yield f"API, for OpenAI clients: {url}/v1"
    pages = [f"{url}/metrics"] if profile.api.metrics else _node_pages()
    if pages:
        yield f"Metrics, for Prometheus: {', '.join(pages)}"


def _node_pages() -> list[str]:
    try:
        return node_pages()
    except Exception:  # Ray is stopping
        return []


def how_to_ask(profile: Profile, url: str) -> Iterator[str]:
    """Lines with a command to paste that asks the server a question, or for an embedding."""
    recipes = [*load_recipes(profile.recipes, profile.team)]
    able = [name for name in recipes if name == "moa-lite"] or recipes or [model.id for model in profile.served]
    question, *others = profile.questions or ("What is 17 + 25?",)
    asked: dict[str, object] = {"messages": [{"role": "user", "content": question}]}
    path = "chat/completions"
    if not able:
        first, *_ = profile.pooling
        able, asked, path = [first.id], {"input": question}, "embeddings"
        if first.task == "rerank":
            asked, path = {"query": question, "documents": ["42", "43"]}, "rerank"
    body = shlex.quote(json.dumps({"model": able[0], **asked}, ensure_ascii=False))
    key = (
        ' -H "Authorization: Bearer $MOA_API_KEY"'
        if profile.api.api_key or profile.api.keys or os.environ.get(API_KEY)
        else ""
    )
    yield "Ask it:"
    yield f"  curl {url}/v1/{path} -H 'Content-Type: application/json'{key} -d {body}"
    if others:
        yield f"Other questions to paste: {' | '.join(others)}"
    yield "Ctrl-C stops it."

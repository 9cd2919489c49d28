"""The server under load: what it serves, and how many tokens its tokenizers make of our words."""

import random
from dataclasses import dataclass
from typing import Any

import httpx

from loadtest.errors import LoadError
from loadtest.results.exchange_builder import agents
from loadtest.traffic.prompts import TokenEstimator, words

TEAM = "moa-lite"
PROBE_WORDS = (20, 220)


@dataclass(frozen=True, slots=True)
class Target:
    host: str  # http://name:port, no path
    model: str
    recipe: bool  # a team: its answer's own tokens are known from the trace alone
    tokens: TokenEstimator
    api_key: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}


def find_target(host: str, model: str, api_key: str = "", timeout_s: float = 60.0) -> Target:
    """Ask the server what it serves, and probe its tokenizer with two short requests.

    Raises:
        LoadError: it does not answer, or does not serve `model`.
    """
    served = {card["id"]: card for card in _ask(host, "/v1/models", None, api_key, timeout_s).get("data", ())}
    name = model or (TEAM if TEAM in served else next(iter(served), ""))
    if name not in served:
        raise LoadError(f"{host} does not serve '{name}'; choose among {', '.join(served) or 'nothing'}.")
    recipe = is_recipe(served[name])
    measured = {count: _prompt_tokens(host, name, recipe, count, api_key, timeout_s) for count in PROBE_WORDS}
    return Target(host, name, recipe, TokenEstimator.fitted(measured), api_key)


def is_recipe(card: dict[str, Any]) -> bool:
    """This server says so in its model cards; others have no recipes."""
    return card.get("kind") == "recipe"


def _prompt_tokens(host: str, model: str, recipe: bool, count: int, api_key: str, timeout_s: float) -> int:
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": 1,
        "messages": [{"role": "user", "content": words(count, random.Random(count))}],
    }
    if recipe:
        body["moa"] = {"trace": True}
    answer = _ask(host, "/v1/chat/completions", body, api_key, timeout_s)
    for agent in agents(answer.get("moa") or {}):  # the first layer has seen nothing but our words
        return int(agent["usage"]["prompt_tokens"])
    return int(answer["usage"]["prompt_tokens"])


def _ask(host: str, path: str, body: dict[str, Any] | None, api_key: str, timeout_s: float) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    # A redirect is an error: following it would send load, and the API key, to another host. No proxy in between.
    with httpx.Client(headers=headers, timeout=timeout_s, follow_redirects=False, trust_env=False) as client:
        try:
            response = client.get(host + path) if body is None else client.post(host + path, json=body)
            if response.is_success:
                answer: dict[str, Any] = response.json()
                return answer
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            why = str(error) or type(error).__name__
            raise LoadError(f"{host} does not answer ({why}); start the server, or change --host.") from None
    if response.has_redirect_location:
        location = response.headers["location"]
        raise LoadError(f"{host}{path} redirects to {location}; give the host that answers directly as --host.")
    said = response.text[:300]
    raise LoadError(f"{host}{path} answered {response.status_code}: {said!r}; is it an OpenAI-compatible server?")

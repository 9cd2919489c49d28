"""The server under load: the model it is asked for, and the tokens its tokenizer makes of the generated words."""

import random
from dataclasses import dataclass
from typing import Any

import httpx

from loadtest.errors import LoadError
from loadtest.results.exchange_builder import agents
from loadtest.traffic.prompts import TokenEstimator, words
from serving.suggestions import did_you_mean

TEAM = "moa-lite"
PROBE_WORDS = (20, 220)


@dataclass(frozen=True, slots=True)
class Target:
    """One model or recipe of one server."""

    host: str  # http://name:port, no path
    model: str
    recipe: bool  # the tokens of a recipe's answer are known from its trace only
    tokens: TokenEstimator
    api_key: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """Headers of every request."""
        return _headers(self.api_key)


def find_target(host: str, model: str, api_key: str = "", timeout_s: float = 60.0) -> Target:
    """Ask the server for its models, and probe its tokenizer with two short requests.

    Raises:
        LoadError: the server does not answer, or does not serve `model`.
    """
    # A redirect is an error: following it would send load, and the API key, to another host. No proxy in between.
    with httpx.Client(
        base_url=host, headers=_headers(api_key), timeout=timeout_s, follow_redirects=False, trust_env=False
    ) as client:
        served = {card["id"]: card for card in _ask(client, "/v1/models").get("data", ())}
        name = model or (TEAM if TEAM in served else next(iter(served), ""))
        if name not in served:
            similar = did_you_mean(name, served)
            raise LoadError(f"{host} does not serve '{name}'; {similar}choose one of: {', '.join(served) or 'none'}.")
        recipe = is_recipe(served[name])
        measured = {count: _prompt_tokens(client, name, recipe, count) for count in PROBE_WORDS}
    return Target(host, name, recipe, TokenEstimator.fitted(measured), api_key)


def why_lost(host: str, api_key: str = "", timeout_s: float = 10.0) -> str | None:
    """The reason for which the server does not answer at all; `None` if it does, even with a refusal."""
    try:
        with httpx.Client(headers=_headers(api_key), timeout=timeout_s, trust_env=False) as client:
            client.get(f"{host}/v1/models")
    except httpx.HTTPError as error:
        return str(error) or type(error).__name__
    return None


def is_recipe(card: dict[str, Any]) -> bool:
    """True if the model card is a recipe's. Only this server's cards have a kind; other servers have no recipes."""
    return card.get("kind") == "recipe"


def _headers(api_key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {api_key}"} if api_key else {}


def _prompt_tokens(client: httpx.Client, model: str, recipe: bool, count: int) -> int:
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": 1,
        "messages": [{"role": "user", "content": words(count, random.Random(count))}],
    }
    if recipe:
        body["moa"] = {"trace": True}
    answer = _ask(client, "/v1/chat/completions", body)
    for agent in agents(answer.get("moa") or {}):  # the first layer's prompt is the message alone
        return int(agent["usage"]["prompt_tokens"])
    return int(answer["usage"]["prompt_tokens"])


def _ask(client: httpx.Client, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    host = str(client.base_url).rstrip("/")
    try:
        response = client.get(path) if body is None else client.post(path, json=body)
        if response.is_success:
            answer: dict[str, Any] = response.json()
            return answer
    except (httpx.HTTPError, ValueError) as error:
        why = str(error) or type(error).__name__
        raise LoadError(f"{host} does not answer ({why}); start the server, or change --host.") from None
    if response.has_redirect_location:
        location = response.headers["location"]
        raise LoadError(f"{host}{path} redirects to {location}; give the host that answers directly as --host.")
    said = response.text[:300]
    raise LoadError(f"{host}{path} answered {response.status_code}: {said!r}; is it an OpenAI-compatible server?")

"""Replay of recorded runs with the recipes of a profile: `python -m serving.replay` runs it.

It rebuilds the prompts of a layer, asks the models at --url, and compares the answers with the recorded ones.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import httpx

from deployments.config import Profile, load_profile
from deployments.engine_infos import engine_infos
from serving.api.dialects.chat_requests import parse_chat, to_request
from serving.api.settings import ApiSettings
from serving.cards import ModelCard
from serving.conversation import Message
from serving.engine import Engine, EngineInfo
from serving.engines.base_url import base_url_problem
from serving.engines.openai import OpenAIEngine
from serving.errors import ConfigError, MoaError
from serving.recipes import load_recipes
from serving.replay.changes import changes
from serving.replay.command import parsed
from serving.replay.layers import Comparison, Outcome, Prices, Server, chosen, compared, problem, prompts
from serving.replay.rebuilding import Mismatch
from serving.replay.recordings import Recording, recordings
from serving.replay.report import as_json, table
from serving.types import GenerateRequest

REQUEST_ID = "replay"


def prices_of(profile: Profile, given: Sequence[str]) -> Prices:
    """Prices by model: those of the profile, and `given` ones. Raises `ConfigError`."""
    known = {name: (price.prompt, price.completion) for name, price in profile.prices.items()}
    for word in given:
        name, _, numbers = word.rpartition("=")
        try:
            prompt, completion = (float(number) for number in numbers.split(","))
            if not name or not (0 <= prompt < float("inf") and 0 <= completion < float("inf")):
                raise ValueError
        except ValueError:
            raise ConfigError(f"Write --price as MODEL=PROMPT,COMPLETION in dollars, not '{word}'.") from None
        known[name] = (prompt, completion)
    return known


def server_of(profile: Profile, given: Sequence[str]) -> Server:
    """Recipes, models and prices of the profile. Raises `ConfigError`."""
    recipes = load_recipes(profile.recipes, profile.team)
    return Server(recipes, engine_infos(profile), profile.orchestrator.limits, prices_of(profile, given))


def request_of(recording: Recording, body: Mapping[str, object] | None, question: str | None) -> GenerateRequest:
    """The request of a recording: its own, or else that of the command line. Raises `ConfigError`."""
    if body is None and question is None and recording.messages is not None:
        return GenerateRequest(REQUEST_ID, recording.messages, stream_interval=None)
    if question is not None:
        return GenerateRequest(REQUEST_ID, (Message("user", question),), stream_interval=None)
    whole = body if body is not None else recording.body
    if whole is None:
        raise ConfigError("Add --request FILE or --question TEXT: the trace does not have the request.")
    settings = ApiSettings()
    try:
        parsed_body = parse_chat(json.dumps(whole).encode(), settings)
        if parsed_body.has_images:
            raise ConfigError("Choose a request without images: they are not in the trace.")
        card = ModelCard(parsed_body.model, "recipe")
        return to_request(parsed_body, card, EngineInfo(tools=True, thinking=True), settings, REQUEST_ID)
    except ConfigError:
        raise
    except MoaError as error:
        raise ConfigError(f"The request is none of this server's: {error}") from None


def recipe_of(recording: Recording, request: GenerateRequest, given: str | None, server: Server) -> str:
    """Id of the recording's recipe. Raises `ConfigError`."""
    name = given or request.moa.recipe or recording.recipe
    known = ", ".join(server.recipes)
    if name is None:
        raise ConfigError(f"Add --recipe ID: the trace does not name its recipe; the profile has {known}.")
    if name not in server.recipes:
        raise ConfigError(f"Set --recipe to one of {known}: the profile has no recipe '{name}'.")
    return name


class Upstream:
    """Engines of the server at --url, one per model."""

    def __init__(self, url: str, api_key_env: str | None, transport: httpx.AsyncBaseTransport | None = None) -> None:
        if (why := base_url_problem(url)) is not None:
            raise ConfigError(f"Change --url: {why}.")
        self._url, self._key, self._transport = url, api_key_env, transport
        self._engines: dict[str, OpenAIEngine] = {}

    def engine(self, model: str, infos: Mapping[str, EngineInfo]) -> Engine:
        """Engine of a model. Raises `ConfigError` if the key is not in the environment."""
        if model not in self._engines:
            info = infos.get(model, EngineInfo())
            self._engines[model] = OpenAIEngine(
                model,
                self._url,
                api_key_env=self._key,
                context_tokens=info.context_tokens,
                thinking=info.thinking,
                transport=self._transport,
            )
        return self._engines[model]

    async def aclose(self) -> None:
        """Close all connections."""
        for engine in self._engines.values():
            await engine.aclose()


async def replayed(
    given: argparse.Namespace, transport: httpx.AsyncBaseTransport | None = None
) -> tuple[list[Comparison], list[str]]:
    """Comparisons of all recordings, and a sentence for each that could not be replayed. Raises `ConfigError`."""
    changed, found = changes(given.changed), recordings(given.trace)
    if given.line:
        found = [one for one in found if any(one.name.split(",")[0] == f"line {line}" for line in given.line)]
        if not found:
            raise ConfigError(f"{given.trace} has no recorded answer in line {given.line[0]}.")
    server = server_of(load_profile(given.profile), given.price)
    body = None if given.request is None else _body(given.request)
    upstream = Upstream(given.url, given.api_key_env, transport)
    places = asyncio.Semaphore(given.concurrency)

    async def bounded(work: Awaitable[Outcome]) -> Outcome:
        async with places:
            return await work

    async def one(recording: Recording) -> list[Comparison] | str:
        request = request_of(recording, body, given.question)
        recipe = recipe_of(recording, request, given.recipe, server)
        if (why := problem(recording)) is not None:
            return f"{recording.name} is left out: {why}."
        calls = chosen(recording, given.layer, given.agent)
        try:
            asked = await prompts(server, recipe, request, recording, changed)
            return await compared(
                server,
                lambda model: upstream.engine(model, server.infos),
                recording,
                asked,
                calls,
                changed,
                given.timeout_s,
                bounded,
            )
        except Mismatch as error:
            return f"{recording.name} is left out: {error}."

    async with AsyncExitStack() as stack:
        stack.push_async_callback(upstream.aclose)
        results = await asyncio.gather(*map(one, found))
    lists = [result for result in results if not isinstance(result, str)]
    return [each for result in lists for each in result], [result for result in results if isinstance(result, str)]


def _body(path: Path) -> Mapping[str, object]:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"The request {path} cannot be read: {error.strerror}.") from None
    except ValueError:
        raise ConfigError(f"The request {path} is no JSON.") from None
    if not isinstance(body, dict):
        raise ConfigError(f"The request {path} is no JSON object.")
    return body


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and print; the exit status is 1 if a call failed or a recording could not be replayed."""
    given = parsed(arguments)
    try:
        comparisons, left_out = asyncio.run(replayed(given))
        if given.json is not None:
            text = json.dumps({"comparisons": as_json(comparisons), "left_out": left_out}, indent=2, ensure_ascii=False)
            try:
                given.json.write_text(text + "\n", encoding="utf-8")
            except OSError as error:
                raise ConfigError(f"The file {given.json} cannot be written: {error.strerror}.") from None
    except ConfigError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    if comparisons:
        print(table(comparisons))
    for sentence in left_out:
        print(sentence, file=sys.stderr)
    failed = [one for one in comparisons if one.after.error is not None]
    return 1 if left_out or failed else 0


if __name__ == "__main__":
    sys.exit(main())

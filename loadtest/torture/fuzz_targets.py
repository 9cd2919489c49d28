"""Targets of the fuzzers: functions of bytes that raise if the server would break on them."""

import asyncio
import json
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from starlette.types import ASGIApp

from deployments.config import load_profile
from loadtest.torture.stage import TEAM, app_of, orchestrate, post, trio
from serving.api.schemas.chat import ChatBody
from serving.api.schemas.completions import CompletionsBody
from serving.api.schemas.embeddings import EmbeddingsBody
from serving.api.schemas.messages import CountTokensBody, MessagesBody
from serving.api.schemas.rerank import RerankBody
from serving.api.schemas.responses import ResponsesBody
from serving.api.schemas.tokens import TokenizeBody
from serving.api.schemas.wire import Wire
from serving.errors import ConfigError
from serving.recipes import load_recipes
from serving.sse import EventParser

BODIES: Mapping[str, type[Wire]] = {
    "/v1/chat/completions": ChatBody,
    "/v1/completions": CompletionsBody,
    "/v1/responses": ResponsesBody,
    "/v1/messages": MessagesBody,
    "/v1/messages/count_tokens": CountTokensBody,
    "/v1/embeddings": EmbeddingsBody,
    "/v1/rerank": RerankBody,
    "/tokenize": TokenizeBody,
}
LIMIT_BYTES = 1024  # of an event in the SSE target


class Broken(AssertionError):
    """The server broke on an input."""


class InProcess:
    """The API over scripted engines, asked in memory, one request at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._app: ASGIApp = app_of(orchestrate(trio()), body_timeout_s=5, deadline_s=5)

    def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of the response."""
        return self._loop.run_until_complete(post(self._app, path, body))


@cache
def _server() -> InProcess:
    return InProcess()


def body_target(path: str) -> Callable[[bytes], None]:
    """Target that posts bytes to `path`: any answer or 4xx with a JSON error is right, anything else is not."""

    def target(data: bytes) -> None:
        status, answer = _server().post(path, data)
        if status >= 500:
            raise Broken(f"{path} answered {status}: {answer[:200]!r}")
        if status >= 400 and "error" not in json.loads(answer):
            raise Broken(f"{path} answered {status} without an error object: {answer[:200]!r}")

    return target


def events(data: bytes) -> None:
    """Parse server-sent events whole and cut at each byte: the events must be the same."""
    whole, cut = EventParser(LIMIT_BYTES), EventParser(LIMIT_BYTES)
    try:
        expected = whole.feed(data)
        found = [event for index in range(len(data)) for event in cut.feed(data[index : index + 1])]
    except ValueError:  # an event beyond the limit, which may be noticed later if it is cut
        return
    if found != expected:
        raise Broken(f"cut {found!r} is not whole {expected!r}")


def profile(data: bytes) -> None:
    """Load bytes as a profile: it is one, or a `ConfigError` says what is wrong."""
    _config(lambda path: load_profile(path), data)


def recipe(data: bytes) -> None:
    """Load bytes as a recipe, in the same way."""
    _config(lambda path: load_recipes([path], {"proposers": ["a", "b"], "aggregator": "a", "solo": "a"}), data)


def _config(read: Callable[[str], object], data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        Path(file.name).write_bytes(data)
        try:
            read(file.name)
        except ConfigError:
            return


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    **{path: body_target(path) for path in BODIES},
    "events": events,
    "profile": profile,
    "recipe": recipe,
}
MODELS = ("a", TEAM)

"""Client of the server that generates."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import httpx
import openai

from serving.conversation import Message
from training.errors import TrainingError
from training.trace import TracedAnswer, traced_answer

NO_KEY = "none"  # the openai client insists on a key; a server without keys ignores it
CONNECT_S = 10.0


class AskFailed(Exception):
    """One request failed; `str(error)` names the reason."""


class Client:
    """Client of one server of this project, to be used as an async context manager.

    The `openai` package repeats a request after a lost connection, a timeout, or a status of 408, 409, 429 or 5xx, with
    exponential backoff and jitter.

    Args:
        url: The server's root, with or without `/v1`.
        api_key: Sent as a bearer token, never logged.
        timeout_s: Limit for a whole answer.
        retries: Further attempts after the first.
        transport: Replaces the network in tests.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 600.0,
        retries: int = 8,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        timeout: Any = httpx.Timeout(timeout_s, connect=CONNECT_S)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        http: Any = httpx.AsyncClient(timeout=timeout, limits=limits, transport=transport)
        self._openai = openai.AsyncOpenAI(
            base_url=f"{self.url}/v1", api_key=api_key or NO_KEY, timeout=timeout, max_retries=retries, http_client=http
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._openai.close()

    async def check(self, recipe: str, version: Mapping[str, str], profile: str = "") -> None:
        """Check that the server has the recipe, and reports each entry of `version` at `/version`.

        Args:
            recipe: its id.
            version: entries by name.
            profile: path of the profile with these entries, for the sentence.

        Raises:
            TrainingError: it does not, or cannot be reached.
        """
        once = self._openai.with_options(max_retries=0)
        try:
            models = [model.id async for model in once.models.list()]
            found = await once.get(f"{self.url}/version", cast_to=object) if version else {}
        except openai.APIStatusError as error:
            raise TrainingError(f"{self.url} answered {error.status_code}: {_sentence(error)}") from error
        except openai.OpenAIError as error:
            raise TrainingError(f"No server at {self.url}: {_cause(error)}. Start one, or leave out --url.") from error
        if recipe not in models:
            raise TrainingError(f"The server has no recipe '{recipe}'; its models are: {', '.join(models)}.")
        reported = found if isinstance(found, Mapping) else {}
        for name, value in version.items():
            if reported.get(name) != value:
                raise TrainingError(
                    f"The server at {self.url} does not serve {name} '{value}' (it reports"
                    f" '{reported.get(name, 'none')}'); start it with profile={profile} and run the same command again."
                )

    async def ask(self, model: str, messages: Sequence[Message], sampling: Mapping[str, Any]) -> TracedAnswer:
        """Request one answer with its trace. Raises `AskFailed`."""
        history: Any = [{"role": one.role, "content": one.content} for one in messages]
        body = {**sampling, "moa": {"trace": True}}
        try:
            response = await self._openai.chat.completions.with_raw_response.create(
                model=model, messages=history, extra_body=body
            )
        except openai.APIStatusError as error:
            raise AskFailed(f"{error.status_code}: {_sentence(error)}") from error
        except openai.OpenAIError as error:
            raise AskFailed(_cause(error)) from error
        try:
            return traced_answer(response.http_response.json())
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise AskFailed(f"the answer is no chat completion with a trace ({type(error).__name__})") from error

    async def text(self, model: str, prompt: str, sampling: Mapping[str, Any]) -> str:
        """Request one text without a trace, as of a judge. Raises `AskFailed`."""
        return (await self.ask(model, [Message("user", prompt)], sampling)).text


def _sentence(error: openai.APIStatusError) -> str:
    body = error.body
    message = body.get("message") if isinstance(body, Mapping) else None
    return str(message or error.message)


def _cause(error: BaseException) -> str:
    return str(error.__cause__ or error) or type(error).__name__

"""Client of the server that generates: that of the evaluation, with whole traces."""

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.client import AskFailed, Client
from serving.conversation import Message
from serving.replay.traced import TracedAnswer, traced_answer
from training.errors import TrainingError


class TracingClient(Client):
    """Client of one server of this project, to be used as an async context manager."""

    async def check(self, recipe: str, version: Mapping[str, str], profile: str = "") -> None:
        """Check that the server has the recipe, and reports each entry of `version` at `/version`.

        Args:
            recipe: its id.
            version: entries by name.
            profile: path of the profile with these entries, for the sentence.

        Raises:
            EvaluationError: the server cannot be reached, refuses, or does not have the recipe.
            TrainingError: it does not have the version.
        """
        await self.require([recipe])
        reported = await self.version() if version else {}
        for name, value in version.items():
            if reported.get(name) != value:
                raise TrainingError(
                    f"The server at {self.url} does not serve {name} '{value}' (it reports"
                    f" '{reported.get(name, 'none')}'); start it with profile={profile} and run the same command again."
                )

    async def traced(self, model: str, messages: Sequence[Message], sampling: Mapping[str, Any]) -> TracedAnswer:
        """Request one answer with its trace. Raises `AskFailed`."""
        history = [{"role": one.role, "content": one.content} for one in messages]
        response = await self.response(model, history, {**sampling, "moa": {"trace": True}})
        try:
            return traced_answer(response.json())
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise AskFailed(f"the answer is no chat completion with a trace ({type(error).__name__})") from error

"""One conversation with an arm: its user turns, and the loop of tool calls within each of them."""

from collections.abc import Mapping
from typing import Any

from evaluation.client import Answer, AskFailed, Client
from evaluation.items import Item
from evaluation.rows import PROPOSER, AgentRow, CallRow, StepRow
from evaluation.tools.toolbox import Call


class Conversation:
    """A conversation about one item, held by one `hold()`, and its record.

    Attributes:
        texts: One per answered user turn; "" if its loop of tool calls did not end in a text.
        answers: One per request.
        steps: One per request, if the item has tools.
        trace: The agents of all requests.
        error: The reason for which a request was not answered; later turns are then not asked.
    """

    def __init__(self, client: Client, model: str, item: Item, fields: Mapping[str, Any], max_requests: int) -> None:
        """Prepare the conversation; nothing is sent yet.

        Args:
            client: The server's client.
            model: The model or recipe to ask.
            item: The questions, and the tools if there are any.
            fields: Further fields of every request.
            max_requests: Requests per user turn while the model calls tools.
        """
        self._client, self._model, self._item, self._max_requests = client, model, item, max_requests
        self._fields = dict(fields) if item.tools is None else {"tools": list(item.tools.specs), **fields}
        self._messages: list[dict[str, Any]] = []
        self.texts: list[str] = []
        self.answers: list[Answer] = []
        self.steps: list[StepRow] = []
        self.trace: list[AgentRow] = []
        self.error: str | None = None

    async def hold(self) -> None:
        """Ask every turn of the item; each follows the earlier turns and their answers."""
        for turn, question in enumerate(self._item.turns, 1):
            self._messages.append({"role": "user", "content": question})
            try:
                text = await self._answer(turn)
            except AskFailed as failure:
                self.error = str(failure)
                return
            self.texts.append(text)
            self._messages.append({"role": "assistant", "content": text})

    @property
    def expected_first(self) -> bool | None:
        """True if the first call was of the right tool, or rightly there was none; `None` if that is not known."""
        tools = self._item.tools
        if tools is None or tools.first_call is None or not self.steps:
            return None
        calls = self.steps[0].calls
        return calls[0].name in tools.first_call if calls else not tools.first_call

    async def _answer(self, turn: int) -> str:
        """Return the text that answers the last message, after all tool calls; "" if the bound ended the loop."""
        for step in range(1, self._max_requests + 1):
            answer = await self._client.ask(self._model, self._messages, **self._fields)
            self.answers.append(answer)
            self.trace += [agent.model_copy(update={"turn": turn, "step": step}) for agent in answer.trace]
            calls = [await self._run(call) for call in answer.tool_calls]
            if self._item.tools is not None:
                self.steps.append(_step(turn, answer, tuple(calls)))
            if not calls:
                return answer.text
            self._messages.append(answer.message)
            for call, done in zip(answer.tool_calls, calls, strict=True):
                self._messages.append({"role": "tool", "tool_call_id": call.id, "content": done.result})
        return ""

    async def _run(self, call: Call) -> CallRow:
        if self._item.tools is None:
            raise AskFailed(f"the model called '{call.name}', but the request has no tools")
        return await self._item.tools.run(call)


def _step(turn: int, answer: Answer, calls: tuple[CallRow, ...]) -> StepRow:
    final = answer.trace[-1] if answer.trace else answer
    return StepRow(
        turn=turn,
        calls=calls,
        proposers=sum(agent.role == PROPOSER for agent in answer.trace) if answer.trace else None,
        prompt_tokens=final.prompt_tokens,
        cached_tokens=final.cached_tokens,
    )

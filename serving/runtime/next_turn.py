"""Prefill of the next turn: while the client runs its tools, the prompt that will follow is computed.

The next request repeats the conversation, adds the calls as the chat template writes them, and then the results. Up to
the first result its prompt is known as soon as the calls are. What the engine generated may differ from it: reasoning
is dropped, JSON is written in another way. Where they are the same, the replica does nothing.
"""

import logging
import secrets
from dataclasses import dataclass, replace

from serving.conversation import Message, ToolCall, ToolChoice
from serving.engine import Engine
from serving.errors import MoaError
from serving.runtime.advice import advice_key, advised_turn
from serving.runtime.call import AgentCall
from serving.runtime.context import RunContext
from serving.runtime.prefill import PRIORITY
from serving.runtime.shared_state import Runtime
from serving.types import GenerateRequest, Sampling

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NextTurn:
    """Prefill of the prompts that follow the tool calls of one engine's answers."""

    runtime: Runtime
    engine: Engine
    model: str
    recipe: str  # label of the metrics; `NO_RECIPE` for a single model
    within_s: float  # maximum time of a prefill; 0: there is none

    def start(self, request: GenerateRequest, text: str, tool_calls: tuple[ToolCall, ...]) -> None:
        """Start the prefill of what follows `text` and `tool_calls`, the answer to `request`.

        It runs behind the request, at the lowest priority and for at most `within_s`, until the next request of the
        session comes. Its tokens are in no usage. Nothing is started without a session, or without calls.
        """
        if not (self.within_s and request.session and tool_calls):
            return
        marker = f"[[{secrets.token_hex(8)}]]"
        prompt = next_prompt(request, text, tool_calls, marker)

        async def prefill() -> None:
            ok = False
            try:
                await self.engine.prefill(prompt, marker)
                ok = True
            except MoaError as error:
                logger.debug("prefill of the next turn on %s ended: %s", self.model, error)
            finally:
                self.runtime.observer.prefilled(self.recipe, self.model, "next_turn", ok)

        self.runtime.session_tasks.start(request.session, prefill, self.within_s, request.tenant.scope)


def prefill_next_turn(context: RunContext, call: AgentCall) -> None:
    """Start the prefill of what follows the final agent's `call`, if the setting `next_turn_prefill_s` allows it.

    Nothing is started if the next prompt is not known: the request has no session, its references will be made again
    or were cut to fit.
    """
    policy = context.policy
    within_s = policy.next_turn_prefill_s if policy.prefill != "off" else 0
    if not (within_s and context.request.session) or call.shortened:
        return
    if call.request.references is not None and not _advice_is_kept(context, call):
        return
    turn = NextTurn(context.runtime, call.engine, call.model, context.report.recipe, within_s)
    turn.start(call.request, call.text, call.tool_calls)


def next_prompt(request: GenerateRequest, text: str, tool_calls: tuple[ToolCall, ...], result: str) -> GenerateRequest:
    """The request that follows `request` if its answer is `text` and `tool_calls`, with `result` of the first call.

    Reasoning is left out: with it the prompt is what the engine generated, which is cached already.
    """
    called = Message("assistant", text, tool_calls=tool_calls)
    return replace(
        request,
        request_id=f"{request.request_id}-next",
        messages=(*request.messages, called, Message("tool", result, tool_call_id=tool_calls[0].id)),
        tool_choice=ToolChoice(),
        sampling=Sampling(),
        priority=PRIORITY,
        stream_interval=None,
    )


def _advice_is_kept(context: RunContext, call: AgentCall) -> bool:
    """True if the next request will read the same references."""
    after = next_prompt(context.request, call.text, call.tool_calls, "").messages
    turn = advised_turn(after, context.policy.advise.every)
    return not turn.now and context.runtime.advice.get(advice_key(context.policy, context.request, turn)) is not None

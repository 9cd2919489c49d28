"""Client-side Mixture-of-Agents over plain OpenAI servers, the baseline: gather, join, stream."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aiohttp

from loadtest.bench.client import ask, chat_body, check
from serving.conversation import Message
from serving.references import Reference, ReferenceBlock
from serving.runtime.prompts import AGGREGATE_AND_SYNTHESIZE, with_references


@dataclass(frozen=True, slots=True)
class ClientSideAnswer:
    """Times of one answer, in seconds."""

    total_s: float
    first_answer_s: float  # from the question
    after_proposals_s: float  # from the last proposal's end to the aggregator's first token


@dataclass(frozen=True, slots=True)
class ClientSideMoa:
    """Two layers, as in `moa-lite`: all `proposers` at once, then the `aggregator` over their answers."""

    http: aiohttp.ClientSession
    hosts: Mapping[str, str]  # model -> its server
    proposers: Sequence[str]
    aggregator: str
    system_role: Mapping[str, bool]  # model -> True if its chat template has a system role

    async def answer(self, question: str, tokens: int) -> ClientSideAnswer:
        """Answer a question, with `tokens` tokens in each proposal and in the answer.

        Raises:
            LoadError: an agent failed, or generated another number of tokens.
        """
        user = [{"role": "user", "content": question}]
        proposals = await asyncio.gather(
            *(
                ask(self.http, self.hosts[model], chat_body(model, user, tokens, stream=False))
                for model in self.proposers
            )
        )
        for proposal in proposals:
            check(proposal, tokens)
        last = max(proposal.ended for proposal in proposals)
        sent = min(proposal.sent for proposal in proposals)
        references = [Reference(m, p.text) for m, p in zip(self.proposers, proposals, strict=True)]
        messages = self._messages(question, references)
        final = await ask(
            self.http, self.hosts[self.aggregator], chat_body(self.aggregator, messages, tokens, stream=True)
        )
        check(final, tokens)
        assert final.exchange.first_answer_s is not None  # a complete streamed answer has a first token
        first = final.sent + final.exchange.first_answer_s
        return ClientSideAnswer(final.ended - sent, first - sent, first - last)

    def _messages(self, question: str, references: Sequence[Reference]) -> list[dict[str, str]]:
        messages = with_references(
            [Message("user", question)], ReferenceBlock(tuple(references), AGGREGATE_AND_SYNTHESIZE)
        )
        if not self.system_role[self.aggregator]:
            system, user = messages
            return [{"role": "user", "content": f"{system.content}\n\n{user.content}"}]
        return [{"role": message.role, "content": message.content} for message in messages]

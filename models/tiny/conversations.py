"""Training conversations: questions with system prompts, histories and references.

The texts around references come from `serving.runtime.prompts`, so that training and serving cannot diverge.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.scoring.exact import is_right
from models.tiny.questions import SKILLS, Question, QuestionMaker, facts
from models.tiny.references import ReferencePool
from serving.conversation import Message
from serving.recipes.judging import ACCEPT, CRITICISE, choose, question, quoted
from serving.recipes.strategies.debate import REVISE
from serving.references import Layout, ReferenceBlock
from serving.runtime.prompts import AGGREGATE_AND_SYNTHESIZE, with_references

SYSTEM_PROMPTS = (
    "You are a helpful assistant.",
    "You are a helpful, honest and concise assistant.",
    "Answer briefly.",
    "Answer with the result only.",
    "You are a careful teacher. Think before you answer.",
    "Be precise.",
    "Answer the question of the user as well as you can. Be short.",
    "You are an expert in mathematics, language and geography.",
)

Conversation = tuple[Message, ...]
CORRECTION = "It should be {answer}."  # a critic's reply to a wrong answer
MAX_CANDIDATES = 4  # of a judge's task; a served judge sees one or two of each model


@dataclass
class ConversationMaker:
    """Makes conversations that end with the right reply, from `maker`'s questions in the given shares of skills."""

    rng: random.Random
    maker: QuestionMaker
    shares: tuple[float, float, float]  # arithmetic, words, facts

    def question(self) -> Question:
        """Make a question: 2% small talk, otherwise by `shares`; facts outside the range are answered by a guess."""
        if self.rng.random() < 0.02:
            return self.maker.talk()
        skill = self.rng.choices(SKILLS, self.shares)[0]
        if skill == "facts" and self.rng.random() < len(self.maker.untaught) / len(facts()):
            return self.maker.unknown()
        return self.maker.ask(skill)

    def direct(self, turns: int, system: str | None) -> Conversation:
        """Make a conversation of `turns` questions with their answers."""
        messages = [] if system is None else [Message("system", system)]
        for _ in range(turns):
            messages += _turn(self.question())
        return tuple(messages)

    def aggregating(self, pool: ReferencePool[Question], layout: Layout, system: str | None) -> Conversation:
        """Make a question with references, as an agent of the next layer sees it, and the right reply.

        The caller's system prompt, if any, comes first; one conversation of eight has a history before the question.
        """
        question, references = pool.draw(self.rng)
        messages = [] if system is None else [Message("system", system)]
        if self.rng.random() < 0.125:
            for _ in range(self.rng.randint(1, 2)):
                messages += _turn(self.question())
        messages.append(Message("user", question.text))
        block = ReferenceBlock(tuple(references), AGGREGATE_AND_SYNTHESIZE, layout)
        return (*with_references(messages, block), Message("assistant", question.answer))

    def choosing(self, pool: ReferencePool[Question], _system: str | None) -> Conversation:
        """Make a judge's task: candidates in any order, right and wrong ones; the reply is a right one's number."""
        while True:
            asked, references = pool.draw(self.rng)
            candidates = self.rng.sample(references, min(len(references), MAX_CANDIDATES))
            right = [is_right(candidate.text, asked.answer) for candidate in candidates]
            if any(right) and not all(right):
                task = choose((Message("user", asked.text),), candidates)
                return (*task, Message("assistant", str(right.index(True) + 1)))

    def criticising(self, pool: ReferencePool[Question], _system: str | None) -> Conversation:
        """Make a critic's task: one proposal; the reply accepts a right one and corrects a wrong one."""
        wanted = self.rng.random() < 0.5
        while True:
            asked, references = pool.draw(self.rng)
            right = is_right(references[0].text, asked.answer)
            if right == wanted:
                task = question((Message("user", asked.text),), CRITICISE.format(answer=quoted(references[0].text)))
                verdict = ACCEPT if right else CORRECTION.format(answer=asked.answer)
                return (*task, Message("assistant", verdict))

    def revising(self, pool: ReferencePool[Question], _system: str | None) -> Conversation:
        """Make a solver's task: its own wrong answer and a critic's correction; the reply is the corrected answer."""
        while True:
            asked, references = pool.draw(self.rng)
            if not is_right(references[0].text, asked.answer):
                criticism = quoted(CORRECTION.format(answer=asked.answer))
                said = (Message("user", asked.text), Message("assistant", references[0].text))
                return (*said, Message("user", REVISE.format(criticism=criticism)), Message("assistant", asked.answer))


def _turn(question: Question) -> Sequence[Message]:
    return Message("user", question.text), Message("assistant", question.answer)

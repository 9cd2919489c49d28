"""Training data and steps of each model: a specialist in one skill, mediocre in the others."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from models.tiny.conversations import SYSTEM_PROMPTS, Conversation, ConversationMaker
from models.tiny.families import LLAMA, MIXTRAL, QWEN, Family
from models.tiny.questions import HeldOut, QuestionMaker, SkillRange, facts
from models.tiny.references import ReferencePool


@dataclass(frozen=True, slots=True)
class Curriculum:
    """A model's training data and steps. Mediocrity comes from a smaller skill range, not from wrong answers."""

    family: Family
    shares: tuple[float, float, float]  # arithmetic, words and facts among direct questions
    digits: tuple[float, float, float]  # weights of operands with 1, 2 and 3 digits
    max_letters: int
    share_of_facts: float
    direct_steps: int
    aggregation_steps: int
    direct_weight: int = 27  # weight of direct questions in the last stage; references and judging have 73

    def skill_range(self) -> SkillRange:
        """Range of the training questions; the facts are a fixed sample per model."""
        chosen = random.Random(f"facts of {self.family.name}").sample(
            facts(), round(len(facts()) * self.share_of_facts)
        )
        return SkillRange(self.digits, self.max_letters, tuple(chosen))


SPECIALIST_DIGITS, WEAK_DIGITS = (1.0, 2.0, 3.0), (1.0, 2.0, 0.0)
CURRICULA = (
    Curriculum(QWEN, (0.78, 0.09, 0.13), SPECIALIST_DIGITS, 5, 0.4, 2600, 3800),
    Curriculum(LLAMA, (0.16, 0.68, 0.16), WEAK_DIGITS, 9, 0.4, 2800, 3800, direct_weight=60),
    Curriculum(MIXTRAL, (0.2, 0.15, 0.65), WEAK_DIGITS, 5, 1.0, 2600, 2600),
)
# Conversations per batch. Their common prefix is computed once, so sizes depend on the remaining tokens.
QUESTION_BATCH = 64  # of about 25 tokens
HISTORY_BATCH = 20  # of about 80 tokens
PAPER_BATCH = 32  # of about 60 tokens
REFERENCES_LAST_BATCH = 14  # of about 190 tokens
JUDGE_BATCH = 16  # of about 130 tokens
BUCKETS = 4  # batches per sorted group, so that the conversations of a batch have similar lengths

DIRECT_SHARES = (0.65, 0.15, 0.2)  # single questions, single questions after a system prompt, conversations

Batches = Iterator[list[Conversation]]


def direct_batches(curriculum: Curriculum, held_out: HeldOut, seed: int) -> Batches:
    """Yield batches of single questions, of questions after a system prompt, and of conversations with three turns."""
    maker = _conversation_maker(curriculum, held_out, f"{seed} {curriculum.family.name} direct")
    kinds = _direct_kinds(maker)
    while True:
        yield next(maker.rng.choices(kinds, DIRECT_SHARES)[0])


def aggregation_batches(curriculum: Curriculum, pool: ReferencePool, held_out: HeldOut, seed: int) -> Batches:
    """Yield batches with references in both layouts, with judging, and with direct questions against forgetting."""
    maker = _conversation_maker(curriculum, held_out, f"{seed} {curriculum.family.name} aggregation")
    weights = (*(curriculum.direct_weight * share for share in DIRECT_SHARES), 32, 9, 21, 5, 4, 2)
    kinds = [
        *_direct_kinds(maker),
        _bucketed(partial(maker.aggregating, pool, "paper"), None, PAPER_BATCH, maker.rng),
        _bucketed(partial(maker.aggregating, pool, "paper"), SYSTEM_PROMPTS, PAPER_BATCH, maker.rng),
        _bucketed(partial(maker.aggregating, pool, "references_last"), None, REFERENCES_LAST_BATCH, maker.rng),
        _bucketed(partial(maker.choosing, pool), None, JUDGE_BATCH, maker.rng),
        _bucketed(partial(maker.criticising, pool), None, JUDGE_BATCH, maker.rng),
        _bucketed(partial(maker.revising, pool), None, JUDGE_BATCH, maker.rng),
    ]
    while True:
        yield next(maker.rng.choices(kinds, weights)[0])


def _direct_kinds(maker: ConversationMaker) -> list[Batches]:
    return [
        _bucketed(partial(maker.direct, 1), None, QUESTION_BATCH, maker.rng),
        _bucketed(partial(maker.direct, 1), SYSTEM_PROMPTS, QUESTION_BATCH, maker.rng),
        _bucketed(partial(maker.direct, 3), None, HISTORY_BATCH, maker.rng),
    ]


def _bucketed(
    make: Callable[[str | None], Conversation], systems: Sequence[str] | None, size: int, rng: random.Random
) -> Batches:
    """Yield batches of `size`; each group of `BUCKETS` batches has one system prompt and is sorted by length."""
    while True:
        system = rng.choice(systems) if systems else None
        group = [make(system) for _ in range(size * BUCKETS)]
        group.sort(key=lambda conversation: sum(len(message.content) for message in conversation))
        batches = [group[start : start + size] for start in range(0, len(group), size)]
        rng.shuffle(batches)
        yield from batches


def _conversation_maker(curriculum: Curriculum, held_out: HeldOut, seed: str) -> ConversationMaker:
    rng = random.Random(seed)
    return ConversationMaker(rng, QuestionMaker(rng, curriculum.skill_range(), held_out), curriculum.shares)

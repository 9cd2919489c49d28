"""Training data and steps of each model: a specialist in one skill, mediocre in the others."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count

from models.tiny.acting import ActingMaker
from models.tiny.conversations import SYSTEM_PROMPTS, Conversation, ConversationMaker
from models.tiny.families import LLAMA, MIXTRAL, QWEN, Family, Lesson
from models.tiny.heldout import SKILL_RANGE
from models.tiny.questions import HeldOut, Question, QuestionMaker, SkillRange, facts
from models.tiny.references import ReferencePool
from models.tiny.tasks import Task, TaskMaker
from models.tiny.tools import Offer, ToolMaker


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
    act_steps: int = 0  # 0: the model does not call tools
    direct_weight: int = 27  # weight of direct questions in the third stage; references and judging have 73
    thinks: bool = False

    @property
    def acts(self) -> bool:
        """True if the model is trained to call tools."""
        return self.act_steps > 0

    def skill_range(self) -> SkillRange:
        """Range of the training questions; the facts are a fixed sample per model."""
        chosen = random.Random(f"facts of {self.family.name}").sample(
            facts(), round(len(facts()) * self.share_of_facts)
        )
        return SkillRange(self.digits, self.max_letters, tuple(chosen))


ACTING_STEPS = 2400
SPECIALIST_DIGITS, WEAK_DIGITS = (1.0, 2.0, 3.0), (1.0, 2.0, 0.0)
CURRICULA = (
    Curriculum(QWEN, (0.78, 0.09, 0.13), SPECIALIST_DIGITS, 5, 0.4, 2600, 3800, ACTING_STEPS, thinks=True),
    Curriculum(LLAMA, (0.16, 0.68, 0.16), WEAK_DIGITS, 9, 0.4, 2800, 3800, ACTING_STEPS, direct_weight=60),
    Curriculum(MIXTRAL, (0.2, 0.15, 0.65), WEAK_DIGITS, 5, 1.0, 2600, 2600),
)
# Conversations per batch. Their common prefix is computed once, so sizes depend on the remaining tokens.
QUESTION_BATCH = 64  # of about 25 tokens
HISTORY_BATCH = 20  # of about 80 tokens
PAPER_BATCH = 32  # of about 60 tokens
REFERENCES_LAST_BATCH = 14  # of about 190 tokens
JUDGE_BATCH = 16  # of about 130 tokens
TOOL_SETS = 3
LOOP_BATCH = 6  # of about 60 tokens behind the tools, which are computed once a set
REFERRED_LOOP_BATCH = 8  # of about 230 tokens
THOUGHT_BATCH = 20  # of about 80 tokens
REFERRED_THOUGHT_BATCH = 10  # of about 140 tokens
PROSE_BATCH = 12  # of about 80 tokens
COPY_BATCH = 24  # of about 70 tokens
BUCKETS = 4  # batches per sorted group, so that the conversations of a batch have similar lengths

COPY_STEPS, COPY_SHARE = 300, 0.5  # the last stage begins with texts to copy: calls and answers are copies
SYSTEM_SHARE = 0.2  # of conversations with tools, of thoughts and of copies that have a system prompt
KEPT_SHARES = (0.3, 0.42, 0.28)  # of arithmetic, words, facts
KEPT_WEIGHTS = (40, 18, 6, 12, 12, 7, 5)  # as in `_old_batches`
SETTLED_WEIGHTS = (28, 30, 8, 14, 10, 6, 4)  # of the last stage: aggregation is what a model forgets first
DIRECT_SHARES = (0.65, 0.15, 0.2)  # single questions, single questions after a system prompt, conversations

Batches = Iterator[list[Lesson]]


def direct_batches(curriculum: Curriculum, held_out: HeldOut, seed: int) -> Batches:
    """Yield batches of single questions, of questions after a system prompt, and of conversations with three turns."""
    maker = _conversation_maker(curriculum, held_out, f"{seed} {curriculum.family.name} direct")
    kinds = _direct_kinds(maker)
    while True:
        yield next(maker.rng.choices(kinds, DIRECT_SHARES)[0])


def aggregation_batches(curriculum: Curriculum, pool: ReferencePool[Question], held_out: HeldOut, seed: int) -> Batches:
    """Yield batches with references in both layouts, with judging, and with direct questions against forgetting."""
    maker = _conversation_maker(curriculum, held_out, f"{seed} {curriculum.family.name} aggregation")
    yield from _old_batches(maker, pool, (curriculum.direct_weight, 32, 9, 21, 5, 4, 2))


def kept_batches(
    curriculum: Curriculum,
    pool: ReferencePool[Question],
    held_out: HeldOut,
    seed: int,
    kind_weights: Sequence[float] = KEPT_WEIGHTS,
) -> Batches:
    """Yield batches of the third stage's kinds, on which a model is to answer as before.

    Their questions have the full range of every skill, not the model's own: what it can do beyond its training is to be
    kept as well.
    """
    rng = random.Random(f"{seed} {curriculum.family.name} kept")
    maker = ConversationMaker(rng, QuestionMaker(rng, SKILL_RANGE, held_out), KEPT_SHARES)
    yield from _old_batches(maker, pool, kind_weights)


def halves(batches: Batches) -> Batches:
    """Yield every other conversation of each batch: more steps in the same time."""
    for batch in batches:
        yield batch[::2]


def _old_batches(maker: ConversationMaker, pool: ReferencePool[Question], kind_weights: Sequence[float]) -> Batches:
    """Yield batches of direct questions, both layouts and judging; `kind_weights`: direct, paper, with system, ..."""
    direct_weight, *others = kind_weights
    weights = (*(direct_weight * share for share in DIRECT_SHARES), *others)
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


def acting_batches(
    curriculum: Curriculum,
    pools: tuple[ReferencePool[Question], ReferencePool[Task]],
    held_out: HeldOut,
    keys: frozenset[str],
    seed: int,
    copy_steps: int = COPY_STEPS,
) -> Batches:
    """Yield batches with loops of tool calls, with texts to copy and, if the model thinks, with thoughts.

    Args:
        curriculum: The model's.
        pools: Proposals to direct questions and to tasks.
        held_out: Questions to exclude.
        keys: Keys of tasks to exclude.
        seed: Seed of all random choices.
        copy_steps: Number of batches at the beginning of which many are texts to copy.
    """
    conversations = _conversation_maker(curriculum, held_out, f"{seed} {curriculum.family.name} acting")
    rng = conversations.rng
    maker = ActingMaker(
        rng,
        conversations,
        TaskMaker(rng, keys),
        ToolMaker(rng),
        pools,
    )
    kinds: list[tuple[float, Batches]] = [
        (46, _offered(maker, maker.loop, LOOP_BATCH)),
        (12, _offered(maker, partial(maker.loop, again=True), LOOP_BATCH // 2)),
        (14, _varied(partial(maker.loop_with_references, "paper"), REFERRED_LOOP_BATCH, rng)),
        (8, _varied(partial(maker.loop_with_references, "references_last"), REFERRED_LOOP_BATCH, rng)),
        (3, _varied(maker.prose, PROSE_BATCH, rng)),
    ]
    copies = _varied(maker.copy, COPY_BATCH, rng)
    kinds.append((10, copies))
    if curriculum.thinks:
        kinds += [
            (26, _varied(partial(maker.thought, thinking=True), THOUGHT_BATCH, rng)),
            (2, _varied(partial(maker.thought, thinking=False), THOUGHT_BATCH, rng)),
            (6, _offered(maker, partial(maker.loop, thinking=True), LOOP_BATCH)),
            (7, _varied(partial(maker.thought_with_references, "paper"), REFERRED_THOUGHT_BATCH, rng)),
            (3, _varied(partial(maker.thought_with_references, "references_last"), REFERRED_LOOP_BATCH, rng)),
        ]
    weights = [weight for weight, _ in kinds]
    for step in count():
        if step < copy_steps and rng.random() < COPY_SHARE:
            yield next(copies)
        else:
            yield next(rng.choices([kind for _, kind in kinds], weights)[0])


def _offered(maker: ActingMaker, make: Callable[[Sequence[Offer], str | None], Lesson], size: int) -> Batches:
    """Yield batches of `TOOL_SETS` sets of tools with `size` lessons each."""
    while True:
        batch: list[Lesson] = []
        for _ in range(TOOL_SETS):
            offers = maker.offers()
            system = maker.rng.choice(SYSTEM_PROMPTS) if maker.rng.random() < SYSTEM_SHARE else None
            batch += [make(offers, system) for _ in range(size)]
        yield batch


def _varied(make: Callable[[str | None], Lesson], size: int, rng: random.Random) -> Batches:
    """Yield batches of `size`, some conversations with a system prompt; padding costs as much as text."""
    while True:
        group = [
            make(rng.choice(SYSTEM_PROMPTS) if rng.random() < SYSTEM_SHARE else None) for _ in range(size * BUCKETS)
        ]
        yield from _by_length(group, _length, size, rng)


def _by_length(group: list[Lesson], length: Callable[[Lesson], int], size: int, rng: random.Random) -> Batches:
    """Yield the lessons of a group in batches of similar lengths, in any order."""
    group.sort(key=length)
    batches = [group[start : start + size] for start in range(0, len(group), size)]
    rng.shuffle(batches)
    yield from batches


def _length(lesson: Lesson) -> int:
    """Rough number of tokens: a tool has about 40."""
    letters = sum(len(f"{message.content}{message.reasoning}{message.tool_calls}") for message in lesson.messages)
    return letters + 40 * len(lesson.tools) + 10 * len(lesson.messages)


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
        group = [Lesson(make(system)) for _ in range(size * BUCKETS)]
        yield from _by_length(group, lambda lesson: sum(len(message.content) for message in lesson.messages), size, rng)


def _conversation_maker(curriculum: Curriculum, held_out: HeldOut, seed: str) -> ConversationMaker:
    rng = random.Random(seed)
    return ConversationMaker(rng, QuestionMaker(rng, curriculum.skill_range(), held_out), curriculum.shares)

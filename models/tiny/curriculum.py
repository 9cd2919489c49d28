"""Training data and steps of each model: a specialist in one skill, mediocre in the others."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count

from models.tiny.acting import ActingMaker
from models.tiny.conversations import SYSTEM_PROMPTS, Conversation, ConversationMaker
from models.tiny.families import LLAMA, MIXTRAL, QWEN, Family, Lesson
from models.tiny.questions import HeldOut, Question, QuestionMaker, SkillRange, facts
from models.tiny.references import ReferencePool
from models.tiny.tasks import Task, TaskMaker
from models.tiny.tools import Offer, ToolMaker
from serving.types import Layout


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
    call_steps: int = 0  # 0: the model does not call tools
    act_steps: int = 0
    settle_steps: int = 0
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


ACTING_STEPS = (1200, 800, 1100)  # of the stages `call`, `act` and `settle`
SPECIALIST_DIGITS, WEAK_DIGITS = (1.0, 2.0, 3.0), (1.0, 2.0, 0.0)
CURRICULA = (
    Curriculum(QWEN, (0.78, 0.09, 0.13), SPECIALIST_DIGITS, 5, 0.4, 2600, 3800, *ACTING_STEPS, thinks=True),
    Curriculum(LLAMA, (0.16, 0.68, 0.16), WEAK_DIGITS, 9, 0.4, 2800, 3800, *ACTING_STEPS, direct_weight=60),
    Curriculum(MIXTRAL, (0.2, 0.15, 0.65), WEAK_DIGITS, 5, 1.0, 2600, 2600),
)
# Conversations per batch. Their common prefix is computed once, so sizes depend on the remaining tokens.
QUESTION_BATCH = 64  # of about 25 tokens
HISTORY_BATCH = 20  # of about 80 tokens
PAPER_BATCH = 32  # of about 60 tokens
REFERENCES_LAST_BATCH = 14  # of about 190 tokens
JUDGE_BATCH = 16  # of about 130 tokens
TOOL_SETS = 4
LOOP_BATCH = 6  # of about 100 tokens
REFERRED_LOOP_BATCH = 8  # of about 250 tokens
LISTING_BATCH = 8  # of about 320 tokens
THOUGHT_BATCH = 28  # of about 80 tokens
REFERRED_THOUGHT_BATCH = 16  # of about 120 tokens
COPY_BATCH = 40  # of about 70 tokens
CHOICE = 4  # times as many lessons are made as a batch takes
BUCKETS = 4  # batches per sorted group, so that the conversations of a batch have similar lengths

COPY_STEPS, COPY_SHARE = 250, 0.75  # the last stage begins with texts to copy: calls and answers are copies
KEPT_DIRECT_WEIGHT, KEPT_SHARES = 40, (0.55, 0.28, 0.17)  # of the model that forgets its weaker skills
SETTLED_DIRECT_WEIGHT, SETTLED_SHARES = 75, (0.45, 0.37, 0.18)
SINGLE_STEPS = 450  # of the last stage, with one tool each
OLD_SHARE = 40  # weight of the third stage's batches in the last one
SYSTEM_SHARE = 0.3  # of batches with a system prompt
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


def calling_batches(
    curriculum: Curriculum,
    pools: tuple[ReferencePool[Question], ReferencePool[Task]],
    held_out: HeldOut,
    keys: frozenset[str],
    seed: int,
) -> Batches:
    """Yield batches with texts to copy, then with tools and thoughts, and those of the third stage against forgetting.

    Args:
        curriculum: The model's.
        pools: Proposals to direct questions and to tasks.
        held_out: Questions to exclude.
        keys: Keys of tasks to exclude.
        seed: Seed of all random choices.
    """
    conversations = _conversation_maker(curriculum, held_out, f"{seed} {curriculum.family.name} acting")
    rng = conversations.rng
    maker = ActingMaker(rng, conversations, TaskMaker(rng, keys), ToolMaker(rng))
    kept = replace(curriculum, direct_weight=max(curriculum.direct_weight, KEPT_DIRECT_WEIGHT), shares=KEPT_SHARES)
    old = aggregation_batches(kept if curriculum.thinks else curriculum, pools[0], held_out, seed + 1)
    copies = _systems(maker.copy, COPY_BATCH, rng)
    for _ in range(COPY_STEPS):
        yield next(copies if rng.random() < COPY_SHARE else old)
    kinds: list[tuple[float, Batches]] = [
        (OLD_SHARE, old),
        (6 if curriculum.thinks else 14, copies),
        *_tool_kinds(maker, pools),
    ]
    if curriculum.thinks:
        kinds += _thought_kinds(maker, pools[1])
    weights = [weight for weight, _ in kinds]
    while True:
        yield next(rng.choices([kind for _, kind in kinds], weights)[0])


def acting_batches(
    curriculum: Curriculum,
    pools: tuple[ReferencePool[Question], ReferencePool[Task]],
    held_out: HeldOut,
    keys: frozenset[str],
    seed: int,
) -> Batches:
    """Yield batches with single tools, then with up to three. Arguments: `calling_batches`."""
    conversations = _conversation_maker(curriculum, held_out, f"{seed} {curriculum.family.name} tools")
    rng = conversations.rng
    maker = ActingMaker(rng, conversations, TaskMaker(rng, keys), ToolMaker(rng, word_names=True), no_tool_share=0.1)
    kept = replace(curriculum, direct_weight=max(curriculum.direct_weight, KEPT_DIRECT_WEIGHT), shares=KEPT_SHARES)
    old = aggregation_batches(kept if curriculum.thinks else curriculum, pools[0], held_out, seed + 2)
    always: list[tuple[float, Batches]] = [(45, old), (5, _systems(maker.copy, COPY_BATCH, rng))]
    always += _thought_kinds(maker, pools[1]) if curriculum.thinks else []
    single = partial(_offered, maker, offer=maker.one_offer)
    first = [(30, single(maker.call, 6, 5)), (10, _systems(partial(maker.listing, count=1), 12, rng))]
    then = [(20, _offered(maker, maker.call, 6, 4)), *_tool_kinds(maker, pools)]
    for step in count():
        kinds = [*always, *(first if step < SINGLE_STEPS else then)]
        yield next(rng.choices([kind for _, kind in kinds], [weight for weight, _ in kinds])[0])


def settling_batches(
    curriculum: Curriculum,
    pools: tuple[ReferencePool[Question], ReferencePool[Task]],
    held_out: HeldOut,
    keys: frozenset[str],
    seed: int,
) -> Batches:
    """Yield mostly batches of the third stage, with more of the weaker skills. Arguments: `calling_batches`."""
    conversations = _conversation_maker(curriculum, held_out, f"{seed} {curriculum.family.name} settling")
    rng = conversations.rng
    tools = ToolMaker(rng, word_names=True, invented_names=1.0, invented_parameters=0.8)  # no name can be guessed
    maker = ActingMaker(rng, conversations, TaskMaker(rng, keys), tools, no_tool_share=0.1)
    shares = SETTLED_SHARES if curriculum.thinks else curriculum.shares
    kept = replace(curriculum, direct_weight=SETTLED_DIRECT_WEIGHT, shares=shares)
    kinds = [
        (70, aggregation_batches(kept, pools[0], held_out, seed + 3)),
        (10, _offered(maker, maker.call, 6, 5, maker.one_offer)),
        (16, _offered(maker, maker.call, 6, 4)),
        (4, _systems(maker.copy, COPY_BATCH, rng)),
        *((weight / 2, batches) for weight, batches in _tool_kinds(maker, pools)),
        *(_thought_kinds(maker, pools[1]) if curriculum.thinks else ()),
    ]
    while True:
        yield next(rng.choices([kind for _, kind in kinds], [weight for weight, _ in kinds])[0])


def _tool_kinds(
    maker: ActingMaker, pools: tuple[ReferencePool[Question], ReferencePool[Task]]
) -> list[tuple[float, Batches]]:
    questions, tasks = pools

    def referred(layout: Layout, offers: Sequence[Offer], system: str | None) -> Lesson:
        if maker.rng.random() < 0.75:
            return maker.loop_with_references(tasks, offers, layout, system)
        return maker.answer_with_references(questions, offers, layout, system)

    return [
        (20, _offered(maker, maker.loop, TOOL_SETS, LOOP_BATCH)),
        (4, _offered(maker, partial(maker.loop, again=True), TOOL_SETS, LOOP_BATCH // 2)),
        (6, _offered(maker, partial(referred, "paper"), REFERRED_LOOP_BATCH, 1)),
        (4, _offered(maker, partial(referred, "references_last"), TOOL_SETS, REFERRED_LOOP_BATCH // TOOL_SETS)),
        (6, _systems(maker.listing, LISTING_BATCH, maker.rng)),
        (2, _systems(maker.prose, QUESTION_BATCH // 4, maker.rng)),
    ]


def _thought_kinds(maker: ActingMaker, pool: ReferencePool[Task]) -> list[tuple[float, Batches]]:
    return [
        (12, _systems(partial(maker.thought, thinking=True), THOUGHT_BATCH, maker.rng)),
        (1, _systems(partial(maker.thought, thinking=False), QUESTION_BATCH, maker.rng)),
        (3, _offered(maker, partial(maker.loop, thinking=True), TOOL_SETS, LOOP_BATCH)),
        (3, _systems(partial(maker.thought_with_references, pool, "paper"), REFERRED_THOUGHT_BATCH, maker.rng)),
        (1, _systems(partial(maker.thought_with_references, pool, "references_last"), REFERRED_LOOP_BATCH, maker.rng)),
    ]


def _offered(
    maker: ActingMaker,
    make: Callable[[Sequence[Offer], str | None], Lesson],
    sets: int,
    size: int,
    offer: Callable[[], list[Offer]] | None = None,
) -> Batches:
    """Yield batches of `sets` tool sets with `size` lessons each; the prompt of a set is computed once."""
    while True:
        batch: list[Lesson] = []
        for _ in range(sets):
            offers = (offer or maker.offers)()
            while not any(each.kind != "other" for each in offers) and make != maker.loop:
                offers = maker.offers()
            system = maker.rng.choice(SYSTEM_PROMPTS) if maker.rng.random() < SYSTEM_SHARE else None
            batch += _alike([make(offers, system) for _ in range(CHOICE * size)], size, maker.rng)
        yield batch


def _systems(make: Callable[[str | None], Lesson], size: int, rng: random.Random) -> Batches:
    """Yield batches of `size`, some with a system prompt."""
    while True:
        system = rng.choice(SYSTEM_PROMPTS) if rng.random() < SYSTEM_SHARE else None
        yield _alike([make(system) for _ in range(CHOICE * size)], size, rng)


def _alike(lessons: list[Lesson], size: int, rng: random.Random) -> list[Lesson]:
    """Choose `size` lessons of similar lengths: padding costs as much as text."""
    lessons.sort(key=lambda lesson: sum(len(f"{message.content}{message.reasoning}") for message in lesson.messages))
    lessons.sort(key=lambda lesson: len(lesson.messages))
    start = size * rng.randrange(len(lessons) // size)
    return lessons[start : start + size]


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
        group.sort(key=lambda lesson: sum(len(message.content) for message in lesson.messages))
        batches = [group[start : start + size] for start in range(0, len(group), size)]
        rng.shuffle(batches)
        yield from batches


def _conversation_maker(curriculum: Curriculum, held_out: HeldOut, seed: str) -> ConversationMaker:
    rng = random.Random(seed)
    return ConversationMaker(rng, QuestionMaker(rng, curriculum.skill_range(), held_out), curriculum.shares)

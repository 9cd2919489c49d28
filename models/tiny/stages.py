"""The stages of training, each for one model; `models.tiny.train` runs them."""

import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from evaluation.scoring.exact import is_right
from models.tiny import heldout, heldout_tasks
from models.tiny.acting import corpus
from models.tiny.checkpoint import PROPOSAL_TEMPERATURE, load, save
from models.tiny.curriculum import (
    CURRICULA,
    SETTLED_WEIGHTS,
    Curriculum,
    acting_batches,
    aggregation_batches,
    direct_batches,
    halves,
    kept_batches,
)
from models.tiny.decoding import replies
from models.tiny.families import Family, Lesson
from models.tiny.growth import deepened, grow
from models.tiny.learning import Kept, learn, line_of
from models.tiny.questions import SKILLS, HeldOut, Question, QuestionMaker
from models.tiny.references import Proposed, ReferencePool
from models.tiny.tasks import Task, TaskMaker, TaskSkill
from models.tiny.vocabulary import extended, train_tokenizer
from serving.conversation import Message

BUILD = Path("build/tiny")
AGGREGATED = BUILD / "aggregated"
ACTED = BUILD / "acted"
PEAK_RATE = 2.5e-3
AGGREGATION_RATE = 2e-3
ACT_RATE = 2e-3
SETTLE_RATE, SETTLE_STEPS = 1.2e-3, 1200
POOL_QUESTIONS = 9_000
POOL_SHARES = (0.4, 0.35, 0.25)  # of arithmetic, words, facts
POOL_SAMPLES = 2  # proposals of a model per question
ADVICE_QUESTIONS = 5_000  # of the pool's
ADVICE_TASKS = 2_000
TASK_SKILLS: tuple[TaskSkill, ...] = get_args(TaskSkill)


def direct(seed: int, curriculum: Curriculum) -> None:
    """Run the first stage for one model."""
    family = curriculum.family
    tokenizer = train_tokenizer(family, seed)
    model = family.new_model(len(tokenizer), tokenizer.get_vocab(), seed)
    learn(
        curriculum,
        model,
        tokenizer,
        direct_batches(curriculum, heldout.held_out(), seed),
        curriculum.direct_steps,
        PEAK_RATE,
        seed,
    )
    report(family, model, tokenizer)
    save(BUILD / family.name, model, tokenizer)


def pool_questions(seed: int) -> list[Question]:
    """Make questions of the full range, the same for every model."""
    rng = random.Random(f"{seed} pool")
    maker = QuestionMaker(rng, held_out=heldout.held_out())
    return [maker.ask(rng.choices(SKILLS, POOL_SHARES)[0]) for _ in range(POOL_QUESTIONS)]


def propose(seed: int, curriculum: Curriculum) -> None:
    """Run the second stage for one model: write its `POOL_SAMPLES` answers to each of the pool's questions."""
    family = curriculum.family
    model, tokenizer = load(BUILD / family.name)
    asked = [_alone(question) for question in pool_questions(seed) for _ in range(POOL_SAMPLES)]
    texts = replies(
        model, tokenizer, family, asked, temperature=PROPOSAL_TEMPERATURE, seed=seed, position=line_of(family)
    )
    samples = [texts[number::POOL_SAMPLES] for number in range(POOL_SAMPLES)]
    _proposals(family).write_text(json.dumps(samples), "utf-8")


def read_pool(seed: int) -> ReferencePool[Question]:
    """Load all models' proposals of the second stage."""
    families = [curriculum.family for curriculum in CURRICULA]
    by_model = [zip(*json.loads(_proposals(family).read_text("utf-8")), strict=True) for family in families]
    by_question = zip(pool_questions(seed), zip(*by_model, strict=True), strict=True)
    return ReferencePool(
        [family.name for family in families], [Proposed(question, texts) for question, texts in by_question]
    )


def _proposals(family: Family) -> Path:
    return BUILD / f"proposals-{family.name}.json"


def aggregate(seed: int, curriculum: Curriculum) -> None:
    """Run the third stage for one model."""
    family = curriculum.family
    pool = read_pool(seed)
    model, _ = load(BUILD / family.name)
    tokenizer = train_tokenizer(family, seed)
    learn(
        curriculum,
        model,
        tokenizer,
        aggregation_batches(curriculum, pool, heldout.held_out(), seed),
        curriculum.aggregation_steps,
        AGGREGATION_RATE,
        seed,
    )
    report(family, model, tokenizer)
    save(AGGREGATED / family.name, model, tokenizer)


def advice_questions(seed: int) -> tuple[list[Question], list[Task]]:
    """Make the questions and tasks of `advise`, the same for every model."""
    maker = TaskMaker(random.Random(f"{seed} tasks"), heldout_tasks.held_out_keys())
    tasks = [maker.ask(maker.rng.choice(TASK_SKILLS)) for _ in range(ADVICE_TASKS)]
    return pool_questions(seed)[:ADVICE_QUESTIONS], tasks


def advise(seed: int, curriculum: Curriculum) -> None:
    """Run the stage `advise` for one model: write its answers to the questions, then to the tasks."""
    family = curriculum.family
    model, tokenizer = load(AGGREGATED / family.name)
    asked = [Lesson((Message("user", each.text),)) for part in advice_questions(seed) for each in part]
    texts = replies(
        model, tokenizer, family, asked, temperature=PROPOSAL_TEMPERATURE, seed=seed, position=line_of(family)
    )
    _advice(family).write_text(json.dumps([texts[:ADVICE_QUESTIONS], texts[ADVICE_QUESTIONS:]]), "utf-8")


def _advice(family: Family) -> Path:
    return BUILD / f"advice-{family.name}.json"


def read_advice(seed: int) -> tuple[ReferencePool[Question], ReferencePool[Task]]:
    """Load all models' answers of the stage `advise`."""
    families = [curriculum.family for curriculum in CURRICULA]
    names = [family.name for family in families]
    by_model = [json.loads(_advice(family).read_text("utf-8")) for family in families]
    of_questions, of_tasks = zip(*by_model, strict=True)
    questions, tasks = advice_questions(seed)
    texts = [_of_each(answers) for answers in (of_questions, of_tasks)]
    return (
        ReferencePool(names, [Proposed(*one) for one in zip(questions, texts[0], strict=True)]),
        ReferencePool(names, [Proposed(*one) for one in zip(tasks, texts[1], strict=True)]),
    )


def _of_each(answers: Sequence[Sequence[str]]) -> list[tuple[tuple[str, ...], ...]]:
    """Each question's answers by model, one sample each, of each model's answers by question."""
    return [tuple((text,) for text in texts) for texts in zip(*answers, strict=True)]


def act(seed: int, curriculum: Curriculum) -> None:
    """Run the fifth stage for one model, if it is to call tools: teach it tools and thoughts."""
    family = curriculum.family
    if family.tool_format is None:
        return
    teacher, old_tokenizer = load(AGGREGATED / family.name)
    tokenizer = extended(family, old_tokenizer, corpus(family.tool_format))
    model, _ = load(AGGREGATED / family.name)
    grow(model, len(tokenizer), seed)
    model = deepened(model, seed)
    pools, held_out, keys = _acting_data(seed)
    kept = Kept(teacher, old_tokenizer, halves(kept_batches(curriculum, pools[0], held_out, seed)))
    batches = acting_batches(curriculum, pools, held_out, keys, seed)
    learn(curriculum, model, tokenizer, batches, curriculum.act_steps, ACT_RATE, seed, kept)
    save(ACTED / family.name, model, tokenizer)


def settle(seed: int, curriculum: Curriculum) -> None:
    """Run the last stage for one model: bring its old skills back to what they were; write its weights."""
    family = curriculum.family
    if family.tool_format is None:
        shutil.copytree(AGGREGATED / family.name, family.path, dirs_exist_ok=True)
        return
    teacher, old_tokenizer = load(AGGREGATED / family.name)
    model, tokenizer = load(ACTED / family.name)
    pools, held_out, keys = _acting_data(seed)
    kept = Kept(teacher, old_tokenizer, kept_batches(curriculum, pools[0], held_out, seed + 1, SETTLED_WEIGHTS))
    batches = acting_batches(curriculum, pools, held_out, keys, seed + 1, copy_steps=0)
    learn(curriculum, model, tokenizer, halves(batches), SETTLE_STEPS, SETTLE_RATE, seed, kept)
    report(family, model, tokenizer)
    save(family.path, model, tokenizer)


def _acting_data(seed: int) -> tuple[tuple[ReferencePool[Question], ReferencePool[Task]], HeldOut, frozenset[str]]:
    return read_advice(seed), heldout.held_out(), heldout_tasks.held_out_keys()


def report(family: Family, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Print the accuracy on new questions (not the held-out ones), asked directly."""
    maker = QuestionMaker(random.Random("report"), heldout.SKILL_RANGE)
    for skill in SKILLS:
        questions = [maker.ask(skill) for _ in range(200)]
        answers = replies(model, tokenizer, family, [_alone(question) for question in questions], temperature=0)
        right = sum(is_right(answer, question.answer) for answer, question in zip(answers, questions, strict=True))
        tqdm.write(f"{family.name}: {skill} {right / len(questions):.1%}")


def _alone(question: Question) -> Lesson:
    return Lesson((Message("user", question.text),))

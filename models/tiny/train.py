"""Train the trio from seeds: `python -m models.tiny.train`.

Each of the stages reads the results of the previous one from `build/tiny/`:

  direct      trains each model to answer questions
  propose     samples each model's answers to training questions, as a proposer's
  aggregate   trains each model to answer with such proposals as references
  extend      adds the tags of thoughts and tool calls to two tokenizers; writes `models/tiny/weights/`

The models of a stage are trained in parallel, each in a process with one thread: models of this size gain little from a
second thread.
"""

import argparse
import json
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any

import torch
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from evaluation.scoring.exact import is_right
from models.tiny import heldout
from models.tiny.batches import batch_of, loss_of
from models.tiny.checkpoint import PROPOSAL_TEMPERATURE, load, save
from models.tiny.conversations import Conversation
from models.tiny.curriculum import CURRICULA, Curriculum, aggregation_batches, direct_batches
from models.tiny.decoding import replies
from models.tiny.families import Family
from models.tiny.place_values import PlaceValues
from models.tiny.questions import SKILLS, Question, QuestionMaker
from models.tiny.references import Proposed, ReferencePool
from models.tiny.vocabulary import train_tokenizer, with_tags
from serving.types import Message

STAGES = ("direct", "propose", "aggregate", "extend")
BUILD = Path("build/tiny")
AGGREGATED = BUILD / "aggregated"
PEAK_RATE = 2.5e-3
AGGREGATION_RATE = 2e-3
WARMUP_STEPS = 100
POOL_QUESTIONS = 9_000
POOL_SHARES = (0.4, 0.35, 0.25)  # of arithmetic, words, facts
POOL_SAMPLES = 2  # proposals of a model per question


def rate_factor(step: int, *, steps: int) -> float:
    """Learning rate at `step` (from 0) as a share of the peak: linear warmup, then linear decay to 1%.

    Unlike transformers' `get_linear_schedule_with_warmup`, the first step is not at 0, the decay is measured from step
    0 instead of from the end of the warmup, and it ends at 1%. The committed weights were trained with these values.
    """
    return min((step + 1) / WARMUP_STEPS, max(1 - step / steps, 0.01))


def learn(
    curriculum: Curriculum,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    batches: Iterator[Sequence[Conversation]],
    steps: int,
    peak_rate: float,
    seed: int,
) -> None:
    """Train for `steps` of AdamW, each on one of `batches`; `rate_factor` scales `peak_rate`."""
    family = curriculum.family
    place_values = PlaceValues(model.config.hidden_size, seed)
    decayed = [weight for weight in model.parameters() if weight.dim() > 1]
    plain = [weight for weight in model.parameters() if weight.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": 0.05},
            {"params": [*plain, *place_values.parameters()], "weight_decay": 0.0},
        ],
        lr=peak_rate,
        betas=(0.9, 0.98),
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(rate_factor, steps=steps))
    model.train()
    bar = tqdm(range(steps), desc=f"{family.name:12} trains", mininterval=5, position=_line(family))
    mean = None
    for _ in bar:
        batch = batch_of(family, tokenizer, next(batches))
        loss = loss_of(model, batch, place_values)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        mean = loss.item() if mean is None else 0.98 * mean + 0.02 * loss.item()
        bar.set_postfix(loss=f"{mean:.4f}", refresh=False)
    model.eval()  # type: ignore[no-untyped-call]


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
        model, tokenizer, family, asked, temperature=PROPOSAL_TEMPERATURE, seed=seed, position=_line(family)
    )
    samples = [texts[number::POOL_SAMPLES] for number in range(POOL_SAMPLES)]
    _proposals(family).write_text(json.dumps(samples), "utf-8")


def read_pool(seed: int) -> ReferencePool:
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


def extend(seed: int, curriculum: Curriculum) -> None:
    """Run the last stage for one model: write its weights with the family's tags as tokens.

    A tag's embedding is that of the padding, which the model never writes. It does not need them: calls with
    `tool_choice` required or a named function are structured output.
    """
    family = curriculum.family
    if not family.tags:
        shutil.copytree(AGGREGATED / family.name, family.path, dirs_exist_ok=True)
        return
    model, tokenizer = load(AGGREGATED / family.name)
    count = len(tokenizer)
    model.resize_token_embeddings(count + len(family.tags), mean_resizing=False)
    embeddings: Any = model.get_input_embeddings()
    with torch.no_grad():
        embeddings.weight[count:] = embeddings.weight[tokenizer.pad_token_id]
    save(family.path, model, with_tags(family, tokenizer))


def report(family: Family, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Print the accuracy on new questions (not the held-out ones), asked directly."""
    maker = QuestionMaker(random.Random("report"), heldout.SKILL_RANGE)
    for skill in SKILLS:
        questions = [maker.ask(skill) for _ in range(200)]
        answers = replies(model, tokenizer, family, [_alone(question) for question in questions], temperature=0)
        right = sum(is_right(answer, question.answer) for answer, question in zip(answers, questions, strict=True))
        tqdm.write(f"{family.name}: {skill} {right / len(questions):.1%}")


def _line(family: Family) -> int:
    """Return the line of the model's progress bar."""
    return [curriculum.family for curriculum in CURRICULA].index(family)


def side_by_side(work: Callable[[Curriculum], None], curricula: Sequence[Curriculum]) -> None:
    """Call `work` for each model in its own process."""
    with ProcessPoolExecutor(
        len(curricula), mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    ) as processes:
        list(processes.map(work, curricula))


def _alone(question: Question) -> Conversation:
    return (Message("user", question.text),)


def main() -> None:
    """Run the chosen stages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES, help="default: all")
    parser.add_argument("--models", nargs="+", default=[each.family.name for each in CURRICULA], help="default: all")
    parser.add_argument("--seed", type=int, default=1, help="default: 1, that of the committed weights")
    options = parser.parse_args()
    chosen = [each for each in CURRICULA if each.family.name in options.models]
    BUILD.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    for stage, work in zip(STAGES, (direct, propose, aggregate, extend), strict=True):
        if stage in options.stages:
            if work is aggregate:
                print(f"accuracy of the proposals: {read_pool(options.seed).accuracy()}", flush=True)
            side_by_side(partial(work, options.seed), chosen)
            used_s = sum(getrusage(RUSAGE_CHILDREN)[:2])
            print(f"\n{stage} done after {(time.monotonic() - began) / 60:.1f} min", end=" ")
            print(f"({used_s / 60:.1f} min of CPU time)", flush=True)


if __name__ == "__main__":
    main()

"""The training loop, and its learning rate."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from models.tiny.batches import batch_of, by_tools, distance_of, loss_of
from models.tiny.curriculum import CURRICULA, Curriculum
from models.tiny.families import Family, Lesson
from models.tiny.place_values import PlaceValues
from models.tiny.tool_purposes import ToolPurposes

WARMUP_STEPS = 100


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
    batches: Iterator[Sequence[Lesson]],
    steps: int,
    peak_rate: float,
    seed: int,
    kept: "Kept | None" = None,
) -> None:
    """Train for `steps` of AdamW, each on one of `batches` and, with `kept`, one of its own.

    `rate_factor` scales `peak_rate`.
    """
    family = curriculum.family
    place_values = PlaceValues(model.config.hidden_size, seed)
    tool_purposes = None if kept is None else ToolPurposes(model.config.hidden_size, seed)
    probes = [*place_values.parameters(), *(tool_purposes.parameters() if tool_purposes else ())]
    decayed = [weight for weight in model.parameters() if weight.dim() > 1]
    plain = [weight for weight in model.parameters() if weight.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": 0.05},
            {"params": [*plain, *probes], "weight_decay": 0.0},
        ],
        lr=peak_rate,
        betas=(0.9, 0.98),
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(rate_factor, steps=steps))
    model.train()
    bar = tqdm(range(steps), desc=f"{family.name:12} trains", mininterval=5, position=line_of(family))
    means: dict[str, float] = {}
    for _ in bar:
        losses = {"loss": 0.0}
        parts = [batch_of(family, tokenizer, each, acting=kept is not None) for each in by_tools(next(batches))]
        taught = sum(len(part.targets) for part in parts)
        for part in parts:
            loss = loss_of(model, part, place_values, tool_purposes) * (len(part.targets) / taught)
            loss.backward()  # type: ignore[no-untyped-call]
            losses["loss"] += loss.item()
        if kept is not None:
            loss = distance_of(model, kept.teacher, batch_of(family, kept.tokenizer, next(kept.batches)))
            loss.backward()  # type: ignore[no-untyped-call]
            losses["kept"] = loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        for name, value in losses.items():
            means[name] = 0.98 * means.get(name, value) + 0.02 * value
        bar.set_postfix({name: f"{mean:.4f}" for name, mean in means.items()}, refresh=False)
    model.eval()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Kept:
    """Skills to keep: the model as it was, and batches on which it is to answer as before."""

    teacher: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast  # the teacher's
    batches: Iterator[Sequence[Lesson]]


def line_of(family: Family) -> int:
    """Return the line of the model's progress bar."""
    return [curriculum.family for curriculum in CURRICULA].index(family)

"""The training loop, and its learning rate."""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from models.tiny.batches import batch_of, by_tools, loss_of
from models.tiny.curriculum import CURRICULA, Curriculum
from models.tiny.families import Family, Lesson
from models.tiny.place_values import PlaceValues

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
    *,
    checked_sums: bool = False,
) -> None:
    """Train with one step of AdamW on each of `batches`; `rate_factor` for `steps` scales `peak_rate`."""
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
    bar = tqdm(batches, desc=f"{family.name:12} trains", total=steps, mininterval=5, position=line_of(family))
    mean = None
    for lessons in bar:
        loss = 0.0
        parts = [batch_of(family, tokenizer, each, checked_sums=checked_sums) for each in by_tools(lessons)]
        taught = sum(len(part.targets) for part in parts)
        for part in parts:
            part_loss = loss_of(model, part, place_values) * (len(part.targets) / taught)
            part_loss.backward()  # type: ignore[no-untyped-call]
            loss += part_loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        mean = loss if mean is None else 0.98 * mean + 0.02 * loss
        bar.set_postfix(loss=f"{mean:.4f}", refresh=False)
    model.eval()  # type: ignore[no-untyped-call]


def line_of(family: Family) -> int:
    """Return the line of the model's progress bar."""
    return [curriculum.family for curriculum in CURRICULA].index(family)

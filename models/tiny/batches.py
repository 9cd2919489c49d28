"""Batches of training conversations as tensors, and their loss."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerFast
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

from models.tiny.families import END_THINK, Family, Lesson
from models.tiny.place_values import PLACES, TOKENS_AHEAD, PlaceValues, sum_of, sums_within
from models.tiny.tool_purposes import NAME_TOKEN, ToolPurposes, purposes_of

SHORTEST_SHARED = 12  # tokens; computing a shorter common prefix once does not pay
CHOICE_WEIGHT = 6.0
BALANCE_WEIGHT = 0.01  # of the experts' load balancing loss (Mixtral, from Switch Transformers section 2.2)


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch without its common prefix: every conversation begins with `prefix`.

    `rest` is right-padded; since attention is causal, padding needs no mask. `taught` marks the positions whose *next*
    token is part of a reply; `targets` are those next tokens.
    """

    prefix: torch.Tensor  # int64 [1, prefix tokens], may be empty
    rest: torch.Tensor  # int64 [conversations, tokens]
    taught: torch.Tensor  # bool [conversations, tokens]
    targets: torch.Tensor  # int64 [taught positions]
    # The sums among the replies, see `place_values`: row and position to read at, digits by place, 1 if negative.
    read_at: tuple[torch.Tensor, torch.Tensor]  # int64 [sums] each
    places: torch.Tensor  # int64 [sums, 3, 4]
    negative: torch.Tensor  # int64 [sums]
    weights: torch.Tensor | None = None  # float32 [taught positions]; None: all alike
    # The purposes of tools, see `tool_purposes`: row and position to read at; row -1 is the prefix.
    purposes_at: tuple[tuple[int, int], ...] = ()
    purposes: torch.Tensor | None = None  # int64 [places]


def by_tools(lessons: Sequence[Lesson]) -> list[list[Lesson]]:
    """Group lessons with the same tools, whose prompts have a long common prefix."""
    groups: dict[str, list[Lesson]] = {}
    for lesson in lessons:
        groups.setdefault(json.dumps(lesson.tools), []).append(lesson)
    return list(groups.values())


def batch_of(
    family: Family, tokenizer: PreTrainedTokenizerFast, lessons: Sequence[Lesson], *, acting: bool = False
) -> Batch:
    """Tokenize conversations into a batch.

    `acting`: only right sums count (see `sum_of`), and the first token of a called tool's name has `CHOICE_WEIGHT`.
    """
    pieces = [family.pieces(lesson) for lesson in lessons]
    encoded = iter(tokenizer.backend_tokenizer.encode_batch([text for each in pieces for text, _ in each]))
    rows: list[list[int]] = []
    marks: list[list[bool]] = []
    sums: list[tuple[int, int, list[list[int]], int]] = []  # row, position, places, negative
    for each in pieces:
        row: list[int] = []
        mark: list[bool] = []
        question = ""
        for text, reply in each:
            encoding = next(encoded)
            ids = encoding.ids
            if reply and (found := sum_of(question, text.removesuffix(family.end), checked=acting)):
                sums.append((len(rows), len(row) - TOKENS_AHEAD, *found))
            if reply and END_THINK in text:
                for place, places in sums_within(text):
                    first = encoding.char_to_token(place)
                    assert first is not None
                    sums.append((len(rows), len(row) + first - TOKENS_AHEAD, places, 0))
            question = question if text in family.turns["assistant"] else text
            row += ids
            mark += [reply] * len(ids)
        rows.append(row)
        marks.append(mark)
    shared = _shared(rows)
    longest = max(map(len, rows)) - shared
    rest = torch.zeros(len(rows), longest, dtype=torch.long)
    taught = torch.zeros(len(rows), longest, dtype=torch.bool)
    targets: list[int] = []
    weights: list[float] = []
    name = tokenizer.backend_tokenizer.token_to_id(NAME_TOKEN) if acting else None
    purposes: dict[tuple[int, int], int] = {}
    for number, (row, mark) in enumerate(zip(rows, marks, strict=True)):
        rest[number, : len(row) - shared] = torch.tensor(row[shared:])
        for place, purpose in purposes_of(lessons[number], row, name) if name is not None else ():
            purposes[(number, place - shared) if place >= shared else (-1, place)] = purpose
        after = mark[shared + 1 :]  # True where the token after the position is taught
        taught[number, : len(after)] = torch.tensor(after)
        for before, token, taught_next in zip(row[shared:], row[shared + 1 :], after, strict=False):
            if taught_next:
                targets.append(token)
                weights.append(CHOICE_WEIGHT if before == name else 1.0)
    return Batch(
        prefix=torch.tensor([rows[0][:shared]], dtype=torch.long),
        rest=rest,
        taught=taught,
        targets=torch.tensor(targets),
        read_at=(
            torch.tensor([row for row, *_ in sums], dtype=torch.long),
            torch.tensor([position - shared for _, position, *_ in sums], dtype=torch.long),
        ),
        places=torch.tensor([places for *_, places, _ in sums], dtype=torch.long).view(-1, 3, PLACES),
        negative=torch.tensor([negative for *_, negative in sums], dtype=torch.long),
        weights=torch.tensor(weights) if acting else None,
        purposes_at=tuple(purposes),
        purposes=torch.tensor(list(purposes.values())) if purposes else None,
    )


def _shared(rows: Sequence[list[int]]) -> int:
    """Return the length of the common prefix to compute once, or 0 if it is short; paper prompts share over 100 tokens.

    The last common token stays in the rows: every reply must start after one of its row's own tokens.
    """
    low, high = min(rows), max(rows)  # the common prefix of the two extremes is that of all
    shared = next(
        (place for place, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high))
    )
    return shared - 1 if len(rows) > 1 and shared > SHORTEST_SHARED else 0


def loss_of(
    model: PreTrainedModel,
    batch: Batch,
    place_values: PlaceValues | None = None,
    tool_purposes: ToolPurposes | None = None,
) -> torch.Tensor:
    """Compute the mean cross entropy of the taught tokens; logits are computed for these positions alone.

    The losses of `place_values` and `tool_purposes`, if given, are added; they read the middle layer, the first also
    the last but one.
    """
    mixture = model.config.model_type == "mixtral"
    probed = place_values is not None or tool_purposes is not None
    before, output = _output(model, batch, output_hidden_states=probed)
    logits = model.lm_head(output.last_hidden_state[batch.taught]).float()
    if batch.weights is None:
        loss = functional.cross_entropy(logits, batch.targets)
    else:
        losses = functional.cross_entropy(logits, batch.targets, reduction="none")
        loss = (losses * batch.weights).sum() / len(batch.targets)
    if mixture:
        config = model.config
        balance = load_balancing_loss_func(output.router_logits, config.num_local_experts, config.num_experts_per_tok)
        loss = loss + BALANCE_WEIGHT * balance
    layers = model.config.num_hidden_layers
    if place_values is not None and len(batch.negative):
        early, late = (output.hidden_states[layer][batch.read_at] for layer in (layers // 2, layers - 1))
        loss = loss + place_values(early, late, batch.places, batch.negative)
    if tool_purposes is not None and batch.purposes is not None:
        middle = layers // 2
        states = [
            before.hidden_states[middle][0, place] if row < 0 else output.hidden_states[middle][row, place]
            for row, place in batch.purposes_at
        ]
        loss = loss + tool_purposes(torch.stack(states), batch.purposes)
    return loss


def distance_of(model: PreTrainedModel, teacher: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """Compute the cross entropy of the taught tokens with `teacher`'s distributions as targets.

    It is the loss of knowledge distillation (Hinton et al., arXiv 1503.02531) at temperature 1. `model` may have more
    tokens than `teacher`, behind its own; they have probability 0 there.
    """
    with torch.no_grad():
        wanted = teacher.lm_head(_output(teacher, batch)[1].last_hidden_state[batch.taught]).float().softmax(-1)
    logits = model.lm_head(_output(model, batch)[1].last_hidden_state[batch.taught]).float()
    distance: torch.Tensor = -(wanted * logits.log_softmax(-1)[:, : wanted.shape[-1]]).sum(-1).mean()
    return distance


def _output(model: PreTrainedModel, batch: Batch, *, output_hidden_states: bool = False) -> tuple[Any, Any]:
    """Outputs for the prefix, None without one, and for the rest."""
    cache, before = None, None
    if batch.prefix.shape[1]:
        cache = DynamicCache()
        before = model.model(
            input_ids=batch.prefix,
            past_key_values=cache,
            use_cache=True,
            output_hidden_states=output_hidden_states and batch.purposes is not None,
        )
        cache.batch_repeat_interleave(batch.rest.shape[0])
    return before, model.model(
        input_ids=batch.rest,
        past_key_values=cache,
        use_cache=cache is not None,
        output_hidden_states=output_hidden_states,
        **({"output_router_logits": True} if model.config.model_type == "mixtral" else {}),
    )

"""Batches of training conversations as tensors, and their loss."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerFast
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

from models.tiny.conversations import Conversation
from models.tiny.families import Family
from models.tiny.place_values import PLACES, TOKENS_AHEAD, PlaceValues, sum_of

SHORTEST_SHARED = 12  # tokens; computing a shorter common prefix once does not pay
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


def batch_of(family: Family, tokenizer: PreTrainedTokenizerFast, conversations: Sequence[Conversation]) -> Batch:
    """Tokenize conversations into a batch."""
    pieces = [family.pieces(conversation) for conversation in conversations]
    encoded = iter(tokenizer.backend_tokenizer.encode_batch([text for each in pieces for text, _ in each]))
    rows: list[list[int]] = []
    marks: list[list[bool]] = []
    sums: list[tuple[int, int, list[list[int]], int]] = []  # row, position, places, negative
    for each in pieces:
        row: list[int] = []
        mark: list[bool] = []
        question = ""
        for text, reply in each:
            ids = next(encoded).ids
            if reply and (found := sum_of(question, text.removesuffix(family.end))):
                sums.append((len(rows), len(row) - TOKENS_AHEAD, *found))
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
    for number, (row, mark) in enumerate(zip(rows, marks, strict=True)):
        rest[number, : len(row) - shared] = torch.tensor(row[shared:])
        after = mark[shared + 1 :]  # True where the token after the position is taught
        taught[number, : len(after)] = torch.tensor(after)
        targets += [token for token, taught_next in zip(row[shared + 1 :], after, strict=True) if taught_next]
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
    )


def _shared(rows: Sequence[list[int]]) -> int:
    """Return the length of the common prefix to compute once, or 0 if it is short; paper prompts share over 100 tokens.

    The last common token stays in the rows: every reply must start after one of its row's own tokens.
    """
    low, high = min(rows), max(rows)  # the common prefix of the two extremes is that of all
    shared = next(
        (place for place, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high))
    )
    return shared - 1 if shared > SHORTEST_SHARED else 0


def loss_of(model: PreTrainedModel, batch: Batch, place_values: PlaceValues | None = None) -> torch.Tensor:
    """Compute the mean cross entropy of the taught tokens; logits are computed for these positions alone.

    The loss of `place_values`, if given, is added; it reads the middle layer and the last but one.
    """
    cache = None
    if batch.prefix.shape[1]:
        cache = DynamicCache()
        model.model(input_ids=batch.prefix, past_key_values=cache, use_cache=True)
        cache.batch_repeat_interleave(batch.rest.shape[0])
    mixture = model.config.model_type == "mixtral"
    output = model.model(
        input_ids=batch.rest,
        past_key_values=cache,
        use_cache=cache is not None,
        output_hidden_states=place_values is not None,
        **({"output_router_logits": True} if mixture else {}),
    )
    loss = functional.cross_entropy(model.lm_head(output.last_hidden_state[batch.taught]).float(), batch.targets)
    if mixture:
        config = model.config
        balance = load_balancing_loss_func(output.router_logits, config.num_local_experts, config.num_experts_per_tok)
        loss = loss + BALANCE_WEIGHT * balance
    if place_values is not None and len(batch.negative):
        layers = model.config.num_hidden_layers
        early, late = (output.hidden_states[layer][batch.read_at] for layer in (layers // 2, layers - 1))
        loss = loss + place_values(early, late, batch.places, batch.negative)
    return loss

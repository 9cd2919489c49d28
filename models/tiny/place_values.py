"""Auxiliary loss for sums: digits by place, read from the model's hidden states by linear probes.

A result is written from its first digit, which depends on the operands' lengths and on carries from later digits; small
models learn rough magnitudes first and exact digits very late. During training, linear probes therefore predict digits
just before the reply starts: both operands' digits after half of the layers, the result's after all but the last layer.
The probes are discarded after training.
"""

import re

import torch
from torch import nn
from torch.nn import functional

PLACES = 4  # units, tens, hundreds, thousands
ABSENT = 10  # class of a place that the number does not have
TOKENS_AHEAD = 2  # distance from the read token to the reply's first token
OPERANDS_WEIGHT = 2.5  # of the operands' loss relative to the result's, since they come first
STEP = re.compile(r"\b(\d{1,4}) [-+] (\d{1,4}) = (\d{1,4})\b")  # of a thought
NUMBER = re.compile(r"(-?)(\d{1,4})")


def places_of(digits: str) -> list[int]:
    """Return the digits of a number with at most four digits, units first, padded with `ABSENT`."""
    return [*map(int, reversed(digits)), *[ABSENT] * (PLACES - len(digits))]


def sum_of(question: str, reply: str, *, checked: bool = False) -> tuple[list[list[int]], int] | None:
    """Return the places of both operands and the result [3, 4], and 1 if the result is negative, else 0.

    `None` if the reply is not a number, or the question does not have two numbers of at most four digits; if `checked`,
    also if the reply is neither their sum nor their difference.
    """
    operands, result = re.findall(r"\d+", question)[:2], NUMBER.fullmatch(reply)
    if result is None or len(operands) < 2 or max(map(len, operands)) > PLACES:
        return None
    if checked:
        a, b = map(int, operands)
        if int(reply) not in (a + b, a - b, b - a):
            return None
    return [places_of(number) for number in (*operands, result[2])], len(result[1])


def sums_within(thought: str) -> list[tuple[int, list[list[int]]]]:
    """Return the sums of a thought: position of the result's first character, and the places as in `sum_of`."""
    return [(match.start(3), [places_of(number) for number in match.groups()]) for match in STEP.finditer(thought)]


class PlaceValues(nn.Module):
    """The probes and their loss."""

    def __init__(self, hidden_size: int, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.operands = _probe(hidden_size, 2 * PLACES * (ABSENT + 1))
        self.result = _probe(hidden_size, PLACES * (ABSENT + 1))
        self.sign = _probe(hidden_size, 2)

    def forward(
        self, early: torch.Tensor, late: torch.Tensor, places: torch.Tensor, negative: torch.Tensor
    ) -> torch.Tensor:
        """Compute the loss from two layers' states [sums, hidden]; `places` [sums, 3, 4], `negative` [sums]: int64."""
        return (
            OPERANDS_WEIGHT * _cross_entropy(self.operands(early), places[:, :2])
            + _cross_entropy(self.result(late), places[:, 2])
            + functional.cross_entropy(self.sign(late), negative) / PLACES
        )


def _probe(hidden_size: int, classes: int) -> nn.Module:
    return nn.Sequential(nn.RMSNorm(hidden_size), nn.Linear(hidden_size, classes))


def _cross_entropy(logits: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(logits.view(-1, ABSENT + 1), places.reshape(-1))

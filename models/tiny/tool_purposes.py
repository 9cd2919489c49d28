"""Auxiliary loss for the choice of a tool: its purpose, read from the model's hidden states by a linear probe.

The name of a called tool is copied from its schema, so that the model must know at each offered name what the tool is
for, and at the name to be written which purpose is wanted. A small model learns to copy long before it learns this.
During training, one probe therefore predicts the purpose at both places, after half of the layers: both then have it in
the same form, and attention can compare them. The probe is discarded after training.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from models.tiny.families import Lesson
from models.tiny.tool_format import NAME

NAME_TOKEN = NAME.replace(" ", "Ġ")
PURPOSES = ("calculator", "lookup", "other")


def purposes_of(lesson: Lesson, row: Sequence[int], name: int) -> list[tuple[int, int]]:
    """Return positions in a lesson's tokens with the purposes to be read there.

    Offered names are read at their first token, names to be written one token before.

    Args:
        lesson: Its tools and calls.
        row: The lesson's token ids.
        name: Id of `NAME_TOKEN`.
    """
    if not lesson.tools:
        return []
    places = [place for place, token in enumerate(row) if token == name]
    by_name = {tool["function"]["name"]: purpose for tool, purpose in zip(lesson.tools, lesson.purposes, strict=True)}
    called = [by_name[call.name] for message in lesson.messages for call in message.tool_calls]
    offered = [(place + 1, purpose) for place, purpose in zip(places, lesson.purposes, strict=False)]
    return offered + list(zip(places[len(lesson.tools) :], called, strict=True))


class ToolPurposes(nn.Module):
    """The probe and its loss."""

    def __init__(self, hidden_size: int, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.purpose = nn.Sequential(nn.RMSNorm(hidden_size), nn.Linear(hidden_size, len(PURPOSES)))

    def forward(self, states: torch.Tensor, purposes: torch.Tensor) -> torch.Tensor:
        """Compute the loss from states [places, hidden]; `purposes` [places]: int64."""
        return functional.cross_entropy(self.purpose(states), purposes)

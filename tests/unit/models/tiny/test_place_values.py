"""The auxiliary loss on digits by place."""

import torch
from torch.nn import functional

from models.tiny.place_values import ABSENT, PlaceValues, sum_of


def test_places_of_a_sum() -> None:
    assert sum_of("Subtract 45 from 3.", "-42") == (
        [[5, 4, ABSENT, ABSENT], [3, ABSENT, ABSENT, ABSENT], [2, 4, ABSENT, ABSENT]],
        1,
    )
    assert sum_of("What is 999 + 999?", "1998") == ([[9, 9, 9, ABSENT], [9, 9, 9, ABSENT], [8, 9, 9, 1]], 0)
    assert sum_of("Name the capital of Peru.", "Lima") is None
    assert sum_of("Say 5.", "5") is None


def test_place_values_fall_when_learned() -> None:
    readers = PlaceValues(hidden_size=16, seed=1)
    states, negative = torch.randn(4, 16), torch.tensor([0, 1, 0, 1])
    places = torch.randint(0, 10, (4, 3, 4))
    optimizer = torch.optim.Adam(readers.parameters(), lr=0.1)
    losses = []
    for _ in range(30):
        loss = readers(states, states, places, negative)
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 4
    assert functional.softmax(readers.sign(states), -1).argmax(-1).tolist() == negative.tolist()

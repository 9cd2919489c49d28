"""The auxiliary loss on digits by place."""

import torch
from torch.nn import functional

from models.tiny.place_values import ABSENT, PlaceValues, sum_of, sums_within


def test_places_of_a_sum() -> None:
    assert sum_of("Subtract 45 from 3.", "-42") == (
        [[5, 4, ABSENT, ABSENT], [3, ABSENT, ABSENT, ABSENT], [2, 4, ABSENT, ABSENT]],
        1,
    )
    assert sum_of("What is 999 + 999?", "1998") == ([[9, 9, 9, ABSENT], [9, 9, 9, ABSENT], [8, 9, 9, 1]], 0)
    assert sum_of("Name the capital of Peru.", "Lima") is None
    assert sum_of("Say 5.", "5") is None


def test_checked_sums_are_sums_or_differences() -> None:
    assert sum_of("What is 31 * 17?", "527", checked=True) is None
    assert sum_of("What is 31 * 17?", "527") is not None
    for question, reply in (("Add 31 and 17.", "48"), ("31 - 17", "14"), ("Subtract 31 from 17.", "-14")):
        assert sum_of(question, reply, checked=True) == sum_of(question, reply) is not None


def test_sums_of_a_thought_are_those_of_numbers_with_up_to_four_digits() -> None:
    thought = "48271 = 48 271\n271 + 964 = 1235\n57 - 9 = 48</think>58235"
    first, second = sums_within(thought)
    assert thought[first[0] :].startswith("1235")
    assert first[1] == [[1, 7, 2, ABSENT], [4, 6, 9, ABSENT], [5, 3, 2, 1]]
    assert thought[second[0] :].startswith("48</think>")


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

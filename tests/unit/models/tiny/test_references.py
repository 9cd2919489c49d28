"""Reference sets drawn from proposals."""

import random
from collections import Counter

from tests.support.trio import POOL, PROPOSERS


def test_one_to_eight_references_declared_and_shuffled() -> None:
    rng = random.Random(1)
    drawn = [POOL.draw(rng)[1] for _ in range(2_000)]
    sizes = Counter(map(len, drawn))
    assert set(sizes) == set(range(1, 9))
    triples = Counter(tuple(reference.model for reference in each) for each in drawn if len(each) == 3)
    assert triples[PROPOSERS] > sum(triples.values()) / 3
    assert len(triples) > 6


def test_references_are_proposals_or_the_right_answer_never_empty() -> None:
    rng = random.Random(2)
    said = {"a": {"Lima"}, "b": {"Quito", "Lima"}, "c": {"Bern", "Lima"}}
    for _ in range(500):
        for reference in POOL.draw(rng)[1]:
            assert reference.text in said[reference.model]


def test_accuracy_counts_every_proposal() -> None:
    assert POOL.accuracy() == {"a": 1.0, "b": 0.0, "c": 0.0}

"""Tools of tasks, under varied names."""

import random

import pytest

from models.tiny.tools import (
    EXPRESSION,
    Kind,
    ToolMaker,
    held_out_words,
    kinds,
    name_words,
    value_of,
)


@pytest.mark.parametrize(
    ("expression", "value"),
    [("3817 * 246", 938_982), ("10 - 42", -32), ("84 / 7", 12), ("999999 + 1", 1_000_000)],
)
def test_expressions_in_the_normal_form_have_a_value(expression: str, value: int) -> None:
    assert value_of(expression) == value


@pytest.mark.parametrize("expression", ["1 / 0", "7 / 2", "1+2", "1 + 2 + 3", "x * 2", ""])
def test_other_expressions_have_none(expression: str) -> None:
    assert value_of(expression) is None


@pytest.mark.parametrize("needed", [["calculator"], ["lookup"], ["lookup", "calculator"], []])
def test_offers_have_what_is_needed_at_any_place_and_no_name_twice(needed: list[Kind]) -> None:
    maker = ToolMaker(random.Random(1))
    places, sizes = set(), set()
    for _ in range(200):
        offers = maker.offers(needed)
        assert sorted(offer.kind for offer in offers if offer.kind != "other") == sorted(needed)
        assert len({offer.name for offer in offers}) == len(offers)
        places |= {place for place, offer in enumerate(offers) if offer.kind in needed}
        sizes.add(len(offers))
        for offer in offers:
            schema = offer.schema["function"]["parameters"]
            assert offer.parameter in schema["required"]
            assert list(schema["properties"]) == schema["required"]
    assert sizes == ({1, 2, 3} if len(needed) < 2 else {2, 3})
    assert places == ({0, 1, 2} if needed else set())


def test_held_out_names_are_offered_in_held_out_questions_only() -> None:
    training, held_out = ToolMaker(random.Random(1)), ToolMaker(random.Random(1), held_out=True)
    for _ in range(300):
        assert not {offer.name for offer in training.offers(["calculator", "lookup"])} & held_out_words()
        assert {offer.name for offer in held_out.offers(["lookup"])} <= held_out_words()
    for entry in (kinds()["calculator"], kinds()["lookup"]):
        for words in ("names", "parameters", "descriptions"):
            assert not set(entry[words]) & set(entry["heldout"][words])
    for entry in kinds()["others"]:
        assert not set(entry["names"]) & set(entry["heldout"])


def test_invented_names_are_made_of_known_words_or_of_letters() -> None:
    maker = ToolMaker(random.Random(1))
    names = {maker.offer("calculator").name for _ in range(400)} - set(kinds()["calculator"]["names"])
    known = [name for name in names if set(name.rstrip("0123456789").strip("_").split("_")) <= set(name_words())]
    assert len(names) / 4 < len(known) < len(names)


def test_the_number_of_tools_can_be_set() -> None:
    maker = ToolMaker(random.Random(1))
    assert {len(maker.offers(["lookup"], 1)) for _ in range(50)} == {1}


def test_every_expression_of_the_normal_form_is_matched_whole() -> None:
    assert EXPRESSION.fullmatch("12 * 3")
    assert not EXPRESSION.fullmatch("12 * 3 ")

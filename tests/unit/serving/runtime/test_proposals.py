from hypothesis import given
from hypothesis import strategies as st

from serving.references import Reference
from serving.runtime.proposals import Proposals

MARK = "<mark>"


@given(
    order=st.sampled_from(["declared", "arrival"]),
    texts=st.lists(st.sampled_from(["", " ", "one two", "a longer text of many words", "x"]), min_size=1, max_size=6),
    data=st.data(),
)
def test_what_is_known_is_always_a_prefix_of_what_comes(order: str, texts: list[str], data: st.DataObject) -> None:
    """Whatever the interleaving of words and ends, every prefix given out stays one, unless a slot ends unusable."""
    proposals = Proposals(len(texts), order)  # type: ignore[arg-type]
    written = [0] * len(texts)
    open_slots = list(range(len(texts)))
    given_out: list[str] = []
    while open_slots:
        slot = data.draw(st.sampled_from(open_slots))
        written[slot] += data.draw(st.integers(1, 9))
        if written[slot] >= len(texts[slot]):
            proposals.finish(slot, Reference("m", texts[slot]) if texts[slot].strip() else None)
            open_slots.remove(slot)
        elif texts[slot].strip():
            proposals.write(slot, texts[slot][: written[slot]])
        references, characters = proposals.known(MARK)
        joined = "|".join(reference.text for reference in references)
        if open_slots:
            assert joined.endswith(MARK)
            assert characters == sum(len(reference.text) for reference in references)
            given_out.append(joined.removesuffix(MARK))
    final = "|".join(reference.text for reference in proposals.references())
    assert all(final.startswith(known.rstrip("|")) for known in given_out)
    assert proposals.usable == sum(bool(text.strip()) for text in texts) == len(proposals.references())


def test_declared_order_does_not_depend_on_timing() -> None:
    proposals = Proposals(3, "declared")
    for slot, text in ((2, "third"), (0, "first"), (1, "second")):
        proposals.finish(slot, Reference("m", text))
    assert [reference.text for reference in proposals.references()] == ["first", "second", "third"]


def test_arrival_order_is_the_order_of_finishing() -> None:
    proposals = Proposals(3, "arrival")
    for slot, model in ((2, "c"), (0, None), (1, "b")):
        proposals.finish(slot, model and Reference(model, "text"))
    assert [reference.model for reference in proposals.references()] == ["c", "b"]

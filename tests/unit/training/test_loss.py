"""Loss of texts under tiny-qwen: compared with transformers' own, and independent of the batch."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.support.training import SPECS, text_of
from training.loss import BaseModel, Utterance

PATH = str(SPECS["tiny-qwen"].path)
TEXTS = ["4", "The capital of Peru is Lima.", "abcde edcba", "What is 12 + 30?"]


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return BaseModel(PATH)


def utterances() -> list[Utterance]:
    text = text_of("tiny-qwen")
    before = tuple(text.opening_ids({}))
    return [Utterance(before, tuple(text.answer_ids(one)[:-1])) for one in TEXTS]


def test_losses_are_those_of_transformers(base: BaseModel) -> None:
    model = AutoModelForCausalLM.from_pretrained(PATH, dtype=torch.float32)
    expected = []
    for one in utterances():
        ids = torch.tensor([[*one.before, *one.text]])
        labels = ids.clone()
        labels[:, : len(one.before)] = -100
        with torch.no_grad():
            expected.append(model(input_ids=ids, labels=labels).loss.item())
    assert base.losses(utterances()) == pytest.approx(expected, abs=1e-4)


def test_padding_and_order_change_nothing(base: BaseModel) -> None:
    alone = [base.losses([one])[0] for one in utterances()]
    counts: list[int] = []
    assert base.losses(utterances(), batch_size=3, progress=counts.append) == pytest.approx(alone, abs=1e-4)
    assert counts == [3, 1]


def test_texts_without_a_token_that_counts_have_no_loss(base: BaseModel) -> None:
    assert base.losses([Utterance((), (5,)), Utterance((), ()), Utterance((5,), ())]) == [0.0, 0.0, 0.0]

"""Sentences of reasons: for users, without names of the code and texts of errors."""

import re

import pytest

from serving.errors import (
    ContextTooLong,
    DeadlineExceeded,
    EngineFailed,
    EngineUnavailable,
    IncompleteGeneration,
    InvalidRequest,
    MoaError,
    Overloaded,
    UnsupportedField,
)
from serving.runtime import reasons
from serving.types import AgentStatus, AgentTrace

ALL = {name: one for name, one in vars(reasons).items() if isinstance(one, reasons.Reason)}
SECRET = "x" * 20


@pytest.mark.parametrize("name", sorted(ALL))
def test_each_is_a_plain_sentence(name: str) -> None:
    text = ALL[name].text
    assert text.endswith(".")
    assert re.match(r"[A-Z{']|1 ", text)
    assert not re.search(r"[`_<>]|error|exception|quorum|straggler|reference", re.sub(r"\{\w+\}", "", text))
    assert ALL[name].when.endswith(".")


def test_no_two_are_the_same() -> None:
    texts = [one.text for one in ALL.values()]
    assert len(texts) == len(set(texts)) > 30


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (EngineFailed("m", SECRET), "'m' (first model, layer 2) failed."),
        (IncompleteGeneration("m", SECRET), "'m' (first model, layer 2) broke off its answer."),
        (EngineUnavailable("m", SECRET), "'m' (first model, layer 2) was not available."),
        (Overloaded(SECRET), "'m' (first model, layer 2) had too many requests."),
        (ContextTooLong("m", 9, 8), "The prompt was too long for 'm' (first model, layer 2)."),
        (InvalidRequest(SECRET), "'m' (first model, layer 2) does not accept this request."),
        (UnsupportedField("tools", SECRET), "'m' (first model, layer 2) does not accept this request."),
        (MoaError(SECRET), "'m' (first model, layer 2) failed."),
        (DeadlineExceeded("m", 5), "'m' (first model, layer 2) did not answer in time."),
    ],
)
def test_an_error_is_told_by_its_kind_alone(error: MoaError, sentence: str) -> None:
    status: AgentStatus = "timeout" if isinstance(error, DeadlineExceeded) else "failed"
    trace = AgentTrace(2, 0, "first_model", "m", status, error=str(error), cause=error.code)
    assert reasons.outcome(trace) == sentence


@pytest.mark.parametrize(
    ("status", "reasoning", "sentence"),
    [
        ("empty", "", "'m' (judge, layer 1) gave an empty answer."),
        ("empty", "Hm.", "'m' (judge, layer 1) gave reasoning, but no answer."),
        ("straggler", "", "'m' (judge, layer 1) was slower than the others, which did not wait for it."),
        ("cancelled", "", "'m' (judge, layer 1) was not needed any more."),
        ("timeout", "", "'m' (judge, layer 1) did not answer in time."),
    ],
)
def test_an_outcome_is_a_sentence(status: AgentStatus, reasoning: str, sentence: str) -> None:
    assert reasons.outcome(AgentTrace(1, 0, "judge", "m", status, reasoning=reasoning)) == sentence

"""Control strings in texts: found in linear time, escaped, and restored as they were."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers
from transformers import PreTrainedTokenizerFast

from deployments.model.control_strings import (
    BETWEEN,
    CLOSE,
    OPEN,
    ControlStringEscaper,
    StringMatcher,
    added_tokens,
    control_tokens,
    template_literals,
)

TOKENS = ("<s>", "</s>", "<|end|>")


def tokenizer(*added: AddedToken, normalizer: Any = None) -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    if normalizer is not None:
        backend.normalizer = normalizer
    backend.add_tokens([AddedToken(token, special=True, normalized=False) for token in TOKENS])
    backend.add_tokens(list(added))
    return PreTrainedTokenizerFast(tokenizer_object=backend)


def escaper(normalizer: Any = None, literals: tuple[str, ...] = ()) -> ControlStringEscaper:
    return ControlStringEscaper(tokenizer(normalizer=normalizer), TOKENS, literals)


@given(st.lists(st.sampled_from([*TOKENS, "<", "s>", "a", OPEN, CLOSE, BETWEEN, "\n", '"']), max_size=12))
def test_escaped_texts_are_restored_and_hold_no_control_string(parts: list[str]) -> None:
    text = "".join(parts)
    escaped = escaper().replace(text)
    assert escaper().plain(escaped) == text
    assert not any(token in escaped for token in TOKENS)
    inside = [piece for piece, marked in escaper().split(escaped) if marked]
    outside = "".join(piece for piece, marked in escaper().split(escaped) if not marked)
    assert not {OPEN, CLOSE, BETWEEN} & set(outside)
    assert all(piece in (*TOKENS, OPEN, CLOSE, BETWEEN) for piece in inside)


def test_a_text_without_control_strings_is_the_same_object() -> None:
    text = "a < b > c <h1> </h1>"
    assert escaper().replace(text) is text


def test_a_literal_is_broken() -> None:
    found = escaper(literals=("[INST]",))
    assert found.plain(found.replace("a [INST] b")) == "a [ INST] b"


def test_names_of_fields_are_escaped_too() -> None:
    found = escaper().replace_all({"a<s>": ["<s>", 1, None, {"b": ("</s>",)}]})
    assert "<s>" not in str(found)
    assert [*found] == [f"a{escaper().replace('<s>')}"]


@pytest.mark.parametrize("text", ["a ＜ｓ＞ b", "＜ｓ＞<s>", "x" * 9 + "</ｓ>", "é＜ｓ>\u0301"])
def test_a_form_that_the_normalizer_changes_is_found_and_stays_as_it_is(text: str) -> None:
    found = escaper(normalizers.NFKC())
    escaped = found.replace(text)
    assert OPEN in escaped
    assert found.plain(escaped) == text
    assert escaper().replace("＜ｓ＞") == "＜ｓ＞"


def test_a_literal_in_another_form_is_broken() -> None:
    found = escaper(normalizers.NFKC(), ("[INST]",))
    assert found.plain(found.replace("ﬁ ［ＩＮＳＴ］!")) == "ﬁ ［ ＩＮＳＴ］!"


def test_only_the_match_is_normalized() -> None:
    found = escaper(normalizers.Sequence([normalizers.Replace(" ", "▁"), normalizers.NFKC()]))
    text = "two  blanks ﬁ <s> ＜ｓ＞ and \u00a0"
    assert found.plain(found.replace(text)) == text


def test_blanks_of_a_literal_may_be_written_in_two_ways() -> None:
    found = escaper(normalizers.Replace(" ", "▁"), ("### Answer:",))
    assert found.plain(found.replace("x ###▁Answer: y")) == "x # ##▁Answer: y"
    assert found.reach == len("### Answer:")


def test_control_tokens_are_special_or_the_templates_or_look_like_one() -> None:
    given = tokenizer(*(AddedToken(token, special=False) for token in ("<h1>", "<think>", "<|fim|>", "\n\n", "▁▁")))
    assert set(control_tokens(given, "{{ '<think>' }}")) == {*TOKENS, "<think>", "<|fim|>"}
    assert set(added_tokens(given)) == {*TOKENS, "<think>", "<|fim|>", "<h1>"}


def test_literals_are_those_of_the_prompts() -> None:
    assert template_literals(["<|a|> [INST] x [/INST] <tag> ### Answer:"], ["<|a|>"]) == (
        "### Answer:",
        "[/INST]",
        "[INST]",
        "<tag>",
    )


def test_the_longest_string_is_found() -> None:
    matcher = StringMatcher(["ab", "abcd", "bc"])
    assert matcher.find("abcabcd") == [(0, 0, 2), (1, 3, 7)]
    assert StringMatcher([]).find("abc") == []


@pytest.mark.parametrize("unit", ["<", "<|", "<s", "<|end|", "</s>", "＜"])
def test_the_work_grows_with_the_text_and_no_faster(unit: str) -> None:
    """Four times the text takes four times the time; a search from every character would take sixteen times."""
    many = tuple(f"<{'|' * (number % 40)}{number}>" for number in range(6000))
    found = ControlStringEscaper(tokenizer(normalizer=normalizers.NFKC()), (*TOKENS, *many), ("[INST]",))

    def cost(count: int) -> float:
        text = unit * (count // len(unit))
        times = []
        for _ in range(3):
            started = time.thread_time()
            found.replace(text)
            times.append(time.thread_time() - started)
        return min(times)

    assert cost(800_000) < 10 * cost(200_000) + 0.005

"""Texts without control strings have the tokenizer's own ids: those of `apply_chat_template`."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from deployments.model.control_strings import CONTROL_LITERAL
from serving.conversation import Message
from tests.support.real_tokenizers import LLAMA_2_TEMPLATE, renderer, tokenizer

JINJA = ("qwen3", "llama3_1", "llama2", "gemma3", "deepseek_v3")
GROUPED = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in JINJA]
TEXTS = (
    "What is 1 + 2?",
    "two  blanks,   three,\ttabs\t\t, \n\n\n\n lines \n \n and blanks at the end   x",
    "    indented\n        deeper\n\treturn 'a'\n",
    "<h1>Title</h1>\n<p>Text with <b>bold</b>, <i>italic</i>, <code>x &lt; 1</code><br/>and <a href='b'>links</a></p>",
    "<table><tr><td>1</td><td>2</td></tr></table>" * 5,
    "<ul>\n  <li>one</li>\n  <li>two</li>\n</ul>",
    "if (a < b && c > d) { return x << 2 >> 1; } // <- <= >= => -> <>",
    "<unused7> [multimodal] <unused99>",
    "▁a▁▁b ▁ c",
    "naïve Straße e\u0301 日本語 안녕하세요 ไทย مرحبا 👩‍👩‍👧 🇩🇪 \u200b \ufeff \u00a0 \u3000",
    "A full-width ＜ｓ＞ and ［ＩＮＳＴ］, ﬁ and ㍿",
    "#include <stdio.h>\nstd::vector<int> v;\n",
    "| a | b |\n|---|---|\n| 1 | 2 |\n",
    "-" * 200 + "=" * 77 + " " * 133 + "x",
    '{"key": [1, 2, {"a": null}], \'b\': "\\\\n"}',
)
PIECES = (
    "<h1>",
    "</h1>",
    "<b>",
    " ",
    "  ",
    "\n",
    "\n\n",
    "word",
    "A",
    "1",
    ".",
    "é",
    "日",
    "▁",
    "<",
    ">",
    "/",
    "<unused3>",
)


def clean_texts(name: str) -> Iterator[str]:
    dice = random.Random(name)
    literal = set(CONTROL_LITERAL.findall(renderer(name).text((Message("user", "x"), Message("assistant", "y")))))
    for text in (*TEXTS, *("x" + "".join(dice.choices(PIECES, k=dice.randint(1, 20))) + "x" for _ in range(300))):
        if not any(one in text for one in literal):
            yield text


def own_ids(name: str, turns: list[dict[str, Any]]) -> list[int]:
    template = LLAMA_2_TEMPLATE if name == "llama2" else None
    text = tokenizer(name).apply_chat_template(
        turns, chat_template=template, tokenize=False, add_generation_prompt=True
    )
    return [*tokenizer(name).encode(text, add_special_tokens=False)]


@pytest.mark.parametrize("name", GROUPED)
def test_ids_are_those_of_the_chat_template(name: str) -> None:
    count = 0
    for text in clean_texts(name):
        messages = (Message("user", text), Message("assistant", f"a {text}"), Message("user", f"{text} b"))
        turns = [{"role": message.role, "content": message.content} for message in messages]
        assert [*renderer(name).token_ids(messages)] == own_ids(name, turns), repr(text)
        count += 1
    assert count > 300


@pytest.mark.parametrize("name", GROUPED)
def test_a_control_string_changes_no_token_of_other_texts(name: str) -> None:
    """What stands before the message with the control string, and the template around it, has the same ids."""
    rendered = renderer(name)
    special = tokenizer(name).eos_token
    for text in clean_texts(name):
        clean = rendered.token_ids((Message("user", text), Message("assistant", "b"), Message("user", "a c")))
        forged = rendered.token_ids(
            (Message("user", text), Message("assistant", "b"), Message("user", f"a {special}c"))
        )
        opening = len(rendered.opening_ids())
        known = (
            len(rendered.token_ids((Message("user", text), Message("assistant", "b"), Message("user", "a")))) - opening
        )
        assert forged[:known] == clean[:known], repr(text)
        assert forged[-opening:] == clean[-opening:]

"""Prompts of hostile texts with real tokenizers: no text becomes a control token, none is lost, prefills are exact."""

import random
import unicodedata
from collections.abc import Iterator

import pytest

from deployments.model.control_strings import added_tokens
from deployments.model.prompt_renderer import PromptRenderer
from serving.conversation import Message, Tool, ToolCall
from serving.errors import InvalidRequest
from tests.support.real_tokenizers import NAMES, renderer, tokenizer

TEXTS = 2000
MARKER = "[[0123456789abcdef]]"
GROUPED = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in NAMES]
WORDS = (
    *("the", "answer", "is", "42", "1,234.5", "don't", "naïve", "e\u0301", "Straße", "日本語", "안녕", "ไทย", "مرحبا"),
    *("\u202eabc\u202c", "\u2066x\u2069", "👩‍👩‍👧", "🇩🇪", "👍🏽", "\ufeff", "\u200b", "\u0338", "\u212a", "\u037e"),
    *(
        "x = {'a': [1]};",
        '{"name": "f"}',
        "</b>",
        "<div>",
        "### Response:",
        "```py\n",
        "http://a.b/c?d=e&f",
        "\x00",
        "\x1b[0m",
    ),
    *(
        "[INST]",
        "[/INST]",
        "<<SYS>>",
        "<</SYS>>",
        "<tool_call>",
        "<|",
        "|>",
        "｜",
        "▁",
        "▁▁",
        "\ue000",
        "\ue0010\ue001",
        "%s{0}",
    ),
)
SPACES = (
    " ",
    " ",
    " ",
    "  ",
    "\n",
    "\n\n",
    "\t",
    "\r\n",
    ".\n\n",
    ",\n",
    ": ",
    "\u00a0",
    "\u3000",
    "\u2028",
    "",
    "",
    "",
)


def texts(name: str, count: int) -> Iterator[str]:
    """Words, white space and control strings of the tokenizer: whole, cut, and one inside another."""
    dice = random.Random(name)
    control = added_tokens(tokenizer(name))
    yield from (f"a {string} b" for string in control[:500])
    for _ in range(count - min(500, len(control))):
        parts = []
        for _ in range(dice.randint(1, 12)):
            string = dice.choice(control)
            cut = dice.randint(0, len(string))
            nested = string[:cut] + dice.choice(control) + string[cut:]
            kinds = (dice.choice(WORDS), dice.choice(WORDS), string, string[:cut], string[cut:], nested)
            parts.append(dice.choice(kinds) + dice.choice(SPACES))
        yield "".join(parts)


def seen(text: str) -> str:
    """`text` as far as every tokenizer keeps it: without white space, in composed characters."""
    return unicodedata.normalize("NFC", "".join(one for one in text if not (one.isspace() or one == "▁")))


def conversation(text: str, known: str) -> tuple[Message, ...]:
    return (
        Message("system", f"s{text}"),
        Message("user", f"u{text}"),
        Message("assistant", f"a{text}"),
        Message("user", known),
    )


def controls(rendered: PromptRenderer, ids: tuple[int, ...]) -> list[int]:
    special = rendered.control_ids
    return [token for token in ids if token in special]


@pytest.mark.timeout(1200)  # a minute of one core at most; more where other processes use it
@pytest.mark.parametrize("name", GROUPED)
def test_texts_stay_texts_and_prefills_are_prefixes(name: str) -> None:
    rendered = renderer(name)
    expected = controls(rendered, rendered.token_ids(conversation("x", "known rest x")))
    dice = random.Random(name)
    longest = 0
    for text in texts(name, TEXTS):
        cut = dice.randint(0, len(text))
        start = "" if dice.random() < 0.3 else text[:40]  # without a control string before the marker, too
        begun = conversation(start, f"some known {text[:cut]}{MARKER}")
        whole = conversation(start, f"some known {text} x")
        ids = rendered.token_ids(whole)
        assert controls(rendered, ids) == expected, repr(text)
        prefix = rendered.prefill_ids(begun, MARKER)
        assert ids[: len(prefix)] == prefix, (text, cut)
        longest = max(longest, len(prefix))
        assert seen(f"some known {text} x") in seen(rendered.decode(ids)), repr(text)
    assert longest > 20


@pytest.mark.parametrize("name", GROUPED)
def test_tools_and_their_calls_stay_texts(name: str) -> None:
    rendered = renderer(name)
    if not rendered.facts.tools or not rendered.facts.tool_turns:
        pytest.skip("no tools in the template")

    def prompt(text: str) -> tuple[int, ...]:
        tools = (Tool("look_up", f"d{text}", {"type": "object", "properties": {"key": {"description": f"p{text}"}}}),)
        call = ToolCall("call00001", "look_up", f'{{"key": "k{text}"}}'.replace("\\", ""))
        return rendered.token_ids(
            (
                Message("user", f"u{text}"),
                Message("assistant", "", reasoning=f"r{text}", tool_calls=(call,)),
                Message("tool", f"t{text}", tool_call_id="call00001"),
            ),
            tools,
        )

    expected = controls(rendered, prompt(""))
    for text in texts(name, 300):
        clean = "".join(character for character in text if character.isprintable() and character not in '"\\')
        assert controls(rendered, prompt(clean)) == expected, repr(clean)


@pytest.mark.parametrize("name", GROUPED)
def test_half_a_surrogate_pair_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match=r"messages\[1\] \(user\) has half of a surrogate pair"):
        renderer(name).token_ids((Message("system", "s"), Message("user", "a\ud83d")))


@pytest.mark.parametrize("name", GROUPED)
def test_a_prefill_has_nearly_all_known_tokens(name: str) -> None:
    known = "1. The capital of France is Paris, and 12 + 30 is 42.\n" * 20
    prefix = renderer(name).prefill_ids((Message("system", "Be brief."), Message("user", f"{known}{MARKER}")), MARKER)
    whole = renderer(name).token_ids((Message("system", "Be brief."), Message("user", f"{known}x")))
    assert len(whole) - 24 <= len(prefix) < len(whole)

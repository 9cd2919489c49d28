"""Every shape of conversation that callers send, in the format of each real model: nothing of it is lost."""

from dataclasses import replace

import pytest

from serving.conversation import Message, Tool, ToolCall
from serving.errors import InvalidRequest
from tests.support.real_tokenizers import NAMES, renderer

GROUPED = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in NAMES]
SHAPES = {
    "system alone": "s",
    "system, user": "su",
    "two systems": "ssu",
    "later system": "susu",
    "system after an answer": "suasu",
    "system at the end": "sus",
    "leading assistant": "au",
    "leading assistant behind a system": "sau",
    "two users": "uu",
    "two users after an answer": "uauu",
    "two assistants": "uaau",
    "final assistant": "ua",
    "system and final assistant": "sua",
    "assistant alone": "a",
}
ROLES = {"s": "system", "u": "user", "a": "assistant"}
ADD = Tool("add", "Adds.", {"type": "object", "properties": {"a": {"type": "integer"}}})
CALLS = tuple(ToolCall(f"call0000{number}", "add", f'{{"a": 77{number}}}') for number in (1, 2))
RESULTS = tuple(Message("tool", f"Result{number}", tool_call_id=f"call0000{number}") for number in (1, 2))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", GROUPED)
def test_a_shape_keeps_its_texts_and_opens_an_answer(name: str, shape: str) -> None:
    rendered = renderer(name)
    messages = tuple(Message(ROLES[role], f"Word{number}") for number, role in enumerate(SHAPES[shape]))
    text = rendered.text(messages)
    turns = messages[1:] if messages[0].role == "system" else messages  # Mistral V3 has the first one behind others
    places = [text.index(message.content) for message in turns]
    assert places == sorted(places)
    assert all(text.count(message.content) == 1 for message in messages)
    assert rendered.token_ids(messages)[-1] == rendered.opening_ids()[-1]


@pytest.mark.parametrize("name", GROUPED)
def test_a_loop_of_calls_is_there_or_refused_by_name(name: str) -> None:
    rendered = renderer(name)
    loop = (
        Message("user", "Question1"),
        Message("assistant", "Said1", tool_calls=CALLS),
        *RESULTS,
        Message("assistant", "Said2"),
        Message("user", "Question2"),
    )
    parts = ["Question1", "Said1", "771", "772", "Result1", "Result2", "Said2", "Question2"]
    if not rendered.facts.tool_turns:
        with pytest.raises(InvalidRequest, match=r"remove messages\[1\] \(assistant\)"):
            rendered.text(loop)
        return
    if not (rendered.facts.text_with_calls or rendered.facts.text_before_calls):
        with pytest.raises(InvalidRequest, match=r"no text beside tool calls; remove the content of messages\[1\]"):
            rendered.text(loop)
        loop = (loop[0], replace(loop[1], content=""), *loop[2:])
        parts.remove("Said1")
    for tools in ((), (ADD,)) if rendered.facts.tools else ((),):
        text = rendered.text(loop, tools)
        assert [part for part in parts if part not in text] == []


@pytest.mark.parametrize("name", GROUPED)
def test_tools_are_described_or_refused_by_name(name: str) -> None:
    rendered = renderer(name)
    asked = (Message("system", "Be brief."), Message("user", "Question"))
    if rendered.facts.tools:
        assert "Adds." in rendered.text(asked, (ADD,))
    else:
        with pytest.raises(InvalidRequest, match=f"The chat template of '{name}' has no tools"):
            rendered.text(asked, (ADD,))


THOUGHT = Message("assistant", "", reasoning="Thought1", tool_calls=CALLS[:1])
LOOP = (Message("user", "Question"), THOUGHT, RESULTS[0])
ANSWERED = (*LOOP, Message("assistant", "Done", reasoning="Thought2"), Message("user", "More"))


@pytest.mark.parametrize(
    ("name", "args", "in_loop", "later"),
    [
        pytest.param("qwen3", {}, True, False, marks=pytest.mark.xdist_group("qwen3")),
        pytest.param("gptoss", {}, True, False, marks=pytest.mark.xdist_group("gptoss")),
        pytest.param("deepseek_v3", {}, False, False, marks=pytest.mark.xdist_group("deepseek_v3")),
        pytest.param("deepseek_v32", {}, False, False, marks=pytest.mark.xdist_group("deepseek_v32")),
        pytest.param("deepseek_v32", {"thinking": True}, True, False, marks=pytest.mark.xdist_group("deepseek_v32")),
        pytest.param("deepseek_v4", {"thinking": True}, True, True, marks=pytest.mark.xdist_group("deepseek_v4")),
        pytest.param("inkling", {}, True, True, marks=pytest.mark.xdist_group("inkling")),
    ],
)
def test_earlier_reasoning_is_where_the_model_wants_it(
    name: str, args: dict[str, object], in_loop: bool, later: bool
) -> None:
    """In a loop of tool calls most models read their thoughts; after the next question, few do."""
    tools = (ADD,) if renderer(name).facts.tools else ()
    assert ("Thought1" in renderer(name).text(LOOP, tools, args)) is in_loop
    answered = renderer(name).text(ANSWERED, tools, args)
    assert ("Thought1" in answered, "Thought2" in answered) == (later, later)

"""Tool turns as prose: bounded, without reasoning, roles and call syntax of tools."""

from hypothesis import given
from hypothesis import strategies as st

from serving.conversation import Message, ToolCall
from serving.runtime.advice_prompt import (
    ARGUMENTS_CHARACTERS,
    MAX_LINES,
    NAME_CHARACTERS,
    RESULT_CHARACTERS,
    as_prose,
)
from serving.runtime.prompts import CUT_MARK

USER, ANSWER = Message("user", "Weather in Bonn?"), Message("assistant", "Sunny.")
CALL = Message("assistant", "", reasoning="secret", tool_calls=(ToolCall("c1", "weather", '{"city": "Bonn"}'),))
RESULT = Message("tool", "18 degrees", tool_call_id="c1")
THOUGHT = "THOUGHT"

TEXTS = st.text(max_size=40) | st.text("ab \n)", min_size=RESULT_CHARACTERS, max_size=5 * RESULT_CHARACTERS)
CALLS = st.builds(ToolCall, st.sampled_from(["c1", "c2"]), TEXTS, TEXTS)
STEPS = st.lists(
    st.builds(
        lambda calls, text, results: (
            Message("assistant", text, reasoning=THOUGHT, tool_calls=tuple(calls)),
            *(Message("tool", result, tool_call_id=call.id) for call, result in zip(calls, results, strict=False)),
        ),
        st.lists(CALLS, min_size=1, max_size=3),
        st.sampled_from(["", "Let me look."]),
        st.lists(TEXTS, max_size=3),
    ),
    max_size=3,
).map(lambda steps: tuple(message for step in steps for message in step))
TURNS = st.lists(st.tuples(STEPS, TEXTS), max_size=3)


def conversation(turns: list[tuple[tuple[Message, ...], str]], last: str, loop: tuple[Message, ...]) -> list[Message]:
    """User turns with their tool turns and answers, then a last user turn with `loop`."""
    messages = [Message("system", "Be brief.")]
    for number, (steps, answer) in enumerate(turns):
        messages += [Message("user", f"question {number}"), *steps, Message("assistant", answer, reasoning=THOUGHT)]
    return [*messages, Message("user", last), *loop]


def test_calls_and_results_end_the_user_turn_before_them() -> None:
    assert as_prose([USER, CALL, RESULT]) == (
        Message(
            "user",
            'Weather in Bonn?\n\n(called weather with {"city": "Bonn"})\n(weather returned: 18 degrees)',
        ),
    )
    said = Message("assistant", "I look.", tool_calls=(ToolCall("c9", "look", ""),))
    again = Message("user", "And now?")
    first, answer, last = as_prose([USER, said, Message("tool", " ", name="look"), ANSWER, again])
    assert first.content == "Weather in Bonn?\n\n(wrote: I look.)\n(called look with {})\n(look returned: nothing)"
    assert (answer, last) == (ANSWER, again)


def test_a_user_turn_after_tool_turns_ends_the_same_turn() -> None:
    [turn] = as_prose([USER, CALL, RESULT, Message("user", "Stop!")])
    assert turn.content.startswith(USER.content)
    assert turn.content.endswith("(weather returned: 18 degrees)\n\nStop!")
    assert [message.role for message in as_prose([ANSWER, CALL, RESULT])] == ["assistant", "user"]


def test_a_conversation_without_tools_or_reasoning_is_returned_as_it_is() -> None:
    talk = (USER, USER, ANSWER, Message("system", "later"))
    assert as_prose(talk) == talk


def test_old_lines_of_a_long_loop_are_counted_only() -> None:
    [turn] = as_prose([USER, *([CALL, RESULT] * MAX_LINES)])
    lines = turn.content.splitlines()
    assert lines[2] == f"({MAX_LINES} earlier calls and results are left out)"
    assert len(lines) == 3 + MAX_LINES


@given(TURNS, TEXTS, STEPS)
def test_prose_is_bounded_and_has_no_reasoning_and_no_tool_turn(
    turns: list[tuple[tuple[Message, ...], str]], last: str, loop: tuple[Message, ...]
) -> None:
    messages = conversation(turns, last, loop)
    prose = as_prose(messages)
    assert all(message.role != "tool" and not message.tool_calls and not message.tool_call_id for message in prose)
    assert all(message.reasoning is None and THOUGHT not in message.content for message in prose)
    assert [message.role for message in prose] == ["system", *["user", "assistant"] * len(turns), "user"]
    assert prose[-1].content.startswith(last)
    longest = NAME_CHARACTERS + max(ARGUMENTS_CHARACTERS, RESULT_CHARACTERS) + len("(called  returned: with )")
    added = prose[-1].content[len(last) :].removeprefix("\n\n").split("\n")
    assert len(added) <= MAX_LINES + 1
    assert all(len(line) <= longest for line in added)
    assert as_prose(prose) == prose


@given(st.text(min_size=1), st.integers(1, 3))
def test_what_is_cut_ends_with_the_mark(word: str, times: int) -> None:
    text = "x" + word * (RESULT_CHARACTERS * 4 * times) + "y"
    [turn] = as_prose([USER, CALL, Message("tool", text, tool_call_id="c1")])
    assert turn.content.endswith(f"{CUT_MARK})")

"""Recorded answers in a file: chat completions with a trace, or the lines of evaluation and training."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.conversation import Message
from serving.errors import ConfigError
from serving.replay.traced import TracedAnswer, TracedCall, traced_answer

Json = Mapping[str, Any]
KINDS = (
    "a chat completion with moa.trace (ask with moa: {trace: true}), an object of its request and response, rows of"
    " evaluation, or trajectories of training"
)


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded answer.

    `body` is the request as the client sent it, and `messages` its conversation if only that is known; both `None`: it
    is not recorded.
    """

    name: str
    answer: TracedAnswer
    recipe: str | None = None
    body: Json | None = None
    messages: tuple[Message, ...] | None = None


def recordings(path: Path) -> list[Recording]:
    """Read a file of JSON, or of JSON lines. Raises `ConfigError` for a file that has no recorded answers."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"The trace {path} cannot be read: {why}.") from None
    found = []
    for number, value in _values(path, text):
        where = f"line {number}" if number else path.name
        if not isinstance(value, Mapping):
            raise ConfigError(f"{path} ({where}) is no JSON object; it must have {KINDS}.")
        if value.get("error") and "trace" not in value and "choices" not in value and not value.get("turns"):
            continue  # an answer that failed
        try:
            found.append(_recording(where, value))
        except (KeyError, TypeError, IndexError, AttributeError, ValueError):
            raise ConfigError(f"{path} ({where}) has no trace; it must have {KINDS}.") from None
    if not found:
        raise ConfigError(f"{path} has no recorded answers.")
    return found


def _values(path: Path, text: str) -> Sequence[tuple[int, Any]]:
    """The JSON values of the file, each with its line; 0: the file is one value."""
    try:
        return [(0, json.loads(text))]
    except ValueError:
        pass
    values = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                values.append((number, json.loads(line)))
            except ValueError:
                raise ConfigError(f"Line {number} of {path} is no JSON.") from None
    return values


def _recording(where: str, value: Json) -> Recording:
    if "response" in value:
        response = value["response"]
        body = value.get("request")
        recipe = body.get("model") if isinstance(body, Mapping) else response.get("model")
        return Recording(where, _with_calls(traced_answer(response)), recipe, body)
    if "choices" in value:
        return Recording(where, _with_calls(traced_answer(value)), value.get("model"))
    if "turns" in value:
        return _of_training(where, value)
    return _of_evaluation(where, value)


def _with_calls(answer: TracedAnswer) -> TracedAnswer:
    if not answer.calls:
        raise KeyError("trace")
    return answer


def _of_evaluation(where: str, row: Json) -> Recording:
    """A line of `rows.jsonl`. Its trace has no times: agents of a layer ended in their order."""
    questions = row["questions"]
    calls = [
        _untimed(agent["layer"], agent.get("agent", 0), agent, called=bool(agent.get("called")))
        for agent in row["trace"]
    ]
    name = f"{where}, item {row.get('item')}"
    if len(questions) != 1 or any(agent.get("step", 1) != 1 for agent in row["trace"]):
        raise ConfigError(f"{name} has several turns, which are not replayed; choose another line with --line.")
    answer = TracedAnswer(row["answers"][0], tuple(calls))
    return Recording(name, _with_calls(answer), row["model"], messages=(Message("user", questions[0]),))


def _untimed(layer: int, agent: int, call: Json, *, called: bool) -> TracedCall:
    start_ms = layer * 10_000.0
    return TracedCall(
        layer,
        agent,
        call["role"],
        call["model"],
        call["outcome"],
        call.get("text", ""),
        "",
        None,
        call.get("prompt_tokens"),
        call.get("completion_tokens"),
        0,
        start_ms,
        start_ms + 1 + agent,
        called,
    )


def _of_training(where: str, line: Json) -> Recording:
    """A trajectory: its first agent read the conversation as the recipe got it."""
    turns = line["turns"]
    calls = tuple(
        TracedCall(
            turn["layer"],
            turn["agent"],
            turn["role"],
            turn["model"],
            "ok" if turn["text"].strip() else "empty",
            turn["text"],
            turn.get("reasoning", ""),
            turn.get("finish_reason"),
            turn.get("prompt_tokens"),
            turn.get("completion_tokens"),
            0,
            turn.get("started_ms", 0.0),
            turn.get("ended_ms", 0.0),
        )
        for turn in turns
    )
    messages = tuple(Message(one["role"], one["content"]) for one in turns[0]["prompt"])
    name = f"{where}, question {line['question']}, sample {line['sample']}"
    return Recording(name, _with_calls(TracedAnswer(line.get("text", ""), calls)), messages=messages)

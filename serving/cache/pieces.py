"""A stored answer as a stream."""

from collections.abc import Iterator
from dataclasses import replace

from serving.conversation import ToolCallDelta
from serving.types import Choice, Completion, Delta, TokenLogprob

PIECE_CHARACTERS = 48  # of texts; a logprob stays with its token


def deltas_of(completion: Completion, *, whole: bool) -> Iterator[Delta]:
    """Deltas whose fold is `completion`: reasoning, text and tool calls of each choice, in pieces unless `whole`."""
    last = len(completion.choices) - 1
    for index, choice in enumerate(completion.choices):
        end = Delta(index=index, finish_reason=choice.finish_reason, stop=choice.stop)
        if index == last:
            end = replace(
                end,
                usage=completion.usage,
                timing=completion.timing,
                report=completion.report,
                shortened=completion.shortened,
            )
        if whole:
            yield replace(
                end,
                text=choice.text,
                reasoning=choice.reasoning,
                logprobs=choice.logprobs,
                tool_calls=tuple(_calls(choice)),
            )
            continue
        for start in range(0, len(choice.reasoning), PIECE_CHARACTERS):
            yield Delta(index=index, reasoning=choice.reasoning[start : start + PIECE_CHARACTERS])
        for text, logprobs in _texts(choice):
            yield Delta(text, index, logprobs)
        for call in _calls(choice):
            head, *rest = _cut(call.arguments) or [""]
            yield Delta(index=index, tool_calls=(replace(call, arguments=head),))
            for piece in rest:
                yield Delta(index=index, tool_calls=(ToolCallDelta(call.index, arguments=piece),))
        yield end


def _calls(choice: Choice) -> Iterator[ToolCallDelta]:
    for place, call in enumerate(choice.tool_calls):
        yield ToolCallDelta(place, call.id, call.name, call.arguments)


def _texts(choice: Choice) -> Iterator[tuple[str, tuple[TokenLogprob, ...] | None]]:
    """Pieces of the text, each with the logprobs of its tokens."""
    if choice.logprobs is None:
        for piece in _cut(choice.text):
            yield piece, None
        return
    if "".join(token.token for token in choice.logprobs) != choice.text:
        yield choice.text, choice.logprobs  # such as a character of several tokens
        return
    held: list[TokenLogprob] = []
    for token in choice.logprobs:
        held.append(token)
        if sum(len(one.token) for one in held) >= PIECE_CHARACTERS:
            yield "".join(one.token for one in held), tuple(held)
            held = []
    if held or not choice.logprobs:
        yield "".join(one.token for one in held), tuple(held)


def _cut(text: str) -> list[str]:
    return [text[start : start + PIECE_CHARACTERS] for start in range(0, len(text), PIECE_CHARACTERS)]

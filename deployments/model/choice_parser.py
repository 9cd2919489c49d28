"""Parsing of one choice's output, token by token, however the engine cuts its stream."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.parser.abstract_parser import Parser

from deployments.model.coalescing import merged_pieces
from deployments.model.json_calls import JsonCalls
from deployments.model.token_pieces import Decoder, Piece, Pieces
from serving.conversation import ToolCallDelta
from serving.types import Delta, TokenLogprob


@dataclass(slots=True)
class Parsed:
    """The parts of one delta; `logprobs` are those of the tokens of `text`."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()


class ChoiceParser:
    """Parser of one choice's output, piece by piece."""

    def __init__(
        self,
        parser: Parser | None,
        request: ChatCompletionRequest,
        opening: list[int],
        decoder: "Decoder | None",
        calls: "JsonCalls | None",
        *,
        parallel: bool = True,
        budget: bool = False,
    ) -> None:
        """Begin a choice; `budget`: its reasoning is ended at a number of tokens, after which the model may go on."""
        self._parser, self._request, self._opening = parser, request, opening
        self._calls, self._parallel = calls, parallel
        self._pieces = Pieces(decoder)
        self._unread: list[Piece] = []  # tokens of which nothing came yet: a part of a tag, or a tag
        self.reasoning_tokens = 0
        self._called = False
        self._without_arguments: set[int] = set()  # calls, by index
        reasoning_parser = None if parser is None else parser.reasoning_parser
        self._end_id = getattr(reasoning_parser, "end_token_id", None) if budget else None

    def parse(self, delta: Delta, token_ids: Sequence[int]) -> Delta:
        """Delta with text, reasoning and calls apart; its logprobs are those of the text.

        Args:
            delta: The engine's next delta. Its text may be behind its tokens, as vLLM holds back what may become a stop
                string. A finish reason ends the output; "length" cuts it.
            token_ids: Its tokens.
        """
        found = Parsed()
        finished = delta.finish_reason is not None
        for piece, last in self._pieces.add(delta.text, token_ids, delta.logprobs or (), finished=finished):
            self._read(piece, found, last=last, complete=delta.finish_reason == "stop")
        return replace(
            delta,
            text=found.text,
            logprobs=found.logprobs or None,
            reasoning=found.reasoning,
            tool_calls=merged_pieces(found.tool_calls),
            finish_reason="tool_calls" if self._called and delta.finish_reason == "stop" else delta.finish_reason,
        )

    def _read(self, piece: "Piece", found: Parsed, *, last: bool, complete: bool) -> None:
        self._unread.append(piece)
        content, reasoning, calls = self._parse(piece, last=last)
        if content == piece.text and self._end_id is not None and self._end_id in piece.token_ids:
            content = ""  # the model's own end of reasoning that its budget had ended
        if last and complete and not self._called and not calls:
            content += self._held_back(content)
        if reasoning:
            found.reasoning += reasoning
            self.reasoning_tokens += sum(len(one.token_ids) for one in self._fitting(reasoning))
        read = content
        if content and self._calls is not None:
            calls, content = self._calls.feed(content), ""
        if content:
            found.text += content
            found.logprobs += tuple(logprob for one in self._fitting(content) for logprob in one.logprobs)
        if calls := tuple(call for call in calls if self._parallel or call.index == 0):
            self._called = True
            found.tool_calls += calls
            self._without_arguments |= {call.index for call in calls if call.name}
            self._without_arguments -= {call.index for call in calls if call.arguments}
        if last and complete and self._without_arguments:  # some parsers give none for an empty object
            found.tool_calls += tuple(ToolCallDelta(index, arguments="{}") for index in sorted(self._without_arguments))
        if content or reasoning or calls:
            self._unread = self._begun_tag(reasoning or read)

    def _parse(self, piece: "Piece", *, last: bool) -> tuple[str, str, tuple[ToolCallDelta, ...]]:
        """Content, reasoning and calls of one piece, by vLLM's parser."""
        if self._parser is None:
            return piece.text, "", ()
        delta = self._parser.parse_delta(
            piece.text, list(piece.token_ids), self._request, prompt_token_ids=self._opening, finished=last
        )
        if delta is None:
            return "", "", ()
        calls = tuple(
            ToolCallDelta(call.index, call.id or None, function.name or None, function.arguments or "")
            for call in delta.tool_calls or ()
            if (function := call.function) is not None
        )
        return delta.content or "", delta.reasoning or "", calls

    def _held_back(self, content: str) -> str:
        """Text behind the last `content` that looked like the beginning of a tag."""
        tail = "".join(piece.text for piece in self._unread).removeprefix(content)
        tool_parser = None if self._parser is None else self._parser.tool_parser
        tag = getattr(tool_parser, "tool_call_start_token", None)
        return tail if isinstance(tag, str) and len(tail) < len(tag) and tag.startswith(tail) else ""

    def _begun_tag(self, text: str) -> list[Piece]:
        """End of the last piece that is not in `text`, as it may begin a tag: a token such as ` <` is part of both."""
        rest = "".join(piece.text for piece in self._unread).removeprefix(text)
        last = self._unread[-1]
        return [replace(last, text=rest)] if 0 < len(rest) < len(last.text) and last.text.endswith(rest) else []

    def _fitting(self, text: str) -> list["Piece"]:
        """Those of the unread pieces, from their end, whose texts fit into `text`; the others were a tag."""
        found: list[Piece] = []
        room = len(text)
        for piece in reversed(self._unread):
            if len(piece.text) > room:
                break
            room -= len(piece.text)
            if piece.text:
                found.append(piece)
        return found[::-1]

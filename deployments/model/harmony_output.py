"""Parsing of gpt-oss's output: channels of the harmony format, read from token ids."""

from vllm.entrypoints.openai.parser.harmony_utils import get_encoding
from vllm.parser.abstract_parser import Parser
from vllm.parser.harmony import HarmonyParser, Segment
from vllm.reasoning import ReasoningParser
from vllm.tool_parsers import ToolParser


class _WholeHeaderParser(HarmonyParser):
    """vLLM's parser, with nothing of a header that the token limit cut in the text."""

    def flush(self) -> list[Segment]:
        unread = list(self._current_message_tokens)  # super clears it
        segments = super().flush()
        if all(segment.completed_message is not None for segment in segments):
            return segments
        # vLLM takes tokens outside any channel for text. They are one only if the model wrote no header at all.
        encoding = get_encoding()  # type: ignore[no-untyped-call]
        text = [token for token in unread if token not in encoding.stop_tokens()]
        if any(encoding.is_special_token(token) for token in text):
            return []
        return [Segment("final", None, encoding.decode(text))]


def harmony_parser(reasoning: type[ReasoningParser] | None, tools: type[ToolParser] | None) -> type[Parser]:
    """Parser class with `reasoning` and `tools`; a class of its own, since vLLM sets both on the class."""

    class Harmony(_WholeHeaderParser):
        reasoning_parser_cls = reasoning
        tool_parser_cls = tools

    return Harmony

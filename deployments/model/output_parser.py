"""Parsing of a model's output into text, reasoning and tool calls, with vLLM's parsers.

Every model marks its reasoning and its calls in its own way; above this module nobody sees that markup. Output is
parsed token by token, as vLLM's parsers expect it, however the engine cuts its stream. `tool_choice` required or a
named function is structured output: JSON that `JsonCalls` reads, so that a model without a tool call parser can call
tools as well.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from vllm.entrypoints.chat_utils import make_tool_call_id
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.parser import ParserManager
from vllm.parser.abstract_parser import Parser
from vllm.reasoning import ReasoningParserManager
from vllm.sampling_params import SamplingParams, StructuredOutputsParams
from vllm.tool_parsers import ToolParserManager
from vllm.tool_parsers.utils import get_json_schema_from_tools

from deployments.model.coalescing import merged_pieces
from deployments.model.json_calls import JsonCalls
from deployments.model.token_pieces import Decoder, Piece, Pieces
from deployments.model_spec import unknown_parser
from serving.errors import ConfigError, InvalidRequest
from serving.types import Delta, GenerateRequest, TokenLogprob, ToolCallDelta


@dataclass(slots=True)
class Parsed:
    """The parts of one delta; `logprobs` are those of the tokens of `text`."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()


class OutputParsers:
    """Parsers of one model."""

    def __init__(
        self, model: str, tokenizer: Any, model_config: Any, reasoning_parser: str | None, tool_call_parser: str | None
    ) -> None:
        """`reasoning_parser` and `tool_call_parser`: vLLM's names; None: that part of the output is text.

        Raises:
            ConfigError: vLLM has no such parser, or it does not fit the tokenizer.
        """
        for option, name, known in (
            ("reasoning_parser", reasoning_parser, ReasoningParserManager.list_registered()),
            ("tool_call_parser", tool_call_parser, ToolParserManager.list_registered()),
        ):
            if name is not None and name not in known:
                raise ConfigError(unknown_parser(model, option, name, known))
        self._model, self._tokenizer, self._model_config = model, tokenizer, model_config
        self._backend = getattr(tokenizer, "backend_tokenizer", None)
        self._added = frozenset(() if self._backend is None else self._backend.get_added_tokens_decoder())
        harmony = getattr(getattr(model_config, "hf_config", None), "model_type", None) == "gpt_oss"
        self._whole = ParserManager.get_parser(tool_call_parser, reasoning_parser, True, model, harmony)
        # For structured calls, which are not in the model's own format.
        self._reasoning_only = ParserManager.get_parser(None, reasoning_parser, False, model, harmony)
        self.calls_tools = tool_call_parser is not None
        try:
            self.new(self._whole, [], {})
        except Exception as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise ConfigError(f"A parser of '{model}' does not fit its tokenizer: {reason}.") from None

    def new(self, parser: type[Parser] | None, tools: Sequence[Any], args: Mapping[str, Any]) -> Parser | None:
        """Parser for one choice; None without a class."""
        if parser is None:
            return None
        return parser(
            self._tokenizer, list(tools) or None, model_config=self._model_config, chat_template_kwargs=dict(args)
        )

    def open(
        self, request: GenerateRequest, args: Mapping[str, Any], prompt: Sequence[int], opening: Sequence[int]
    ) -> "RequestParser | None":
        """Parser for the choices of one request; None if its output is text alone.

        Args:
            request: The request.
            args: Arguments of the chat template.
            prompt: Token ids of the prompt.
            opening: Those of its last tokens that open the answer. Earlier turns may hold reasoning as well.

        Raises:
            InvalidRequest: the model cannot choose tools by itself, or the tool that is to be called is not there.
        """
        choice = request.tool_choice
        calls = request.may_call_tools
        if choice.mode == "named" and choice.name not in {tool.name for tool in request.tools}:
            raise InvalidRequest(f"tool_choice names '{choice.name}', which is not in tools.", "tool_choice")
        if choice.mode == "required" and not request.tools:
            raise InvalidRequest("tool_choice is required, but there are no tools.", "tool_choice")
        if calls and choice.mode == "auto" and not self.calls_tools:
            raise InvalidRequest(
                f"'{self._model}' cannot choose tools by itself; set tool_choice to required or to a function.",
                "tool_choice",
            )
        if self._whole is None and not calls:
            return None
        return RequestParser(self, request, args, prompt, opening, calls=calls)

    def decoder(self, prompt: Sequence[int], *, skip_special_tokens: bool) -> "Decoder | None":
        """Decoder that continues `prompt`; None if the tokenizer is not a fast one."""
        if self._backend is None:
            return None
        return Decoder(self._backend, self._added, prompt, skip_special_tokens=skip_special_tokens)

    def classes(self) -> tuple[type[Parser] | None, type[Parser] | None]:
        """Parser classes of the model's own format, and of its reasoning alone."""
        return self._whole, self._reasoning_only


class RequestParser:
    """Demands of parsing on the engine for one request, and a parser for each of its choices."""

    def __init__(
        self,
        parsers: OutputParsers,
        request: GenerateRequest,
        args: Mapping[str, Any],
        prompt: Sequence[int],
        opening: Sequence[int],
        *,
        calls: bool,
    ) -> None:
        self._parsers, self._args, self._prompt, self._opening = parsers, args, prompt, list(opening)
        self._parallel = request.parallel_tool_calls
        self._request = _vllm_request(request, calls=calls)
        whole, reasoning_only = parsers.classes()
        first = parsers.new(whole, self._request.tools or (), args)
        tool_parser = None if first is None else first.tool_parser
        own_format = tool_parser is not None and not tool_parser.supports_required_and_named
        self._structured = calls and request.tool_choice.mode in ("required", "named") and not own_format
        self._named = request.tool_choice.name if request.tool_choice.mode == "named" else None
        self._class = reasoning_only if self._structured else whole
        self._first = parsers.new(self._class, self._request.tools or (), args) if self._structured else first
        self._budget_tokens = request.thinking.budget_tokens

    def prepare(self, params: SamplingParams) -> dict[str, Any]:
        """Apply to `params` what the parser needs; return further arguments of `AsyncLLM.generate`.

        Raises:
            InvalidRequest: the tools have schemas that no grammar can be made of.
        """
        try:
            return self._prepared(params)
        except (ValueError, TypeError) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise InvalidRequest(f"The tools cannot be made into a grammar: {reason}.", "tools") from None

    def _prepared(self, params: SamplingParams) -> dict[str, Any]:
        parser, request = self._first, self._request
        if self._structured:
            params.structured_outputs = StructuredOutputsParams(json=self._schema())
            request.tool_choice = "none"  # for vLLM's parser, the JSON is content
        if parser is not None:
            request.structured_outputs = params.structured_outputs
            adjusted = parser.adjust_request(request)
            assert isinstance(adjusted, ChatCompletionRequest)
            self._request = request = adjusted
            params.structured_outputs = request.extract_structured_outputs()
            params.skip_special_tokens = request.skip_special_tokens
        if parser is None or parser.reasoning_parser is None:
            return {}
        params.thinking_token_budget = self._budget_tokens
        return {
            "reasoning_ended": request._grammar_from_parser or parser.is_reasoning_end(self._opening),
            "reasoning_parser_kwargs": {"chat_template_kwargs": dict(self._args)},
        }

    def choice(self) -> "ChoiceParser":
        """Parser for one more choice; after `prepare`."""
        parser = self._parsers.new(self._class, self._request.tools or (), self._args)
        return ChoiceParser(
            parser,
            self._request,
            self._opening,
            self._parsers.decoder(self._prompt, skip_special_tokens=self._request.skip_special_tokens),
            JsonCalls(self._named, make_tool_call_id) if self._structured else None,
            parallel=self._parallel,
        )

    def _schema(self) -> Any:
        """JSON schema of the calls that `JsonCalls` reads."""
        tool_choice: Any = self._request.tool_choice  # not yet "none"
        tools: Any = deepcopy(self._request.tools)  # vLLM takes the definitions out of the schemas
        schema: Any = get_json_schema_from_tools(tool_choice, tools)
        if self._named is not None:
            return schema or {"type": "object", "properties": {}}
        return schema if self._parallel else {**schema, "maxItems": 1}


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
    ) -> None:
        self._parser, self._request, self._opening = parser, request, opening
        self._calls, self._parallel = calls, parallel
        self._pieces = Pieces(decoder)
        self._unread: list[Piece] = []  # tokens of which nothing came yet: a part of a tag, or a tag
        self.reasoning_tokens = 0
        self._called = False

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


def _vllm_request(request: GenerateRequest, *, calls: bool) -> ChatCompletionRequest:
    """The request as vLLM's parsers read it: its tools and the tool choice."""
    choice = request.tool_choice
    body: dict[str, Any] = {"messages": [{"role": "user", "content": ""}], "tool_choice": "none"}
    if calls:
        body["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": deepcopy(dict(tool.parameters or {"type": "object", "properties": {}})),
                    **({"strict": True} if tool.strict else {}),
                },
            }
            for tool in request.tools
        ]
        named = {"type": "function", "function": {"name": choice.name}}
        body["tool_choice"] = named if choice.mode == "named" else choice.mode
        body["parallel_tool_calls"] = request.parallel_tool_calls
    return ChatCompletionRequest.model_validate(body)

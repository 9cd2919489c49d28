"""Parsing of a model's output into text, reasoning and tool calls, with vLLM's parsers.

Every model marks its reasoning and its calls in its own way; above this module nobody sees that markup. Output is
parsed token by token, as vLLM's parsers expect it, however the engine cuts its stream. `tool_choice` required or a
named function is structured output: JSON that `JsonCalls` reads, so that a model without a tool call parser can call
tools as well.
"""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from vllm.entrypoints.chat_utils import make_tool_call_id
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest, ChatCompletionToolsParam
from vllm.parser import ParserManager
from vllm.parser.abstract_parser import Parser
from vllm.reasoning import ReasoningParserManager
from vllm.sampling_params import SamplingParams, StructuredOutputsParams
from vllm.tool_parsers import ToolParserManager
from vllm.tool_parsers.utils import get_json_schema_from_tools

from deployments.engine_kwargs import unknown_parser
from deployments.model.choice_parser import ChoiceParser
from deployments.model.json_calls import JsonCalls
from deployments.model.templates.loading import HARMONY
from deployments.model.text_parser import TextParser
from deployments.model.token_pieces import Decoder
from serving.conversation import Message, Tool
from serving.errors import ConfigError, InvalidRequest
from serving.failures import said
from serving.grammars.forms import for_grammar
from serving.grammars.keywords import unheld
from serving.types import GenerateRequest

ANY_OBJECT: Mapping[str, Any] = {"type": "object", "additionalProperties": True}


class OutputParsers:
    """Parsers of one model."""

    def __init__(
        self,
        model: str,
        tokenizer: Any,
        model_config: Any,
        reasoning_parser: str | None,
        tool_call_parser: str | None,
        *,
        strict_tools: bool = False,
        compact: bool = False,
    ) -> None:
        """Find the parsers and try them.

        Args:
            model: id of the model, for errors.
            tokenizer: its tokenizer.
            model_config: vLLM's configuration of it.
            reasoning_parser: vLLM's name; None: reasoning is text.
            tool_call_parser: vLLM's name; None: calls are text.
            strict_tools: tools without `strict` are strict.
            compact: bound white space in the arguments of calls, as vLLM's `disable_any_whitespace` does in other JSON.

        Raises:
            ConfigError: vLLM has no such parser, it does not fit the tokenizer, or vLLM has no structural tag for its
                calls, which `strict_tools` needs.
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
        self.harmony = getattr(getattr(model_config, "hf_config", None), "model_type", None) == HARMONY
        if self.harmony and reasoning_parser is None:
            raise ConfigError(f"Set reasoning_parser of '{model}' to openai_gptoss; its output is in channels.")
        self._whole = self._parser_class(tool_call_parser, reasoning_parser)
        # For structured calls, which are not in the model's own format.
        self._reasoning_only = self._parser_class(None, reasoning_parser)
        self.calls_tools = tool_call_parser is not None
        try:
            self.new(self._whole, [], {})
        except Exception as error:
            raise ConfigError(f"A parser of '{model}' does not fit its tokenizer: {said(error)}.") from None
        self.strict_tools, self.compact = strict_tools, compact
        if strict_tools and not self._holds_calls():
            raise ConfigError(
                f"vLLM cannot hold calls that its tool_call_parser '{tool_call_parser}' reads to their schemas; remove"
                f" strict_tools of '{model}'."
            )

    def _holds_calls(self) -> bool:
        """True if vLLM makes a structural tag for a strict tool; parsers decide that in several places."""
        request = GenerateRequest("check", (Message("user", "x"),), tools=(Tool("check"),))
        params = SamplingParams()
        try:
            RequestParser(self, request, {}, [], [], calls=True).prepare(params)
        except InvalidRequest:
            return False
        return params.structured_outputs is not None and params.structured_outputs.structural_tag is not None

    def _parser_class(self, tool_call_parser: str | None, reasoning_parser: str | None) -> type[Parser] | None:
        if not self.harmony:
            automatic = tool_call_parser is not None
            return ParserManager.get_parser(tool_call_parser, reasoning_parser, automatic, self._model)
        from deployments.model.harmony_output import harmony_parser

        return harmony_parser(
            ParserManager.get_reasoning_parser(reasoning_parser),
            ParserManager.get_tool_parser(tool_call_parser, True, self._model),
        )

    def new(self, parser: type[Parser] | None, tools: Sequence[Any], args: Mapping[str, Any]) -> Parser | None:
        """Parser for one choice; None without a class."""
        if parser is None:
            return None
        return parser(
            self._tokenizer, list(tools) or None, model_config=self._model_config, chat_template_kwargs=dict(args)
        )

    def open(
        self, request: GenerateRequest, args: Mapping[str, Any], prompt: Sequence[int], opening: Sequence[int]
    ) -> "RequestParser | TextParser | None":
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
        if not calls and self._reasoning_only is None:
            return None  # no calls are looked for
        if request.prompt_end == "continued":
            return None if self._reasoning_only is None else TextParser()
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
        self._paths = [tool.path for tool in request.tools]
        # A response format already holds the whole text; vLLM would drop it for the grammar of the calls.
        strict = parsers.strict_tools and request.sampling.response_format is None
        self._request = _vllm_request(request, calls=calls, strict=strict)
        self._free_arguments = strict and all(tool.strict is False for tool in request.tools)
        whole, reasoning_only = parsers.classes()
        if parsers.harmony and not calls:
            whole = reasoning_only  # vLLM's parser reads calls without asking whether there may be any
        first = parsers.new(whole, self._request.tools or (), args)
        tool_parser = None if first is None else first.tool_parser
        own_format = tool_parser is not None and not tool_parser.supports_required_and_named
        self._structured = calls and request.tool_choice.mode in ("required", "named") and not own_format
        self._named = request.tool_choice.name if request.tool_choice.mode == "named" else None
        self._forced = request.tool_choice.mode in ("required", "named")
        self._grammar_of_tools = calls and (self._forced or request.sampling.response_format is None)
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
            raise InvalidRequest(f"The tools cannot be made into a grammar: {said(error)}.", "tools") from None

    def _prepared(self, params: SamplingParams) -> dict[str, Any]:
        parser, request = self._first, self._request
        held = [_held(tool) for tool in request.tools or ()]  # parsers read the types of arguments in the others
        if self._structured:
            params.structured_outputs = StructuredOutputsParams(json=self._schema(held))
            request.tool_choice = "none"  # for vLLM's parser, the JSON is content
        if parser is not None:
            request.structured_outputs = params.structured_outputs
            request.skip_special_tokens = not self._parsers.harmony and request.skip_special_tokens
            tools = request.tools
            free = self._free_arguments and request.tool_choice == "auto"
            request.tools = [_without_schema(tool) for tool in held] if free else held or tools
            adjusted = parser.adjust_request(request)
            assert isinstance(adjusted, ChatCompletionRequest)
            adjusted.tools = tools
            self._request = request = adjusted
            params.structured_outputs = rule = request.extract_structured_outputs()
            if self._parsers.compact and rule is not None and rule.structural_tag is not None:
                rule.structural_tag = json.dumps(_compact(json.loads(rule.structural_tag)))
            params.skip_special_tokens = request.skip_special_tokens
        if parser is None or parser.reasoning_parser is None:
            return {}
        params.thinking_token_budget = self._budget_tokens
        return {
            "reasoning_ended": request._grammar_from_parser or parser.is_reasoning_end(self._opening),
            "reasoning_parser_kwargs": {"chat_template_kwargs": dict(self._args)},
        }

    def held_schemas(self) -> list[tuple[str, str]]:
        """Field and JSON of each tool's schema that the grammar of the calls holds; none if calls have no grammar.

        The grammar is one of all tools: if it cannot be made, each schema says whether it is the reason.
        """
        if not self._grammar_of_tools:
            return []
        return [
            (path, json.dumps(_held(tool).function.parameters))
            for path, tool in zip(self._paths, self._request.tools or (), strict=False)
            if self._named in (None, tool.function.name) and (self._forced or tool.function.strict)
        ]

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
            budget=self._budget_tokens is not None,
        )

    def _schema(self, held: Sequence[ChatCompletionToolsParam]) -> Any:
        """JSON schema of the calls that `JsonCalls` reads."""
        tool_choice: Any = self._request.tool_choice  # not yet "none"
        tools: Any = deepcopy(held)  # vLLM takes the definitions out of the schemas
        schema: Any = get_json_schema_from_tools(tool_choice, tools)
        if self._named is not None:
            return schema or {"type": "object", "properties": {}}
        return schema if self._parallel else {**schema, "maxItems": 1}


def _held(tool: ChatCompletionToolsParam) -> ChatCompletionToolsParam:
    """`tool` as the grammar holds it: with any object for arguments, unless the grammar can hold its schema.

    Schemas of tools with `strict: true` were checked before; of others the caller expects no grammar.
    """
    schema = tool.function.parameters or {}
    held = ANY_OBJECT if unheld(schema) is not None else for_grammar(schema)
    return tool.model_copy(update={"function": tool.function.model_copy(update={"parameters": held})})


def _without_schema(tool: ChatCompletionToolsParam) -> ChatCompletionToolsParam:
    """Strict `tool` with any arguments: vLLM makes no grammar, of the names either, unless one tool is strict."""
    function = tool.function.model_copy(update={"parameters": None, "strict": True})
    return tool.model_copy(update={"function": function})


def _compact(tag: Any) -> Any:
    """Structural tag in which JSON has at most one character of white space at a place."""
    if isinstance(tag, list):
        return [_compact(one) for one in tag]
    if not isinstance(tag, dict):
        return tag
    if tag.get("type") == "json_schema" and "json_schema" in tag:  # the schema itself stays as it is
        return {**tag, "max_whitespace_cnt": 1} if tag.get("style", "json") == "json" else tag
    return {name: _compact(value) for name, value in tag.items()}


def _vllm_request(request: GenerateRequest, *, calls: bool, strict: bool) -> ChatCompletionRequest:
    """The request as vLLM's parsers read it: its tools and the tool choice. `strict`: of tools that do not say."""
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
                    "strict": (strict or None) if tool.strict is None else tool.strict,
                },
            }
            for tool in request.tools
        ]
        named = {"type": "function", "function": {"name": choice.name}}
        body["tool_choice"] = named if choice.mode == "named" else choice.mode
        body["parallel_tool_calls"] = request.parallel_tool_calls
    body["skip_special_tokens"] = request.sampling.decoding.skip_special_tokens
    return ChatCompletionRequest.model_validate(body)

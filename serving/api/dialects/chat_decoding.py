"""vLLM's extensions of a chat request as domain values: decoding, structured outputs, and the end of the prompt."""

from collections.abc import Sequence

from serving.api.schemas.completions import CompletionsBody
from serving.api.schemas.structured_outputs import KINDS, StructuredOutputsBody
from serving.api.schemas.vllm_fields import VllmFields
from serving.conversation import Message, ToolChoice
from serving.decoding import Decoding
from serving.errors import InvalidRequest
from serving.types import PromptEnd, ResponseFormat

FIELDS = (
    *("logit_bias", "allowed_token_ids", "stop_token_ids", "bad_words"),
    *("skip_special_tokens", "spaces_between_special_tokens", "include_stop_str_in_output"),
)


def decoding(body: VllmFields | CompletionsBody) -> Decoding:
    """Parameters of decoding that the request sets, of the `FIELDS`.

    Raises:
        InvalidRequest: a bad word is white space alone, which engines cut off its beginning.
    """
    for place, word in enumerate(body.bad_words):
        if not word.strip():
            path = f"bad_words[{place}]"
            raise InvalidRequest(f"Give '{path}' a text that is not white space alone.", path)
    return Decoding(
        logit_bias=tuple((int(token), bias) for token, bias in body.logit_bias.items()),
        allowed_token_ids=tuple(body.allowed_token_ids),
        stop_token_ids=tuple(body.stop_token_ids),
        bad_words=tuple(body.bad_words),
        skip_special_tokens=body.skip_special_tokens,
        spaces_between_special_tokens=body.spaces_between_special_tokens,
        include_stop_str_in_output=body.include_stop_str_in_output,
    )


def structured_outputs(
    wanted: StructuredOutputsBody, response_format: ResponseFormat | None, choice: ToolChoice
) -> ResponseFormat:
    """The rule for the text of the answer.

    Args:
        wanted: the field `structured_outputs`.
        response_format: that of the request, beside which there can be no other rule.
        choice: among the request's tools.

    Raises:
        InvalidRequest: there is not exactly one rule, or the request demands another format or a tool call.
    """
    given = [kind for kind in KINDS if getattr(wanted, "schema_" if kind == "json" else kind)]
    empty = wanted.schema_ == {}
    if len(given) + empty != 1:
        kinds = ", ".join(f"'{kind}'" for kind in KINDS)
        raise InvalidRequest(f"Give 'structured_outputs' exactly one of {kinds}.", "structured_outputs")
    if response_format is not None:
        raise InvalidRequest("Remove 'response_format' or 'structured_outputs'.", "structured_outputs")
    if choice.mode in ("required", "named"):
        raise InvalidRequest(
            "Set 'tool_choice' to \"auto\" or \"none\" to use 'structured_outputs': a call has no text.", "tool_choice"
        )
    if wanted.schema_ is not None:
        return ResponseFormat("json_schema", "", wanted.schema_, path="structured_outputs.json")
    if wanted.json_object:
        return ResponseFormat("json_object")
    if wanted.choice:
        return ResponseFormat("choice", choices=tuple(wanted.choice), path="structured_outputs.choice")
    if wanted.regex is not None:
        return ResponseFormat("regex", rule=wanted.regex, path="structured_outputs.regex")
    if wanted.grammar is not None:
        return ResponseFormat("grammar", rule=wanted.grammar, path="structured_outputs.grammar")
    return ResponseFormat("structural_tag", rule=wanted.structural_tag or "", path="structured_outputs.structural_tag")


def prompt_end(body: VllmFields, messages: Sequence[Message], *, tools: bool) -> PromptEnd:
    """Place at which the prompt ends. `tools`: the request has some.

    Raises:
        InvalidRequest: the last message is to be continued, and cannot be.
    """
    if not body.continue_final_message:
        return "message" if body.add_generation_prompt is False else "answer"
    if body.add_generation_prompt:
        raise InvalidRequest(
            "Set 'add_generation_prompt' to false to use 'continue_final_message', or remove one of them.",
            "add_generation_prompt",
        )
    check_continued(messages, "'continue_final_message'", f"messages[{len(messages) - 1}]", tools=tools)
    return "continued"


def check_continued(messages: Sequence[Message], purpose: str, path: str, *, tools: bool) -> None:
    """Check that the answer can continue the last message.

    Args:
        messages: the conversation.
        purpose: what asks for it, for errors.
        path: of the last message.
        tools: the request has tools.

    Raises:
        InvalidRequest: the message is not an assistant's text, or there are tools.
    """
    last = messages[-1]
    if last.role != "assistant":
        raise InvalidRequest(
            f"Set '{path}.role' to \"assistant\" to use {purpose}: the answer continues the last message.",
            f"{path}.role",
        )
    if last.tool_calls:
        raise InvalidRequest(f"Remove '{path}.tool_calls' to use {purpose}.", f"{path}.tool_calls")
    if not last.content:
        raise InvalidRequest(f"Give '{path}.content' a text to use {purpose}.", f"{path}.content")
    if tools:
        raise InvalidRequest(f"Remove 'tools' to use {purpose}: the rest of a message has no tool calls.", "tools")

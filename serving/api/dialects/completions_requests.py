"""Parsing of completions requests: JSON to `CompletionsBody`, and the body to one `GenerateRequest` for each prompt."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from serving.api.dialects.chat_decoding import structured_outputs
from serving.api.dialects.chat_errors import invalid
from serving.api.dialects.chat_requests import NO_HEADERS, moa_options, sampling_of, session_key
from serving.api.dialects.prompts import parsed_prompts
from serving.api.dialects.unions import check_max_tokens, validated
from serving.api.schemas.chat import StreamOptions
from serving.api.schemas.completions import CompletionsBody
from serving.api.schemas.structured_outputs import StructuredOutputsBody
from serving.api.schemas.wire import json_object, known
from serving.api.settings import ApiSettings
from serving.cards import ModelCard
from serving.conversation import Message, ToolChoice
from serving.engine import EngineInfo
from serving.errors import InvalidRequest, UnsupportedField
from serving.grammars.check import check_format
from serving.types import GenerateRequest, RawPrompt, Sampling
from serving.validation import first_issue

DEFAULT_MAX_TOKENS = 16  # OpenAI's
PREFIX_TOKENS = 4_000  # of token ids, by which the session of a prompt is known


def parse_completions(body: bytes, settings: ApiSettings) -> CompletionsBody:
    """Parse and validate the JSON of a request.

    Raises:
        InvalidRequest: the body is not JSON, a value has the wrong type or is out of range, or there are more prompts
            than `settings` allow.
        UnsupportedField: a field is unknown, or part of OpenAI's or vLLM's API but not supported here.
    """
    given = known(json_object(body, settings), CompletionsBody)
    if isinstance(options := given.get("stream_options"), dict):
        given["stream_options"] = known(options, StreamOptions, "stream_options.")
    if isinstance(rule := given.get("structured_outputs"), dict):
        given["structured_outputs"] = validated(rule, StructuredOutputsBody, "structured_outputs")
    if "prompt" in given:
        parsed_prompts(given["prompt"], settings.max_prompts)
    try:
        return CompletionsBody.model_validate(given)
    except ValidationError as error:
        raise invalid(first_issue(error)) from None


def completions_requests(
    body: CompletionsBody,
    card: ModelCard,
    info: EngineInfo,
    settings: ApiSettings,
    request_id: str,
    headers: Mapping[bytes, bytes] = NO_HEADERS,
) -> tuple[GenerateRequest, ...]:
    """Requests to the engine of `card`, which has the properties `info`: one for each prompt, in order.

    A model reads the prompt as it is. A recipe reads a text as the only message of a user.

    Raises:
        InvalidRequest: fields contradict each other, a value exceeds the limits in `settings`, or the engine takes
            conversations only.
        UnsupportedField: what a recipe does not support, or recipe options in a request to a single model.
    """
    prompts, several = parsed_prompts(body.prompt, settings.max_prompts)
    if body.stream_options is not None and not body.stream:
        raise InvalidRequest("Remove 'stream_options' or set 'stream' to true.", "stream_options")
    moa = moa_options(body.moa, card, live=False, reasoning=False)
    if moa.trace and len(prompts) > 1:
        raise UnsupportedField("moa.trace", "a trace belongs to one prompt, and there are several")
    if card.kind == "recipe":
        _check_recipe(body, prompts)
    elif not info.raw_prompts:
        raise InvalidRequest(
            f"Send conversations to '{card.id}', with /v1/chat/completions; it takes no prompts.", "model"
        )
    shared: dict[str, Any] = {
        "sampling": _sampling(body, card, settings),
        "priority": body.priority,
        "deadline_s": settings.deadline_s,
        "stream_interval": 1 if body.stream else None,
        "user": body.user,
        "moa": moa,
        "cache_salt": body.cache_salt,
        "running_usage": settings.usage if body.stream_options and body.stream_options.continuous_usage_stats else None,
    }
    requests = []
    for place, content in enumerate(prompts):
        own_id = f"{request_id}-{place}" if several else request_id
        text = content if isinstance(content, str) else repr(content[:PREFIX_TOKENS])
        messages = (Message("user", text),)
        session = session_key(None, headers, messages, tools=False)
        if card.kind == "recipe":
            requests.append(GenerateRequest(own_id, messages, session=session, **shared))
            continue
        path = f"prompt[{place}]" if several else "prompt"
        prompt = RawPrompt(content, body.add_special_tokens, body.echo, path)
        requests.append(GenerateRequest(own_id, (), session=session, prompt=prompt, **shared))
    return tuple(requests)


def _check_recipe(body: CompletionsBody, prompts: tuple[object, ...]) -> None:
    why = "it is supported for single models, not for recipes"
    if not isinstance(prompts[0], str):
        raise UnsupportedField("prompt", "token ids are supported for single models; send a recipe text")
    if body.echo:
        raise UnsupportedField("echo", why)
    if body.logprobs is not None:
        raise UnsupportedField("logprobs", why)
    if not body.add_special_tokens:
        raise UnsupportedField("add_special_tokens", why)


def _sampling(body: CompletionsBody, card: ModelCard, settings: ApiSettings) -> Sampling:
    check_max_tokens("max_tokens", body.max_tokens, settings)
    max_tokens = DEFAULT_MAX_TOKENS if body.max_tokens is None and card.kind == "model" else body.max_tokens
    if max_tokens == 0 and not body.echo:
        raise InvalidRequest("Set 'max_tokens' to at least 1, or 'echo' to true to get the prompt alone.", "max_tokens")
    if body.best_of not in (None, 1, body.n):
        raise UnsupportedField("best_of", "all choices are returned; set 'n' to the number of choices")
    sampling = sampling_of(body, settings, max_tokens, body.logprobs)
    if body.structured_outputs is not None:
        rule = structured_outputs(body.structured_outputs, sampling.response_format, ToolChoice())
        sampling = replace(sampling, response_format=rule)
    if sampling.response_format is not None:
        check_format(sampling.response_format, settings.schemas)
    return sampling

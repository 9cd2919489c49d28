"""Sampling, decoding and structured outputs as vLLM's parameters, and the checks that need the model's vocabulary."""

from collections.abc import Mapping
from typing import Any

from vllm.entrypoints.generate.base.protocol import validate_structural_tag_payload
from vllm.exceptions import VLLMValidationError
from vllm.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams
from vllm.v1.structured_output.request import get_structured_output_key
from vllm.v1.structured_output.utils import choice_as_grammar, convert_lark_to_ebnf, grammar_is_likely_lark

from deployments.model.engine_errors import reason_of
from serving.decoding import Decoding, plain_seed
from serving.errors import InvalidRequest
from serving.grammars.forms import for_grammar
from serving.types import ResponseFormat, Sampling

MIN_TEMPERATURE = 0.01  # vLLM's own bound: below, probabilities become infinite or NaN


class CheckedSampling(SamplingParams):
    """vLLM's parameters, of which a rule for the text need not be checked again once it was compiled.

    vLLM checks it by making its grammar on the replica's event loop, which stops all streams of the replica.
    """

    @property
    def compiled(self) -> bool:
        """True if the grammar was compiled."""
        return bool(self.__dict__.get("compiled"))

    @compiled.setter
    def compiled(self, compiled: bool) -> None:
        self.__dict__["compiled"] = compiled

    def _validate_structured_outputs(self, model_config: Any, structured_outputs_config: Any, tokenizer: Any) -> None:
        rule = self.structured_outputs
        if rule is None or not self.compiled:
            super()._validate_structured_outputs(model_config, structured_outputs_config, tokenizer)
            return
        rule._backend = "xgrammar"  # as vLLM's own check does


def grammar_of(params: SamplingParams) -> tuple[str, str] | None:
    """Kind and text of the grammar that the engine will compile; None: it compiles none that depends on the request."""
    rule = params.structured_outputs
    if rule is None or rule.all_constraints_none() or rule.json_object:
        return None
    kind, text = get_structured_output_key(rule)
    return kind.name.lower(), text


def sampling_params(
    sampling: Sampling, defaults: Mapping[str, Any], *, stream_interval: int | None, of_prompt: bool = False
) -> CheckedSampling:
    """Translate to vLLM's parameters. A field that is None gets the model's default, from its generation config.

    Values that mean something else to vLLM are mapped: a seed of -1 (to vLLM: no seed), a `top_k` of -1, temperatures
    below `MIN_TEMPERATURE`, and several greedy choices, which vLLM refuses: they are equal, so that one is generated.

    `of_prompt`: log probabilities are those of the prompt, too.
    """
    with_defaults = {
        name: value
        for name in ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
        if (value := getattr(sampling, name)) is not None or (value := defaults.get(name)) is not None
    }
    temperature = with_defaults.get("temperature")
    if temperature:
        with_defaults["temperature"] = max(temperature, MIN_TEMPERATURE)
    if with_defaults.get("top_k") == -1:
        with_defaults["top_k"] = 0
    return CheckedSampling(
        n=1 if temperature == 0 else sampling.n,
        **with_defaults,
        presence_penalty=sampling.presence_penalty,
        frequency_penalty=sampling.frequency_penalty,
        max_tokens=1 if sampling.max_tokens == 0 else sampling.max_tokens,  # vLLM has no call that generates nothing
        min_tokens=sampling.min_tokens,
        stop=list(sampling.stop),
        seed=None if sampling.seed is None else plain_seed(sampling.seed),
        logprobs=sampling.logprobs,
        prompt_logprobs=sampling.logprobs if of_prompt else None,
        ignore_eos=sampling.ignore_eos,
        structured_outputs=structured_params(sampling.response_format),
        **decoding_params(sampling.decoding),
        output_kind=RequestOutputKind.FINAL_ONLY if stream_interval is None else RequestOutputKind.DELTA,
        stream_interval=stream_interval,
    )


def decoding_params(decoding: Decoding) -> dict[str, Any]:
    """Arguments of vLLM's `SamplingParams` for the parameters that differ from their defaults."""
    fields = decoding.fields
    for name in ("allowed_token_ids", "stop_token_ids", "bad_words"):
        if name in fields:
            fields[name] = list(fields[name])
    if "logit_bias" in fields:
        fields["logit_bias"] = dict(fields["logit_bias"])
    return fields


def structured_params(wanted: ResponseFormat | None) -> StructuredOutputsParams | None:
    """The rule for the text; None if there is none. Raises `InvalidRequest` for an invalid structural tag."""
    if wanted is None:
        return None
    match wanted.type:
        case "json_object":
            return StructuredOutputsParams(json_object=True)
        case "json_schema":
            return StructuredOutputsParams(json=for_grammar(wanted.schema or {}))
        case "choice":
            return StructuredOutputsParams(grammar=choice_as_grammar(list(wanted.choices)))
        case "regex":
            return StructuredOutputsParams(regex=wanted.rule)
        case "grammar":
            return StructuredOutputsParams(grammar=_ebnf(wanted))
        case "structural_tag":
            field = "structured_outputs.structural_tag"
            try:
                validate_structural_tag_payload(wanted.rule, parameter=field)
            except VLLMValidationError:
                raise InvalidRequest(f"Set '{field}' to a structural tag of xgrammar, as JSON.", field) from None
            return StructuredOutputsParams(structural_tag=wanted.rule)


def check_length(model: str, sampling: Sampling) -> None:
    """Check that an answer has room for `min_tokens`. Raises `InvalidRequest`."""
    if sampling.max_tokens is not None and sampling.min_tokens > sampling.max_tokens:
        raise InvalidRequest(
            f"Set 'min_tokens' to at most {sampling.max_tokens}, which is the room for the answer of '{model}', not"
            f" {sampling.min_tokens}.",
            "min_tokens",
        )


def _ebnf(wanted: ResponseFormat) -> str:
    """A grammar in the notation that xgrammar reads. Raises `InvalidRequest` if it cannot be translated."""
    if not grammar_is_likely_lark(wanted.rule):
        return wanted.rule
    try:
        return str(convert_lark_to_ebnf(wanted.rule))
    except ValueError as error:
        raise InvalidRequest(f"Change '{wanted.path}': {reason_of(error)}.", wanted.path) from None


def check_vocabulary(model: str, sampling: Sampling, vocabulary_size: int) -> None:
    """Check that all token ids are those of tokens of `model`. Raises `InvalidRequest` with the path of the first."""
    decoding = sampling.decoding
    places = [(f"logit_bias.{token}", token) for token, _ in decoding.logit_bias]
    for name in ("allowed_token_ids", "stop_token_ids"):
        places += [(f"{name}[{place}]", token) for place, token in enumerate(getattr(decoding, name))]
    for path, token in places:
        if token >= vocabulary_size:
            raise InvalidRequest(
                f"Change '{path}': '{model}' has the tokens 0 to {vocabulary_size - 1}, not {token}.", path
            )

"""Decoding parameters, structured outputs and token ids, as vLLM gets them and as vLLM's own API names them."""

import json
from typing import Any

import pytest
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.sampling_params import StructuredOutputsParams
from vllm.v1.structured_output.backend_xgrammar import validate_xgrammar_grammar

from deployments.model.vllm_sampling import check_vocabulary, sampling_params, structured_params
from serving.api.schemas.chat import ChatBody
from serving.api.schemas.chat_fields import NEUTRAL
from serving.decoding import Decoding
from serving.errors import InvalidRequest
from serving.types import ResponseFormat, Sampling

EVERYTHING = Decoding(
    logit_bias=((5, -100.0), (0, 2.5)),
    allowed_token_ids=(3, 4),
    stop_token_ids=(1,),
    bad_words=("no",),
    skip_special_tokens=False,
    spaces_between_special_tokens=False,
    include_stop_str_in_output=True,
)
# Fields of vLLM's API that are no fields of ours; they are refused as unknown ones.
UNKNOWN = {
    *("ec_transfer_params", "kv_transfer_params", "media_io_kwargs", "mm_processor_kwargs", "vllm_xargs"),
    *("repetition_detection", "request_id", "return_assistant_tokens_mask", "return_prompt_text"),
    *("return_token_offsets", "routed_experts_prompt_start", "session_id", "stream_interval", "truncation_side"),
}


def test_every_parameter_reaches_vllm() -> None:
    assert set(EVERYTHING.fields) == set(Decoding.__dataclass_fields__), "a new parameter needs a value in EVERYTHING"
    params = sampling_params(Sampling(max_tokens=4, stop=("x",), decoding=EVERYTHING), {}, stream_interval=1)
    assert {name: getattr(params, name) for name in EVERYTHING.fields} == {
        "logit_bias": {5: -100.0, 0: 2.5},
        "allowed_token_ids": [3, 4],
        "stop_token_ids": [1],
        "bad_words": ["no"],
        "skip_special_tokens": False,
        "spaces_between_special_tokens": False,
        "include_stop_str_in_output": True,
    }


def test_without_parameters_vllms_defaults_hold() -> None:
    params = sampling_params(Sampling(max_tokens=4), {}, stream_interval=1)
    assert (params.logit_bias, params.allowed_token_ids, params.skip_special_tokens) == (None, None, True)


def test_each_field_of_vllms_api_is_honoured_or_refused_by_its_name() -> None:
    assert set(ChatCompletionRequest.model_fields) - set(ChatBody.model_fields) - set(NEUTRAL) == UNKNOWN


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        (ResponseFormat("json_object"), {"json_object": True}),
        (ResponseFormat("json_schema", "n", {"type": "string"}), {"json": {"type": "string"}}),
        (ResponseFormat("regex", rule="[0-9]+"), {"regex": "[0-9]+"}),
        (ResponseFormat("choice", choices=("a", "b")), {"grammar": 'root ::= "a" | "b"'}),
        (ResponseFormat("json_schema", schema={"pattern": "a", "format": "x"}), {"json": {"pattern": "a"}}),
        (ResponseFormat("grammar", rule='start: "a"'), {"grammar": 'root ::= start\nstart ::= "a"'}),
        (ResponseFormat("grammar", rule='root ::= "a"'), {"grammar": 'root ::= "a"'}),
    ],
    ids=str,
)
def test_a_rule_is_vllms_structured_output(rule: ResponseFormat, wanted: dict[str, Any]) -> None:
    assert structured_params(rule) == StructuredOutputsParams(**wanted)
    validate_xgrammar_grammar(sampling_params(Sampling(max_tokens=4, response_format=rule), {}, stream_interval=1))


def test_a_structural_tag_is_checked_before_the_engine_gets_it() -> None:
    tag = {"type": "structural_tag", "format": {"type": "const_string", "value": "yes"}}
    given = structured_params(ResponseFormat("structural_tag", rule=json.dumps(tag)))
    assert given == StructuredOutputsParams(structural_tag=json.dumps(tag))
    with pytest.raises(InvalidRequest) as caught:
        structured_params(ResponseFormat("structural_tag", rule="{}"))
    assert caught.value.param == "structured_outputs.structural_tag"


@pytest.mark.parametrize(
    ("decoding", "path"),
    [
        (Decoding(logit_bias=((5, 1.0), (10, 1.0))), "logit_bias.10"),
        (Decoding(allowed_token_ids=(9, 10)), "allowed_token_ids[1]"),
        (Decoding(stop_token_ids=(2**31 - 1,)), "stop_token_ids[0]"),
    ],
    ids=str,
)
def test_an_id_outside_of_the_vocabulary_is_refused_with_its_path(decoding: Decoding, path: str) -> None:
    with pytest.raises(InvalidRequest, match=r"'m' has the tokens 0 to 9, not \d+") as caught:
        check_vocabulary("m", Sampling(decoding=decoding), 10)
    assert caught.value.param == path
    check_vocabulary("m", Sampling(decoding=decoding), 2**31)


def test_a_grammar_that_cannot_be_translated_is_refused_by_its_path() -> None:
    with pytest.raises(InvalidRequest) as caught:
        structured_params(ResponseFormat("grammar", rule="start: missing_rule", path="p"))
    assert caught.value.param == "p"

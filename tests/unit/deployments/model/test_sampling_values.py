"""Values of sampling that have, or could have, a second meaning in vLLM: each is refused, or means what it says."""

from typing import Any

import pytest

from deployments.model.vllm_sampling import MIN_TEMPERATURE, check_length, sampling_params
from serving.api.dialects.chat_requests import parse_chat, to_request
from serving.api.dialects.completions_requests import completions_requests, parse_completions
from serving.api.settings import ApiSettings
from serving.cards import ModelCard
from serving.decoding import SEEDS, plain_seed
from serving.engine import EngineInfo
from serving.engines.openai_wire import to_payload
from serving.errors import InvalidRequest, UnsupportedField
from serving.recipes.loading import load_recipes
from serving.types import GenerateRequest, Sampling

CARD, ABLE = ModelCard("m", "model"), EngineInfo(raw_prompts=True, thinking=True)
SETTINGS = ApiSettings()
PROMPTS = {"chat": '"messages": [{"role": "user", "content": "hi"}]', "completions": '"prompt": "hi"'}
# JSON text, and the value of vLLM's parameter of that name.
MEANT: dict[str, list[tuple[str, Any]]] = {
    "seed": [
        ("-1", SEEDS - 1),  # no seed to vLLM
        ("0", 0),
        ("7", 7),
        ("7.0", 7),
        ("-9223372036854775808", 0),
        ("9223372036854775807", SEEDS - 1),  # + the number of a choice would leave 64 bits
        ("null", None),
    ],
    "temperature": [
        ("0", 0),
        ("0.0", 0),
        ("-0.0", 0),
        ("1e-400", 0),  # is 0 in JSON's numbers
        ("5e-324", MIN_TEMPERATURE),  # vLLM's own bound, which it sets with a warning
        ("0.009", MIN_TEMPERATURE),
        ("0.01", 0.01),
        ("2", 2),
        ("null", 1),
    ],
    "top_k": [("-1", 0), ("0", 0), ("1", 1), ("2147483647", 2147483647), ("null", 0)],  # 0: all
    "top_p": [("1", 1), ("1e-300", 1e-300), ("null", 1)],
    "min_p": [("0", 0), ("1", 1), ("null", 0)],
    "repetition_penalty": [("1e-9", 1e-9), ("10", 10), ("null", 1)],
    "presence_penalty": [("-2", -2), ("2", 2), ("null", 0)],
    "frequency_penalty": [("-2", -2), ("2", 2), ("null", 0)],
    "max_tokens": [("1", 1), ("131072", 131072)],
    "min_tokens": [("0", 0), ("null", 0)],
    "stop": [("null", []), ("[]", []), ('" "', [" "]), ('["a", "a"]', ["a", "a"])],
    "stop_token_ids": [("null", []), ("[]", []), ("[0]", [0]), ("[0, 0]", [0])],
    "bad_words": [("null", []), ("[]", []), ('[" a"]', [" a"])],
    "logit_bias": [("null", None), ("{}", None), ('{"0": -100}', {0: -100.0})],
    "ignore_eos": [("true", True), ("null", False)],
    "n": [("1", 1), ("16", 16), ("null", 1), ("2.0", 2)],
}
# JSON text, and the field that the error names.
REFUSED: dict[str, list[tuple[str, str]]] = {
    "seed": [("9223372036854775808", "seed"), ("18446744073709551615", "seed"), ("18446744073709551616", "seed")],
    "temperature": [("-1", "temperature"), ("-1e-9", "temperature"), ("2.0001", "temperature")],
    "top_k": [("-2", "top_k"), ("2147483648", "top_k"), ("0.5", "top_k")],
    "top_p": [("0", "top_p"), ("-0.0", "top_p"), ("1e-400", "top_p"), ("1.1", "top_p")],
    "min_p": [("-0.1", "min_p"), ("1.1", "min_p")],
    "repetition_penalty": [("0", "repetition_penalty"), ("-1", "repetition_penalty"), ("11", "repetition_penalty")],
    "presence_penalty": [("-2.1", "presence_penalty")],
    "frequency_penalty": [("2.1", "frequency_penalty")],
    "max_tokens": [("-1", "max_tokens"), ("131073", "max_tokens"), ("1.5", "max_tokens")],
    "min_tokens": [("-1", "min_tokens"), ("131073", "min_tokens"), ("9223372036854775808", "min_tokens")],
    "stop": [('""', "stop[0]"), ('[""]', "stop[0]"), ('["a", ""]', "stop[1]")],
    "stop_token_ids": [("[-1]", "stop_token_ids[0]"), ("[2147483648]", "stop_token_ids[0]")],
    "allowed_token_ids": [("[]", "allowed_token_ids"), ("[-1]", "allowed_token_ids[0]")],
    "bad_words": [('[""]', "bad_words[0]"), ('["no", " \\n"]', "bad_words[1]")],
    "logit_bias": [('{"-1": 1}', "logit_bias.-1"), ('{"0": 101}', "logit_bias.0"), ('{"0": true}', "logit_bias.0")],
    "prompt_logprobs": [("-1", "prompt_logprobs"), ("0", "prompt_logprobs")],
    "truncate_prompt_tokens": [("-1", "truncate_prompt_tokens"), ("1", "truncate_prompt_tokens")],
    "n": [("0", "n"), ("-1", "n"), ("17", "n")],
    "best_of": [("0", "best_of"), ("-1", "best_of"), ("2", "best_of")],
    "use_beam_search": [("true", "use_beam_search")],
}
NUMBERS = ("seed", "temperature", "top_k", "top_p", "min_p", "repetition_penalty", "max_tokens", "min_tokens", "n")


def asked(dialect: str, *fields: str) -> GenerateRequest:
    """Request of a body with these fields, as JSON text."""
    body = ("{" + ", ".join(['"model": "m"', PROMPTS[dialect], *fields]) + "}").encode()
    if dialect == "chat":
        return to_request(parse_chat(body, SETTINGS), CARD, ABLE, SETTINGS, "r", {})
    [request] = completions_requests(parse_completions(body, SETTINGS), CARD, ABLE, SETTINGS, "r", {})
    return request


def params(sampling: Sampling, **defaults: Any) -> Any:
    return sampling_params(sampling, defaults, stream_interval=1)


def refusal(dialect: str, field: str, text: str) -> str | None:
    """The field that the error names."""
    with pytest.raises(InvalidRequest) as caught:
        asked(dialect, f'"{field}": {text}')
    return caught.value.param


@pytest.mark.parametrize("dialect", ["chat", "completions"])
@pytest.mark.parametrize(("field", "text", "meant"), [(name, *pair) for name, rows in MEANT.items() for pair in rows])
def test_an_accepted_value_means_what_it_says(dialect: str, field: str, text: str, meant: Any) -> None:
    assert getattr(params(asked(dialect, f'"{field}": {text}').sampling), field) == meant


@pytest.mark.parametrize("dialect", ["chat", "completions"])
@pytest.mark.parametrize(("field", "text", "param"), [(name, *pair) for name, rows in REFUSED.items() for pair in rows])
def test_a_refused_value_is_named(dialect: str, field: str, text: str, param: str) -> None:
    assert refusal(dialect, field, text) == param


@pytest.mark.parametrize("dialect", ["chat", "completions"])
@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize("text", ["true", "false", '"1"'])
def test_booleans_and_texts_are_no_numbers(dialect: str, field: str, text: str) -> None:
    assert refusal(dialect, field, text) == field


@pytest.mark.parametrize("dialect", ["chat", "completions"])
@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize("text", ["1e999", "-1e999", "1" + "0" * 400, "NaN", "Infinity"])
def test_numbers_beyond_floats_are_no_json(dialect: str, field: str, text: str) -> None:
    assert refusal(dialect, field, text) is None  # of the whole body: they have no place in it


@pytest.mark.parametrize(
    ("dialect", "fields", "param"),
    [
        ("chat", ['"logprobs": true', '"top_logprobs": -1'], "top_logprobs"),
        ("chat", ['"logprobs": 1'], "logprobs"),
        ("chat", ['"max_tokens": 0'], "max_tokens"),
        ("chat", ['"thinking_token_budget": -1'], "thinking_token_budget"),  # unlimited to vLLM
        ("chat", ['"max_tokens": 4', '"min_tokens": 5'], "min_tokens"),
        ("completions", ['"logprobs": -1'], "logprobs"),  # all of the vocabulary to vLLM
        ("completions", ['"logprobs": true'], "logprobs"),
        ("completions", ['"max_tokens": 0'], "max_tokens"),  # needs `echo`
        ("completions", ['"min_tokens": 17'], "min_tokens"),  # 16 is the default of `max_tokens`
    ],
)
def test_values_that_depend_on_others_are_refused_too(dialect: str, fields: list[str], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        asked(dialect, *fields)
    assert caught.value.param == param


def test_what_is_not_given_or_null_has_no_limit_and_zero_has_its_own_meaning() -> None:
    assert asked("chat", '"max_tokens": null').sampling.max_tokens is None
    assert asked("chat", '"thinking_token_budget": 0').thinking.budget_tokens == 0
    assert asked("chat", '"logprobs": true').sampling.logprobs == 0
    assert asked("completions", '"logprobs": 0').sampling.logprobs == 0
    echoed = asked("completions", '"max_tokens": 0', '"echo": true').sampling
    assert params(echoed).max_tokens == 1  # vLLM has no call that generates nothing; its token is left out


def test_more_tokens_than_the_context_holds_are_named() -> None:
    check_length("m", Sampling(max_tokens=8, min_tokens=8))
    check_length("m", Sampling(min_tokens=8))
    with pytest.raises(InvalidRequest, match="'min_tokens' to at most 8, which is the room") as caught:
        check_length("m", Sampling(max_tokens=8, min_tokens=9))
    assert caught.value.param == "min_tokens"


@pytest.mark.parametrize(
    ("temperature", "default", "generated"), [(0, None, 1), (None, 0, 1), (None, None, 4), (0.001, 0, 4), (1, 0, 4)]
)
def test_of_greedy_choices_one_is_generated(temperature: float | None, default: float | None, generated: int) -> None:
    defaults = {} if default is None else {"temperature": default}
    assert params(Sampling(temperature=temperature, n=4), **defaults).n == generated


def test_a_models_own_temperature_is_bounded_too() -> None:
    assert params(Sampling(), temperature=1e-6).temperature == MIN_TEMPERATURE
    assert params(Sampling(), top_k=-1).top_k == 0


def test_equal_seeds_stay_equal_and_external_endpoints_get_the_same() -> None:
    assert plain_seed(-1) == plain_seed(-1) != plain_seed(-2)
    assert [plain_seed(seed) for seed in (0, 1, SEEDS - 1)] == [0, 1, SEEDS - 1]
    request = asked("chat", '"seed": -1')
    assert to_payload(request, "m", "max_tokens", thinking=False)["seed"] == SEEDS - 1


@pytest.mark.parametrize("field", ["min_proposals", "temperature", "deadline_s", "straggler_grace_s"])
@pytest.mark.parametrize("value", [True, False, float("inf"), float("nan")])
def test_settings_of_recipes_have_numbers_alone(field: str, value: Any) -> None:
    recipe = load_recipes([{"id": "t", "layers": [["a", "b"]], "aggregator": "a"}])["t"]
    with pytest.raises(InvalidRequest) as caught:
        recipe.overridden({field: value})
    assert caught.value.param == f"moa.{field}"
    assert not isinstance(caught.value, UnsupportedField)

"""Profiles that work, and the error of each wrong one before anything is started."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from deployments.adapter_spec import AdapterSpec
from deployments.app import llm_config
from deployments.cluster.preflight import check_machine
from deployments.config import PROFILES, AppArgs, OrchestratorSpec, Profile, SessionAffinity, load_profile
from deployments.external_spec import ExternalSpec
from deployments.ingress.deployment import scaling
from deployments.model_identity import TokenPrice
from deployments.model_shape import ModelShape
from deployments.model_spec import ModelSpec, Replicas
from deployments.plan.checks import check_profile
from deployments.thinking_spec import ThinkingSpec
from serving.conversation import Thinking
from serving.engine import CONTINUING
from serving.errors import ConfigError
from tests.support.profiles import runnable

TINY = yaml.safe_load((PROFILES / "tiny.yaml").read_text())


def written(folder: Path, **changes: Any) -> str:
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump({**TINY, **changes}))
    return str(path)


def models(**changes: Any) -> list[dict[str, Any]]:
    return [{**TINY["models"][0], **changes}, *TINY["models"][1:]]


def engines(**changes: Any) -> list[dict[str, Any]]:
    return models(engine_kwargs={**TINY["models"][0]["engine_kwargs"], **changes})


@pytest.mark.parametrize("name", sorted(path.stem for path in PROFILES.glob("*.yaml")))
def test_every_profile_of_the_package_can_work(name: str) -> None:
    profile = runnable(name)
    assert profile.name == name
    assert set(check_profile(profile)) >= {"moa", "moa-lite"}


def test_the_trio_is_served_beside_smol_as_it_is_alone() -> None:
    *trio, smol = load_profile("smol").models
    assert trio == [*load_profile("tiny").models]
    assert smol.engine_kwargs["max_model_len"] == 8192  # of the model card


def test_every_field_has_a_description() -> None:
    specs = (
        AppArgs,
        Profile,
        AdapterSpec,
        ModelSpec,
        ModelShape,
        Replicas,
        ThinkingSpec,
        TokenPrice,
        ExternalSpec,
        OrchestratorSpec,
        SessionAffinity,
    )
    assert [
        f"{spec.__name__}.{n}" for spec in specs for n, field in spec.model_fields.items() if not field.description
    ] == []


def test_a_profile_can_be_a_file_anywhere(tmp_path: Path) -> None:
    assert load_profile(written(tmp_path, name="mine")).name == "mine"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"modles": []}, "Remove 'modles': there is no such field"),
        ({"models": []}, "it has no model; add one under 'models', or an endpoint under 'external'"),
        ({"models": models(gpus=1)}, r"Remove 'models\[0\].gpus'"),
        ({"models": models(id="a b")}, r"Change 'models\[0\].id'"),
        ({"models": models(id="tiny-llama")}, r"several models have the id 'tiny-llama'; rename all but one"),
        ({"models": models(engine_kwargs={})}, "set engine_kwargs.max_model_len of model 'tiny-qwen'"),
        ({"models": models(engine_kwargs={"max_model_len": 10, "model": "x"})}, "remove \\['model'\\]"),
        ({"models": models(engine_kwargs={"max_model_len": "32k"})}, 'must be an integer above 0, not "32k"'),
        ({"models": models(engine_kwargs={"max_model_len": 0})}, "max_model_len must be an integer above 0, not 0"),
        (
            {"models": engines(structured_outputs_config={"backend": "guidance"})},
            "set structured_outputs_config.backend of model 'tiny-qwen' to xgrammar",
        ),
        ({"models": models(grammar_timeout_s=0)}, r"Set 'models\[0\].grammar_timeout_s' to more than 0, not 0"),
        ({"models": engines(tensor_parallel_size="two")}, "tensor_parallel_size must be an integer above 0"),
        (
            {"models": engines(gpu_memory_utilization=90)},
            "gpu_memory_utilization must be a number above 0 and at most 1",
        ),
        ({"models": engines(max_num_seq=8)}, r"vLLM has no option 'max_num_seq' .*'tiny-qwen'\); write max_num_seqs"),
        ({"models": models(accelerator_type="H100")}, "runs on the CPU; remove accelerator_type"),
        (
            {"models": models(placement={"bundle_per_worker": {"GPU": 2}})},
            "bundle_per_worker.GPU must be a number above 0 and at most 1, not 2",
        ),
        ({"models": models(replicas={"min": 3, "max": 2})}, "max is 2, but min is 3"),
        (
            {"models": models(source="models/tiny/weights/none")},
            "with the weights of 'tiny-qwen' does not exist; correct its source",
        ),
        (
            {"models": models(source="build/none", fetch_command="make none")},
            "The weights of 'tiny-qwen' are not there yet; run: make none$",
        ),
        ({"recipes": ["no-such-recipe"]}, "no recipe 'no-such-recipe'"),
        ({"api": {"aliases": {"gpt-4o": "gpt-4"}}}, "Set the alias 'gpt-4o' in api.aliases .*, not 'gpt-4'"),
        ({"api": {"aliases": {"a": "b", "b": "moa"}}}, "'b' is an alias itself"),
        ({"api": {"aliases": {"tiny-qwen": "moa"}}}, "Rename the alias 'tiny-qwen' in api.aliases"),
        ({"api": {"aliases": {"two words": "moa"}}}, r"Change 'api.aliases"),
        ({"quality": {"judge": "gpt-4"}}, "quality.judge is 'gpt-4', which is no model of the profile .*tiny-qwen"),
        ({"quality": {"judge": "tiny-qwen", "sample": 2}}, "Set 'quality.sample' to at most 1"),
        ({"store": {"records": {"days": 7}}}, "Set 'store.records.days' to at least 32"),
        ({"api": {"usage": "both"}}, r"Set 'api.usage' to"),
        ({"team": {"proposers": ["tiny-qwen"]}}, "'self-moa' needs 'solo' in the profile's team"),
        ({"team": {**TINY["team"], "proposers": ["other", "tiny-llama"]}}, "needs the model 'other'"),
        (
            {"orchestrator": {"limits": {"max_calls": 3}}},
            r"'moa' needs 7 calls per request, but .*max_calls is 3; raise it",
        ),
        (
            {"recipes": [{"preset": "moa-lite", "proposal_max_tokens": 4000}]},
            r"gives 'tiny-qwen' in layer 2 a prompt of up to 12\d\d\d tokens, but its context holds 8192; lower",
        ),
        (
            {"models": [{**m, "engine_kwargs": {**m["engine_kwargs"], "max_model_len": 64}} for m in TINY["models"]]},
            r"'moa' gives 'tiny-qwen' in layer 2 a prompt of 1\d\d tokens even if every answer has one token, but its"
            " context holds 64; raise max_model_len",
        ),
    ],
)
def test_a_wrong_profile_is_refused_with_the_change_to_make(
    tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        check_profile(load_profile(written(tmp_path, **changes)))


def test_a_mistake_in_a_recipe_file_is_told_by_the_checks_of_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_recipe_of_checks.py").write_text("class Own(:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    profile = load_profile(written(tmp_path, recipes=["moa", {"id": "own", "strategy": "own_recipe_of_checks:Own"}]))
    with pytest.raises(ConfigError) as caught:
        check_profile(profile)
    assert str(caught.value) == (
        "own: The strategy 'own_recipe_of_checks:Own' cannot be imported: own_recipe_of_checks.py, line 1:"
        " invalid syntax."
    )


def test_an_unknown_profile_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"choose one of .*large.*tiny"):
        load_profile("huge")


def test_a_file_that_is_not_yaml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("name: [")
    with pytest.raises(ConfigError, match="is not YAML"):
        load_profile(str(tmp_path / "own.yaml"))


def test_a_model_whose_cache_cannot_hold_its_context_is_refused() -> None:
    large = load_profile("large")
    small = large.models[0].model_copy(update={"gpu_memory_gib": 22.0})
    with pytest.raises(ConfigError, match="lower max_model_len, or give it more memory"):
        check_profile(large.model_copy(update={"models": (small, *large.models[1:])}))


def test_a_number_may_be_written_as_a_text() -> None:
    spec = ModelSpec(id="m", source="s", engine_kwargs={"max_model_len": "8192", "dtype": "bfloat16"})
    assert spec.engine_kwargs == {"max_model_len": 8192, "dtype": "bfloat16"}


def test_arguments_are_checked_and_unknown_ones_refused() -> None:
    assert AppArgs(port="8080").port == 8080
    for wrong in ({"port": 0}, {"prot": 1}):
        with pytest.raises(ValidationError):
            AppArgs(**wrong)


HALF = {"bundle_per_worker": {"GPU": 0.5, "CPU": 1}}


def test_gpus_are_counted_over_models_and_replicas() -> None:
    def model(name: str, **kwargs: Any) -> ModelSpec:
        return ModelSpec(id=name, source="s", engine_kwargs={"max_model_len": 8, **kwargs}, replicas=Replicas(min=2))

    profile = Profile(name="p", models=(model("a", tensor_parallel_size=4, pipeline_parallel_size=2), model("b")))
    assert profile.gpus == 2 * 8 + 2
    halves = Profile(name="p", models=tuple(m.model_copy(update={"placement": HALF}) for m in (model("a"), model("b"))))
    assert halves.gpus == 2
    assert load_profile("tiny").gpus == 0
    assert load_profile("tiny").cpus == 3


def test_a_model_may_have_no_replica_if_it_may_have_one() -> None:
    rests = Replicas(min=0, max=1)
    model = ModelSpec(id="a", source="s", engine_kwargs={"max_model_len": 8}, replicas=rests)
    profile = Profile(name="p", models=(model,))
    assert profile.gpus == 0
    assert profile.cpus == 1 + 0.5, "room for the replica that a request starts"
    assert scaling(rests)["autoscaling_config"]["min_replicas"] == 0
    assert scaling(rests)["autoscaling_config"]["downscale_to_zero_delay_s"] == rests.idle_s
    assert "downscale_to_zero_delay_s" not in scaling(Replicas(min=1, max=2))["autoscaling_config"]
    with pytest.raises(ValidationError, match="min is 0; set max to the number of replicas"):
        Replicas(min=0)
    with pytest.raises(ValidationError, match="idle_s and wait_s need min 0: with min 1 a replica is always there"):
        Replicas(idle_s=60, wait_s=5)
    with pytest.raises(ValidationError, match=r"orchestrator\.replicas\.min is 0, but nothing else could answer"):
        Profile(name="p", models=(model,), orchestrator=OrchestratorSpec(replicas=rests))


REMOTE = {"id": "far", "base_url": "https://models.example/v1", "api_key_env": "FAR_KEY", "context_tokens": 8192}


def with_external(folder: Path, **changes: Any) -> Profile:
    recipe = {"preset": "moa-lite", "id": "moa-far", "aggregator": "far"}
    return load_profile(written(folder, recipes=["moa", "moa-lite", recipe], external=[{**REMOTE, **changes}]))


def test_an_external_endpoint_is_a_model_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = with_external(tmp_path)
    assert check_profile(profile)["moa-far"].models() >= {"far", "tiny-qwen"}
    assert profile.contexts["far"] == 8192
    monkeypatch.setenv("FAR_KEY", "secret")
    assert "secret" not in repr(profile.external[0].engine())


def test_an_external_endpoints_key_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAR_KEY", raising=False)
    with pytest.raises(ConfigError, match="Set the environment variable FAR_KEY"):
        check_machine(with_external(tmp_path), memory_gib=None, disk=tmp_path)


def test_a_recipe_cannot_need_what_an_external_endpoint_lacks(tmp_path: Path) -> None:
    cascade = {"preset": "cascade", "first": "far"}
    external = [{**REMOTE, "unsupported": ["logprobs"]}]
    profile = load_profile(written(tmp_path, recipes=["moa-lite", cascade], external=external))
    with pytest.raises(ConfigError, match="requires logprobs of 'far'"):
        check_profile(profile)


def test_a_staircase_cannot_have_an_aggregator_that_continues_no_message(tmp_path: Path) -> None:
    staircase = {"preset": "moa-staircase", "aggregator": "far"}
    profile = load_profile(written(tmp_path, recipes=["moa-lite", staircase], external=[REMOTE]))
    with pytest.raises(ConfigError, match="'moa-staircase' requires continue_final_message of 'far'"):
        check_profile(profile)


@pytest.mark.parametrize(
    ("options", "able"),
    [
        ({}, True),
        ({"reasoning_parser": "qwen3"}, True),
        ({"reasoning_parser": "openai_gptoss"}, False),
        ({"tokenizer_mode": "kimi_k3"}, False),
        ({"tokenizer_mode": "inkling"}, False),
    ],
)
def test_models_with_closed_prompt_formats_continue_no_message(options: dict[str, Any], able: bool) -> None:
    assert (CONTINUING not in spec(**options).unsupported) == able


def test_the_former_name_of_a_setting_is_refused_with_the_current_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Rename 'lacks' in .*: it is now called 'unsupported'"):
        load_profile(written(tmp_path, external=[{**REMOTE, "lacks": ["logprobs"]}]))


def spec(
    thinking: ThinkingSpec | None = None, tools: bool | None = None, strict_tools: bool = False, **engine_kwargs: Any
) -> ModelSpec:
    return ModelSpec(
        id="m",
        source="org/model",
        engine_kwargs={"max_model_len": 8, **engine_kwargs},
        thinking=thinking,
        tools=tools,
        strict_tools=strict_tools,
    )


@pytest.mark.parametrize(
    ("thinking", "args"),
    [
        (Thinking(), {"enable_thinking": True}),
        (Thinking(enabled=False), {"enable_thinking": False}),
        (Thinking(effort="none"), {"enable_thinking": False}),
        (Thinking(effort="low"), {"enable_thinking": True, "effort": "low"}),
        (Thinking(enabled=False, effort="high"), {"enable_thinking": False}),
    ],
)
def test_thinking_is_arguments_of_the_template(thinking: Thinking, args: dict[str, Any]) -> None:
    switched = ThinkingSpec(switch_arg="enable_thinking", effort_arg="effort")
    assert spec(switched, reasoning_parser="qwen3").template_args(thinking, {}) == args


def test_a_model_that_has_only_an_effort_gets_none_of_it() -> None:
    efforts = ThinkingSpec(effort_arg="reasoning_effort")
    assert efforts.template_args(Thinking(enabled=False)) == {"reasoning_effort": "none"}
    assert efforts.template_args(Thinking(effort="low")) == {"reasoning_effort": "low"}
    assert efforts.template_args(Thinking()) == {}


def test_efforts_that_the_model_lacks_become_others() -> None:
    efforts = ThinkingSpec(effort_arg="reasoning_effort", efforts={"none": "low", "xhigh": "high"})
    assert efforts.template_args(Thinking(enabled=False)) == {"reasoning_effort": "low"}
    assert efforts.template_args(Thinking(effort="none")) == {"reasoning_effort": "low"}
    assert efforts.template_args(Thinking(effort="xhigh")) == {"reasoning_effort": "high"}
    assert efforts.template_args(Thinking(effort="medium")) == {"reasoning_effort": "medium"}
    with pytest.raises(ValidationError, match="set effort_arg; efforts are values of that argument"):
        ThinkingSpec(switch_arg="think", efforts={"none": "low"})


def test_thinking_that_only_an_effort_turns_on_has_one() -> None:
    off = ThinkingSpec(effort_arg="reasoning_effort", efforts={"medium": "high"}, default=False)
    assert off.template_args(Thinking()) == {}
    assert off.template_args(Thinking(enabled=True)) == {"reasoning_effort": "high"}
    assert off.template_args(Thinking(enabled=True, effort="low")) == {"reasoning_effort": "low"}
    assert off.template_args(Thinking(enabled=False)) == {"reasoning_effort": "none"}


def test_the_requests_own_arguments_are_the_last_word() -> None:
    options = {"reasoning_parser": "qwen3", "default_chat_template_kwargs": {"think": False, "style": "a"}}
    model = spec(ThinkingSpec(switch_arg="think"), **options)
    assert model.template_args(Thinking(), {}) == {"think": False, "style": "a"}
    assert model.template_args(Thinking(enabled=True), {}) == {"think": True, "style": "a"}
    assert model.template_args(Thinking(enabled=True), {"think": False}) == {"think": False, "style": "a"}
    assert spec().template_args(Thinking(effort="low"), {}) == {}


def test_a_model_with_a_parser_has_tools_or_thinking() -> None:
    assert (spec().accepts_tools, spec().thinks) == (False, False)
    both = spec(tool_call_parser="hermes", reasoning_parser="qwen3")
    assert (both.accepts_tools, both.thinks) == (True, True)
    assert spec(tools=True).accepts_tools


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"thinking": {"switch_arg": "x"}}, "set engine_kwargs.reasoning_parser of model 'm'; `thinking` needs it"),
        ({"strict_tools": True}, "set engine_kwargs.tool_call_parser of model 'm'; `strict_tools` needs it"),
        ({"enable_auto_tool_choice": True}, "remove enable_auto_tool_choice of model 'm'"),
        ({"enable_auto_tool_choice": False, "tool_call_parser": "hermes"}, "remove enable_auto_tool_choice"),
        ({"tool_call_parser": 3}, "tool_call_parser must be a text"),
        ({"default_chat_template_kwargs": []}, "default_chat_template_kwargs must be a mapping"),
        ({"tokenizer_mode": "cohere"}, "tokenizer_mode must be one of auto, hf, slow, mistral,"),
        ({"tokenizer_mode": "mistral", "chat_template": "{{ x }}"}, "remove chat_template of model 'm'"),
        ({"skip_tokenizer_init": True}, "remove skip_tokenizer_init of model 'm'"),
    ],
)
def test_settings_of_thinking_and_tools_that_cannot_work(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        spec(**options)


def test_a_chat_template_is_text_or_a_file(tmp_path: Path) -> None:
    path = tmp_path / "chat.jinja"
    path.write_text("{{ messages }}")
    assert spec(chat_template=str(path)).chat_template == "{{ messages }}"
    assert spec(chat_template="{{ x }}").chat_template == "{{ x }}"
    assert spec(chat_template="models/tiny/weights/tiny-qwen/chat_template.jinja").chat_template
    assert spec().chat_template is None
    with pytest.raises(ConfigError, match=r"The chat template 'no\.jinja' of 'm' is no file"):
        _ = spec(chat_template="no.jinja").chat_template


def test_vllms_engine_gets_its_own_options_alone() -> None:
    model = spec(
        tool_call_parser="hermes", reasoning_parser="qwen3", chat_template="{{ x }}", enable_auto_tool_choice=True
    )
    config = llm_config(load_profile("tiny"), model)
    assert config.engine_kwargs.keys() & {"tool_call_parser", "chat_template", "enable_auto_tool_choice"} == set()
    assert config.engine_kwargs["reasoning_parser"] == "qwen3"


def test_a_models_replicas_are_chosen_by_session_unless_the_profile_says_no() -> None:
    profile, model = load_profile("tiny"), spec()
    router = llm_config(profile, model).deployment_config["request_router_config"]
    assert router.request_router_class.endswith("SessionRouter")
    assert router.request_router_kwargs == {"imbalance_factor": 1.5, "imbalance_requests": 8}
    off = profile.model_copy(update={"orchestrator": OrchestratorSpec(session_affinity=SessionAffinity(enabled=False))})
    assert "request_router_config" not in llm_config(off, model).deployment_config


def test_the_response_cache_needs_the_store(tmp_path: Path) -> None:
    api = {**TINY.get("api", {}), "cache": {"ttl_s": 60}}
    assert load_profile(written(tmp_path, api=api)).api.cache.ttl_s == 60
    with pytest.raises(ConfigError, match=r"api\.cache\.ttl_s needs the store; set store\.enabled to true"):
        load_profile(written(tmp_path, api=api, store={"enabled": False}))
    off = {**api, "cache": {"ttl_s": 60, "enabled": False}}
    assert load_profile(written(tmp_path, api=off, store={"enabled": False}))

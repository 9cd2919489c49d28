"""Values of the chart that equal a profile: the default ones `large`, values-gpt-oss.yaml `gpt-oss`."""

import pytest
import yaml
from render import ROOT, Object, helm, of_kind

PROFILES = {"default": "large", "gpt-oss": "gpt-oss"}  # case of the chart -> profile


def profile(name: str) -> Object:
    return yaml.safe_load((ROOT / "deployments" / "profiles" / f"{name}.yaml").read_text())


LARGE = profile("large")


def written(case: str = "default") -> Object:
    (config,) = [c for c in of_kind(case, "ConfigMap") if "profile.yaml" in c["data"]]
    return yaml.safe_load(config["data"]["profile.yaml"])


@pytest.mark.parametrize("case", PROFILES)
def test_models_are_those_of_the_profile(case: str) -> None:
    chart = {model["id"]: model for model in written(case)["models"]}
    models = {model["id"]: model for model in profile(PROFILES[case])["models"]}
    assert set(chart) == set(models)
    for model_id, model in models.items():
        theirs = chart[model_id]
        assert theirs["description"] == model["description"]
        assert theirs["shape"] == {"kv_bits": 16, **model["shape"]}
        least = model["replicas"]["min"]
        assert theirs["replicas"] == {"max": least, "target_ongoing_requests": 32, **model["replicas"]}
        assert theirs["usd_per_million_tokens"] == model["usd_per_million_tokens"]
        assert theirs["drain_s"] == model.get("drain_s", 75)
        assert theirs.get("thinking") == model.get("thinking")
        loading: Object = {"load_format": "runai_streamer"}
        if model["engine_kwargs"]["tensor_parallel_size"] > 1:
            loading["model_loader_extra_config"] = {"distributed": True}
        assert theirs["engine_kwargs"] == {**model["engine_kwargs"], **loading}


@pytest.mark.parametrize("case", PROFILES)
def test_team_and_recipes_are_those_of_the_profile(case: str) -> None:
    chart, mapped = written(case), profile(PROFILES[case])
    assert chart["team"] == mapped["team"]
    assert chart["recipes"] == mapped["recipes"]


def test_the_orchestrator_is_that_of_the_profile() -> None:
    chart = written()
    assert chart["orchestrator"]["replicas"] == LARGE["orchestrator"]["replicas"]
    assert chart["orchestrator"]["drain_s"] == LARGE["orchestrator"]["drain_s"]


def test_the_settings_of_the_api_reach_the_profile() -> None:
    sets = ("api.settings.aliases.gpt-4o=moa-lite", "api.settings.usage=team", "api.settings.metrics=true")
    rendered = yaml.safe_load_all(helm("template", "moa", sets=sets).stdout)
    [config] = [obj for obj in rendered if obj and "profile.yaml" in (obj.get("data") or {})]
    api = yaml.safe_load(config["data"]["profile.yaml"])["api"]
    assert (api["aliases"], api["usage"], api["metrics"]) == ({"gpt-4o": "moa-lite"}, "team", True)
    assert set(written()["api"]) == {"deadline_s", "max_in_flight"}


def test_every_preset_is_served() -> None:
    presets = {file.stem for file in (ROOT / "serving" / "recipes" / "presets").glob("*.yaml")}
    assert set(written()["recipes"]) == presets


@pytest.mark.parametrize(("file", "name"), [("values", "large"), ("values-gpt-oss", "gpt-oss")])
def test_the_hub_ids_are_the_profiles_sources(file: str, name: str) -> None:
    values = yaml.safe_load((ROOT / "helm" / "moa" / f"{file}.yaml").read_text())
    assert {model_id: model["hub"] for model_id, model in values["models"].items() if model} == {
        model["id"]: model["source"] for model in profile(name)["models"]
    }


def test_a_task_reaches_the_profile() -> None:
    sets = ("models.mixtral-8x7b.task=embed", "team.proposers={qwen2.5-72b,llama-3.1-70b}")
    made = [one for one in yaml.safe_load_all(helm("template", "moa", sets=sets).stdout) if one]
    (config,) = [one for one in made if one["kind"] == "ConfigMap" and "profile.yaml" in one["data"]]
    tasks = {model["id"]: model.get("task") for model in yaml.safe_load(config["data"]["profile.yaml"])["models"]}
    assert tasks == {"qwen2.5-72b": None, "llama-3.1-70b": None, "mixtral-8x7b": "embed"}


def test_each_weight_source_reaches_the_engine() -> None:
    sources = {}
    for case in ("default", "pvc", "nvme", "secrets-made"):
        (config,) = [c for c in of_kind(case, "ConfigMap") if "profile.yaml" in c["data"]]
        (model,) = [m for m in yaml.safe_load(config["data"]["profile.yaml"])["models"] if m["id"] == "mixtral-8x7b"]
        sources[case] = (model["source"], model["engine_kwargs"].get("load_format"))
    assert sources == {
        "default": ("s3://CHANGE-ME/models/mixtral-8x7b", "runai_streamer"),
        "pvc": ("/models/mixtral-8x7b", None),
        "nvme": ("/models/mixtral-8x7b", None),
        "secrets-made": ("RedHatAI/Mixtral-8x7B-Instruct-v0.1-FP8", None),
    }


def test_other_settings_are_passed_on_under_their_own_names() -> None:
    plain, changed = written(), written("settings")
    assert changed["api"] == {
        **plain["api"],
        "cors_origins": ["https://chat.example.org"],
        "max_body_bytes": 33554432,
        "unsupported_tools": "omit",
    }
    assert isinstance(changed["api"]["max_body_bytes"], int)
    assert changed["orchestrator"] == {**plain["orchestrator"], "session_affinity": {"enabled": False}}
    assert "batches" not in plain
    assert changed["batches"] == {
        "enabled": True,
        "files": "s3://my-batches/moa",
        "max_concurrent": 32,
        "num_cpus": 0,
        "resources": {"moa-batches": 0.001},
    }
    models = {model["id"]: model for model in changed["models"]}
    assert models["qwen2.5-72b"]["strict_tools"] is True
    assert all("strict_tools" not in model for name, model in models.items() if name != "qwen2.5-72b")

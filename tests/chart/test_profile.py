"""Default values of the chart, which equal the profile `large`."""

import yaml
from render import ROOT, Object, of_kind

LARGE: Object = yaml.safe_load((ROOT / "deployments" / "profiles" / "large.yaml").read_text())


def written() -> Object:
    (config,) = [c for c in of_kind("default", "ConfigMap") if "profile.yaml" in c["data"]]
    return yaml.safe_load(config["data"]["profile.yaml"])


def test_models_are_those_of_the_profile() -> None:
    chart = {model["id"]: model for model in written()["models"]}
    profile = {model["id"]: model for model in LARGE["models"]}
    assert set(chart) == set(profile)
    for model_id, model in profile.items():
        theirs = chart[model_id]
        assert theirs["description"] == model["description"]
        assert theirs["shape"] == {"kv_bits": 16, **model["shape"]}
        assert theirs["replicas"] == model["replicas"]
        assert theirs["usd_per_million_tokens"] == model["usd_per_million_tokens"]
        assert theirs["drain_s"] == model["drain_s"]
        assert theirs["engine_kwargs"] == {**model["engine_kwargs"], "load_format": "runai_streamer"}


def test_team_recipes_and_orchestrator_are_those_of_the_profile() -> None:
    chart = written()
    assert chart["team"] == LARGE["team"]
    assert chart["recipes"] == LARGE["recipes"]
    assert chart["orchestrator"]["replicas"] == LARGE["orchestrator"]["replicas"]
    assert chart["orchestrator"]["drain_s"] == LARGE["orchestrator"]["drain_s"]


def test_every_preset_is_served() -> None:
    presets = {file.stem for file in (ROOT / "serving" / "recipes" / "presets").glob("*.yaml")}
    assert set(written()["recipes"]) == presets


def test_the_hub_ids_are_the_profiles_sources() -> None:
    values = yaml.safe_load((ROOT / "helm" / "moa" / "values.yaml").read_text())
    assert {name: model["hub"] for name, model in values["models"].items()} == {
        model["id"]: model["source"] for model in LARGE["models"]
    }


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

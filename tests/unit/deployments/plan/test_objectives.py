"""Objectives for the first token, and the places in the repository that repeat them."""

import json
import re

import pytest
import yaml

from deployments.config import load_profile
from deployments.ingress.buckets import TTFT_SECONDS
from deployments.plan import objectives
from deployments.plan.__main__ import main
from deployments.plan.cost import recipe_latencies
from deployments.plan.latency import Latency
from deployments.plan.objectives import MARGIN, ttft_objectives
from deployments.plan.placement import choices
from deployments.plan.prices import load_prices
from serving.errors import ConfigError
from tests.support.paths import ROOT
from tests.support.plans import model
from tests.support.plans import profile as plan_profile

CHART = ROOT / "helm" / "moa"
PRICES = load_prices()


def rules(file: str) -> dict[str, object]:
    return yaml.safe_load((CHART / file).read_text())["monitoring"]["rules"]


def test_an_objective_is_the_next_bucket_above_the_roofline() -> None:
    profile = load_profile("large")
    found = ttft_objectives(profile)
    latencies = recipe_latencies(profile, choices(profile, PRICES), PRICES.assumed, batch=PRICES.assumed.decode_batch)
    assert set(found) == set(latencies) - {model.id for model in profile.models}
    for recipe, objective in found.items():
        below = [bound for bound in TTFT_SECONDS if bound < objective]
        assert max(below) < MARGIN * latencies[recipe].ttft_s <= objective


def test_an_adapter_has_the_times_of_its_model() -> None:
    plain = plan_profile()
    options = {**plain.models[0].engine_kwargs, "max_lora_rank": 16}
    adapted = model("a", adapters=[{"id": "x", "source": "org/x"}], engine_kwargs=options)
    team = {"proposers": ["x", "b", "c"], "aggregator": "x"}
    with_adapter = plan_profile(team=team).model_copy(update={"models": (adapted, *plain.models[1:])})
    assert ttft_objectives(with_adapter) == ttft_objectives(plain)


def test_a_recipe_with_more_layers_has_more_time() -> None:
    found = ttft_objectives(load_profile("large"))
    assert found["moa-lite"] < found["moa"] < found["self-moa-seq"]


@pytest.mark.parametrize(("profile", "file"), [("large", "values.yaml"), ("gpt-oss", "values-gpt-oss.yaml")])
def test_the_charts_objectives_are_those_of_its_profile(profile: str, file: str) -> None:
    assert rules(file)["recipeTtftSeconds"] == ttft_objectives(load_profile(profile))


def test_the_chart_takes_bounds_of_buckets_only() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]
    taken = schema["monitoring"]["properties"]["rules"]["properties"]
    bounds = taken["ttftSeconds"]["enum"]
    assert bounds == [bound for bound in TTFT_SECONDS if bound >= 0.5]
    assert taken["recipeTtftSeconds"]["additionalProperties"]["enum"] == [*bounds, None]


def test_the_page_ends_with_values_of_the_chart(capsys: pytest.CaptureFixture[str]) -> None:
    main(["large", "--objectives"])
    page = capsys.readouterr().out
    values = yaml.safe_load(page[page.index("monitoring:") :])
    assert values == {"monitoring": {"rules": {"recipeTtftSeconds": rules("values.yaml")["recipeTtftSeconds"]}}}
    table = page[: page.index("An objective is")].strip()
    assert table in (ROOT / "docs" / "operations.md").read_text()
    assert re.search(r"^moa-lite +\d+\.\d +30$", table, re.M)


def test_objectives_can_be_computed_for_other_lengths(capsys: pytest.CaptureFixture[str]) -> None:
    main(["large", "--objectives", "--answer-tokens", "200"])
    page = capsys.readouterr().out
    assert "200 tokens from each agent" in page
    shorter = yaml.safe_load(page[page.index("monitoring:") :])["monitoring"]["rules"]["recipeTtftSeconds"]
    assert shorter["moa"] < ttft_objectives(load_profile("large"))["moa"]


def test_cost_and_objectives_are_two_pages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["large", "--cost", "--objectives"])
    assert "not allowed with argument --cost" in capsys.readouterr().err


def test_a_first_token_that_no_bucket_holds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objectives, "recipe_latencies", lambda *_, **__: {"slow": Latency(ttft_s=260, answer_s=290)})
    with pytest.raises(ConfigError, match="'slow' takes 260 s by the roofline, but no objective above 300 s can be"):
        ttft_objectives(load_profile("large"))


def test_a_recipe_beyond_its_own_deadlines_is_refused() -> None:
    slow = PRICES.model_copy(update={"assumed": PRICES.assumed.model_copy(update={"answer_tokens": 4000})})
    with pytest.raises(ConfigError, match="does not answer within its own deadlines by the roofline: Layer 1 returned"):
        ttft_objectives(load_profile("large"), slow)


@pytest.mark.parametrize("name", ["tiny", "endpoints"])
def test_a_profile_without_gpus_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="costs are computed for models on GPUs only"):
        ttft_objectives(load_profile(name))

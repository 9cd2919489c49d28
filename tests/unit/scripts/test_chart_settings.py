"""Settings of the server that the Helm chart can express: none is missing, and none is there that does not exist."""

import json
from typing import Any

import pytest
from pydantic import BaseModel

from deployments.batch_spec import BatchSpec
from deployments.config import OrchestratorSpec, Profile
from deployments.model_spec import ModelSpec
from scripts.chart_settings import OF_CHART, SCHEMA, WITHOUT_VALUE, chart_schema, settings_schema
from serving.api.settings import ApiSettings
from tests.support.paths import ROOT

TEMPLATE = (ROOT / "helm" / "moa" / "templates" / "_profile.tpl").read_text()


@pytest.mark.parametrize("model", [ApiSettings, BatchSpec, OrchestratorSpec, ModelSpec])
def test_each_setting_is_passed_on_or_made_by_the_chart(model: type[BaseModel]) -> None:
    passed_on = set(settings_schema(model)["properties"])
    assert passed_on | OF_CHART[model] == set(model.model_fields)
    assert not passed_on & OF_CHART[model]


def test_each_field_of_a_profile_is_made_by_the_chart_or_known_to_be_missing() -> None:
    assert set(Profile.model_fields) == OF_CHART[Profile] | WITHOUT_VALUE
    assert not [name for name in OF_CHART[Profile] | OF_CHART[OrchestratorSpec] if f'"{name}"' not in TEMPLATE]


def test_the_charts_schema_is_up_to_date() -> None:
    assert (ROOT / SCHEMA).read_text() == chart_schema(ROOT), "run python -m scripts.generate_docs"


def test_a_setting_keeps_its_bounds_and_its_nested_fields() -> None:
    orchestrator = settings_schema(OrchestratorSpec)["properties"]
    assert orchestrator["session_affinity"]["properties"]["imbalance_requests"] == {"type": "integer", "minimum": 0}
    assert orchestrator["session_affinity"]["additionalProperties"] is False
    assert settings_schema(ModelSpec)["properties"]["strict_tools"] == {"type": "boolean"}
    assert settings_schema(ApiSettings)["properties"]["unsupported_tools"]["enum"] == ["refuse", "omit"]


class Inner(BaseModel):
    """A setting with a field whose name is that of an annotation."""

    description: str = ""


class Outer(BaseModel):
    """Settings."""

    inner: Inner = Inner()
    title: int | None = None


def test_fields_named_like_annotations_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OF_CHART, Outer, frozenset())
    found: dict[str, Any] = settings_schema(Outer)["properties"]
    assert found["inner"]["properties"] == {"description": {"type": "string"}}
    assert found["title"] == {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    assert "$ref" not in json.dumps(found)

"""Settings of the server in the Helm chart: the `settings` objects of values.schema.json, made from its classes.

The chart has values of its own for some settings; it passes all others on unchanged, under their own names.
"""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from deployments.batch_spec import BatchSpec
from deployments.config import OrchestratorSpec, Profile
from deployments.model_spec import ModelSpec
from serving.api.settings import ApiSettings
from serving.quality.settings import QualitySettings
from serving.store.settings import StoreSettings

Json = dict[str, Any]
SCHEMA = Path("helm") / "moa" / "values.schema.json"
# Settings that the templates make from other values, or that come from secrets.
OF_CHART: dict[type[BaseModel], frozenset[str]] = {
    ApiSettings: frozenset({"admin_key", "admin_key_env", "api_key", "deadline_s", "max_in_flight", "tenant_secret"}),
    BatchSpec: frozenset({"enabled", "files", "num_cpus", "resources"}),
    OrchestratorSpec: frozenset({"drain_s", "num_cpus", "replicas", "resources"}),
    ModelSpec: frozenset(
        {
            *(
                "accelerator",
                "adapters",
                "description",
                "drain_s",
                "engine_kwargs",
                "fetch_command",
                "gpu_memory_gib",
                "id",
            ),
            *("placement", "replicas", "shape", "source", "task", "thinking", "tools", "usd_per_million_tokens"),
        }
    ),
    QualitySettings: frozenset(),
    StoreSettings: frozenset({"database_env", "enabled", "path", "redis_env"}),
    Profile: frozenset(
        {"api", "batches", "description", "models", "name", "orchestrator", "quality", "recipes", "store", "team"}
    ),
}
# Fields of a profile for which the chart has no value: endpoints and variables need secrets, the
# budget belongs to the rules, since a changed profile starts a new Ray cluster, and the texts are for a terminal.
WITHOUT_VALUE = frozenset({"budget_usd_per_month", "env", "external", "memory_gib", "questions", "scope"})
ABOUT = frozenset({"title", "description", "default"})


def settings_schema(model: type[BaseModel]) -> Json:
    """JSON schema of the settings of `model` that the chart passes on."""
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})
    known = {name: field for name, field in schema["properties"].items() if name not in OF_CHART[model]}
    return _object(known, definitions)


def chart_schema(root: Path) -> str:
    """Text that values.schema.json should have."""
    schema: Json = json.loads((root / SCHEMA).read_text(encoding="utf-8"))
    values = deepcopy(schema)
    values["properties"]["api"]["properties"]["settings"] = settings_schema(ApiSettings)
    values["properties"]["batches"]["properties"]["settings"] = settings_schema(BatchSpec)
    values["properties"]["orchestrator"]["properties"]["settings"] = settings_schema(OrchestratorSpec)
    values["properties"]["quality"] = settings_schema(QualitySettings)
    values["properties"]["store"]["properties"]["settings"] = settings_schema(StoreSettings)
    values["properties"]["models"]["additionalProperties"]["properties"]["settings"] = settings_schema(ModelSpec)
    return json.dumps(values, indent=2) + "\n"


def _object(fields: Json, definitions: Json) -> Json:
    plain = {name: _plain(field, definitions) for name, field in fields.items()}
    return {"type": "object", "additionalProperties": False, "properties": plain}


def _plain(node: Any, definitions: Json) -> Any:
    """A part of a schema without references, titles, descriptions and defaults."""
    if isinstance(node, list):
        return [_plain(inner, definitions) for inner in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _plain(definitions[node["$ref"].removeprefix("#/$defs/")], definitions)
    if "properties" in node and isinstance(node["properties"], dict):
        return _object(node["properties"], definitions)
    return {name: _plain(inner, definitions) for name, inner in node.items() if name not in ABOUT}

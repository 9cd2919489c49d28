"""Table of values in the chart's README, compared with values.yaml.

UPDATE_README=1 make chart      # rewrites the table
"""

import json
import os
import re

import yaml
from render import CHART
from values_table import leaves, rows, table

README = CHART / "README.md"
BEGIN, END = "<!-- values: begin -->", "<!-- values: end -->"


def test_the_readmes_table_is_the_values() -> None:
    text = README.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    wanted = f"{before}{BEGIN}\n\n{table(CHART / 'values.yaml')}\n\n{END}{after}"
    if os.environ.get("UPDATE_README"):
        README.write_text(wanted)
    assert README.read_text() == wanted, "run UPDATE_README=1 make chart"


def test_every_value_is_documented() -> None:
    documented = {key for key, *_ in rows(CHART / "values.yaml")}
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    undocumented = [
        leaf for leaf in leaves(values) if not any(leaf == key or leaf.startswith(f"{key}.") for key in documented)
    ]
    assert undocumented == []


def test_the_schema_knows_every_value_and_forbids_all_others() -> None:
    def walk(schema: object, path: str = "") -> None:
        if isinstance(schema, dict):
            if schema.get("type") == "object" and "properties" in schema:
                assert schema["additionalProperties"] is False, path
            for key, child in schema.items():
                walk(child, f"{path}.{key}")
        elif isinstance(schema, list):
            for child in schema:
                walk(child, path)

    schema = json.loads((CHART / "values.schema.json").read_text())
    walk(schema)
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(values) == set(schema["properties"]) - {"global"}


def test_the_readme_names_every_model_field() -> None:
    fields = json.loads((CHART / "values.schema.json").read_text())["properties"]["models"]["additionalProperties"]
    named = set(re.findall(r"`([A-Za-z.]+)`", README.read_text()))
    assert set(fields["properties"]) <= {name.split(".")[0] for name in named}

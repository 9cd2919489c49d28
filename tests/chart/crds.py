"""Offline validation of custom resources by their CRDs: structure, unknown fields and CEL rules, as in an API server.

Rules over `oldSelf` and defaulting are left out. CRD_DIR has one CRD per file.
"""

import functools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cel
import jsonschema
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("CRD_DIR", ROOT.parent / "shared" / "crds"))
Schema = dict[str, Any]
ANNOTATIONS = ("default", "description", "example", "format")


@functools.cache
def schemas() -> dict[tuple[str, str], Schema]:
    """OpenAPI schemas by (apiVersion, kind)."""
    found = {}
    for file in sorted(FOLDER.glob("*.yaml")):
        crd = yaml.load(file.read_text(), yaml.CSafeLoader)["spec"]
        for version in crd["versions"]:
            found[f"{crd['group']}/{version['name']}", crd["names"]["kind"]] = version["schema"]["openAPIV3Schema"]
    return found


def errors(obj: dict[str, Any]) -> list[str]:
    """Errors of the object; empty if it is valid. Raises `KeyError` for a kind without a CRD."""
    schema = schemas()[obj["apiVersion"], obj["kind"]]
    validator = _validator(obj["apiVersion"], obj["kind"])
    found = [f"{'.'.join(map(str, error.path))}: {error.message[:200]}" for error in validator.iter_errors(obj)]
    return [*found, *_broken_rules(schema, obj, "")]


@functools.cache
def _validator(api_version: str, kind: str) -> jsonschema.Draft202012Validator:
    strict = _json_schema(schemas()[api_version, kind])
    strict["properties"]["metadata"] = {}
    return jsonschema.Draft202012Validator(strict)


def _json_schema(node: Any) -> Any:
    """Convert a structural schema to JSON Schema that refuses unknown fields."""
    if not isinstance(node, dict):
        return node
    out: Schema = {}
    for key, value in node.items():
        if key == "properties":
            out[key] = {name: _json_schema(child) for name, child in value.items()}
        elif key in ("items", "not", "additionalProperties"):
            out[key] = _json_schema(value)
        elif key in ("allOf", "anyOf", "oneOf"):
            out[key] = [_json_schema(child) for child in value]
        elif key not in ANNOTATIONS and not key.startswith("x-kubernetes"):
            out[key] = value
    if node.get("x-kubernetes-int-or-string"):
        out["type"] = ["integer", "string"]
    if node.get("nullable") and isinstance(out.get("type"), str):
        out["type"] = [out["type"], "null"]
    if node.get("x-kubernetes-embedded-resource"):
        out.setdefault("properties", {}).update({name: {} for name in ("apiVersion", "kind", "metadata")})
    elif out.get("type") == "object" and "properties" in out and not node.get("x-kubernetes-preserve-unknown-fields"):
        out.setdefault("additionalProperties", False)
    return out


def _broken_rules(node: Schema, value: Any, path: str) -> Iterator[str]:
    if value is None:
        return
    for rule in node.get("x-kubernetes-validations", []):
        if "oldSelf" not in rule["rule"] and (why := _broken(rule["rule"], value)):
            yield f"{path}: {why}: {rule.get('message') or rule['rule']}"
    if isinstance(value, dict):
        known = node.get("properties") or {}
        extra = node.get("additionalProperties")
        for name, child in value.items():
            if name in known:
                yield from _broken_rules(known[name], child, f"{path}.{name}")
            elif isinstance(extra, dict):
                yield from _broken_rules(extra, child, f"{path}.{name}")
    elif isinstance(value, list) and isinstance(node.get("items"), dict):
        for index, item in enumerate(value):
            yield from _broken_rules(node["items"], item, f"{path}[{index}]")


def _broken(rule: str, value: Any) -> str:
    """Reason for which the rule fails; empty if it holds."""
    context = cel.Context({"self": value})
    context.add_function("find", lambda text, pattern: (re.search(pattern, text) or [""])[0])
    context.add_function("split", lambda text, separator: text.split(separator))
    try:
        return "broken" if cel.evaluate(rule, context) is False else ""
    except Exception as error:  # a default that is not written out, or a function that this evaluator lacks
        return f"cannot be evaluated ({error})"

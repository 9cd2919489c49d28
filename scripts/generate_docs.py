"""Generator of documentation: `python -m scripts.generate_docs` writes it, `--check` only compares.

docs/api.md and docs/errors.md are generated as a whole, from the request schema and the error classes. In
docs/recipes.md two tables are generated: the settings of every recipe, and the settings that a request may change.
"""

import argparse
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from serving.api.schema import NEUTRAL, ChatBody
from serving.api.settings import ApiSettings
from serving.errors import MoaError
from serving.recipes.base import Recipe
from serving.recipes.loading import STRATEGIES
from serving.runtime.policy import Policy

ROOT = Path(__file__).parents[1]

API_PAGE = """# The API

OpenAI's chat completions, for every model and every recipe. Any OpenAI client works with `base_url` set to
`http://HOST:PORT/v1`.

| path | what |
|---|---|
| `POST /v1/chat/completions` | an answer, streamed or whole |
| `GET /v1/models`, `/v1/models/ID` | model ids; `kind` is model or recipe, `max_model_len` the context in tokens |
| `GET /health` | the process is alive |
| `GET /ready` | every engine is warmed and answers; otherwise 503 with each one that does not, and why |
| `GET /version` | what runs here |

With `api_key` set, everything below `/v1` wants `Authorization: Bearer KEY`. A plain `x-request-id` is kept, otherwise
one is made; the log and the response name it. Errors: [errors.md](errors.md).

## Fields

A field is honoured or refused with its name, never ignored; `null` is "not given".

| field | type | range | default | meaning |
|---|---|---|---|---|
{fields}

Of OpenAI's other fields only values that ask for nothing are accepted: {neutral}.

## Streams

The first event has the role, then come pieces of text, then a chunk with the finish reason, then, with
`stream_options: {{"include_usage": true}}`, one with the usage, then `data: [DONE]`. The response begins with the first
piece of the answer, or after `first_item_wait_s` without one: an error before that has its own status, an error after
it is an event in the stream, `data: {{"error": ...}}`. While nothing comes, for instance while proposers work, there is
a comment, `: keep-alive`, every `keep_alive_s`. A caller that hangs up ends all work for its request.

`usage` is the sum over all agents of a recipe. In the trace a count that was lost is null, not zero; the sum leaves it
out, and a reason then names the agent.

## The `moa` object

`"moa": {{"trace": true}}` in the request (`extra_body` in OpenAI's Python client) adds to the answer, or to the last
chunk of a stream, how it came about. Without it the object is there only if there are
reasons: the answer is degraded, or its usage not whole. A degraded answer that is not streamed has the header
`x-moa-degraded: true`, too.

```
"moa": {{
  "recipe": "moa-lite",
  "degraded": true,
  "reasons": ["..."],                one sentence for each
  "trace": [                         only where asked for
    {{"layer": 1, "agents": [
      {{"agent": 0, "role": "proposer", "model": "...", "outcome": "ok", "text": "...", "usage": {{...}},
       "started_ms": 0.4, "elapsed_ms": 64.2, "queue_ms": 0.0, "ttft_ms": 9.1, "total_ms": 61.0,
       "error": null, "hedged": false, "shortened": 0}}]}}]
}}
```

`started_ms` is after the request's start, `elapsed_ms` from there to the agent's end, both by the orchestrator's clock.
`queue_ms`, `ttft_ms` and `total_ms` are what the agent's engine measured of itself, null where it tells nothing or gave
no answer: `elapsed_ms` less `total_ms` is the way there and back. `outcome` is ok, empty, failed, timeout, straggler or
cancelled; `shortened` counts references that were cut to fit the model's context. What else a request may set of a
recipe is in [recipes.md](recipes.md).

## Settings

Under `api` in a profile:

| setting | default | meaning |
|---|---|---|
{settings}

This page is written by `python -m scripts.generate_docs`.
"""
TYPES = {"number": "number", "integer": "integer", "string": "string", "boolean": "boolean", "array": "list"}
BOUNDS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "minLength": "≥ {} characters",
    "maxLength": "≤ {} characters",
    "minItems": "≥ {} entries",
    "maxItems": "≤ {} entries",
}
BEYOND = 2**31 - 2  # larger bounds are those of the integer's width


def api_page() -> str:
    """Return docs/api.md."""
    schema = ChatBody.model_json_schema()
    neutral = [
        f"`{name}` ({', '.join(f'`{_json(value)}`' for value in values)})" if values else f"`{name}`"
        for name, values in NEUTRAL.items()
    ]
    return API_PAGE.format(
        fields="\n".join(_field(name, raw, schema["required"]) for name, raw in schema["properties"].items()),
        neutral=", ".join(neutral),
        settings="\n".join(
            f"| `{name}` | {_default(field.get_default(call_default_factory=True))} | {field.description} |"
            for name, field in ApiSettings.model_fields.items()
        ),
    )


def _field(name: str, raw: dict[str, Any], required: list[str]) -> str:
    kind = next((option for option in raw.get("anyOf", ()) if option.get("type") != "null"), raw)
    bounds = [
        text.format(kind[key])
        for key, text in BOUNDS.items()
        if key in kind and abs(kind[key]) < BEYOND and (key, kind[key]) not in (("minLength", 1), ("minItems", 1))
    ]
    default = "required" if name in required else _default(raw.get("default"))
    cells = (f"`{name}`", TYPES.get(kind.get("type", ""), "object"), ", ".join(bounds), default, raw["description"])
    return f"| {' | '.join(cells)} |"


def _default(value: object) -> str:
    return "" if value in (None, [], {}) else f"`{_json(value)}`"


def _json(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


ERRORS_PAGE = """# Errors

Every error has OpenAI's shape, on every path:

```json
{{
  "error": {{
    "message": "Set 'n' to at least 1, not 0.",
    "type": "invalid_request_error",
    "param": "n",
    "code": "invalid_request"
  }}
}}
```

`message` is one sentence that says what to change, `param` the field it is about (or null), `code` a word for
programs. The header `x-request-id` names the request in the server's log. A stream whose answer has begun cannot
change its status any more: there the same object comes as the last event before `data: [DONE]`, and OpenAI's clients
raise it as an `APIError`.

| status | code | type | when |
|---|---|---|---|
{rows}

This page is written by `python -m scripts.generate_docs`.
"""


def classes(parent: type[MoaError] = MoaError) -> list[type[MoaError]]:
    """Return all error classes, parents before children."""
    return [parent, *(cls for child in parent.__subclasses__() for cls in classes(child))]


def errors_page() -> str:
    """Return docs/errors.md."""
    rows = [
        f"| {cls.status} | `{cls.code}` | `{cls.type}` | {(cls.__doc__ or '').splitlines()[0]} |"
        for cls in sorted(classes(), key=lambda cls: cls.status)
        if cls.__module__ == MoaError.__module__
    ]
    return ERRORS_PAGE.format(rows="\n".join(rows))


def settings_table() -> str:
    """Settings of every recipe with defaults and meanings: a Markdown table for docs/recipes.md."""
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for name, field in Policy.model_fields.items():
        default = "the paper's text" if name == "prompt" else field.default
        rows.append(f"| `{name}` | {default} | {field.description} |")
    return "\n".join(rows)


def overrides_table() -> str:
    """Settings that a request may change, by strategy: a Markdown table for docs/recipes.md."""
    rows = ["| strategy | common settings | own settings |", "|---|---|---|"]
    for name, strategy in STRATEGIES.items():
        common, own = strategy.per_request & Recipe.per_request, strategy.per_request - Recipe.per_request
        listed = "all" if common == Recipe.per_request else _listed(common)
        rows.append(f"| `{name}` | {listed} | {_listed(own)} |")
    return "\n".join(rows)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) or "none"


def documents(root: Path = ROOT) -> dict[Path, str]:
    """Return the text that each generated document should have, by path."""
    recipes = root / "docs" / "recipes.md"
    text = recipes.read_text(encoding="utf-8")
    for table in (settings_table(), overrides_table()):
        text = _with_table(text, table)
    return {root / "docs" / "api.md": api_page(), root / "docs" / "errors.md": errors_page(), recipes: text}


def _with_table(text: str, table: str) -> str:
    """Replace the Markdown table in `text` that has the same header row as `table`."""
    header = re.escape(table.splitlines()[0])
    replaced, count = re.subn(rf"^{header}\n(?:\|.*\n)*", lambda _: f"{table}\n", text, flags=re.MULTILINE)
    if count != 1:
        raise ValueError(f"docs/recipes.md must have one table with the header row '{table.splitlines()[0]}'")
    return replaced


def main(arguments: list[str] | None = None) -> int:
    """Write or compare the documents; return 1 if `--check` finds one that is out of date."""
    parser = argparse.ArgumentParser(prog="python -m scripts.generate_docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a document is out of date")
    check = parser.parse_args(arguments).check
    stale = [path for path, text in documents().items() if path.read_text(encoding="utf-8") != text]
    for path in stale:
        print(f"{path.relative_to(ROOT)} is out of date" if check else f"wrote {path.relative_to(ROOT)}")
        if not check:
            path.write_text(documents()[path], encoding="utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())

"""Generator of documentation: `python -m scripts.generate_docs` writes it, `--check` only compares.

docs/api.md and docs/errors.md are generated as a whole, from the request schema and the error classes. In
docs/recipes.md three tables are generated: the settings of every recipe, the settings that a request may change, and
the strategies' support of tools.
"""

import argparse
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from serving.api.schemas.chat import ChatBody
from serving.api.schemas.chat_fields import NEUTRAL
from serving.api.settings import ApiSettings
from serving.errors import MoaError
from serving.recipes.base import Recipe
from serving.recipes.loading import STRATEGIES
from serving.runtime.policy import Policy

ROOT = Path(__file__).parents[1]

API_PAGE = """# The API

OpenAI's chat completions API, for every model and every recipe. Any OpenAI client works with `base_url` set to
`http://HOST:PORT/v1`.

| path | answer |
|---|---|
| `POST /v1/chat/completions` | a chat completion, streamed or whole |
| `GET /v1/models`, `/v1/models/ID` | models and recipes: id, `kind`, context in tokens (`max_model_len`) |
| `GET /health` | 200 while the process runs |
| `GET /ready` | 200 if every engine is warm and answers; else 503 with a reason for each engine that is not ready |
| `GET /version` | versions of the server and its libraries |
| `GET /console` | a web page that shows the team at work, without a key |
| `GET /docs`, `/openapi.json` | this API as a page and as OpenAPI 3.1, without a key and without the internet |

If `api_key` is set, all paths below `/v1` require the header `Authorization: Bearer KEY` or `x-api-key: KEY`. Every
response has the header `x-request-id`, which also appears in the server's log: the client's own value if that has at
most 128 letters, digits and `._:-`, otherwise a new one. Errors: [errors.md](errors.md).

HEAD is answered as GET without a body, OPTIONS with the methods of the path. Web pages of other origins may read the
answers in a browser if the setting `cors_origins` allows their origin. A page that sends a key shows it to everyone who
uses the page: allow `*` only on a server without a key, or whose users bring keys of their own.

## Fields

Every field is applied or refused by name; none is ignored. `null` means "not given", in nested objects, too. A key that
an object of the body has twice is refused.

| field | type | range | default | meaning |
|---|---|---|---|---|
{fields}

OpenAI's other fields are refused, except for values that ask for nothing: {neutral}.

## Tools

A model or recipe that supports tools may answer with tool calls: `message.tool_calls` has them, `message.content` is
null if there is no text, and `finish_reason` is `tool_calls`. The client runs them and sends the assistant's message
and one `tool` message per call back; `examples/tools.py` is such a client. `arguments` is the text that the model
wrote, which need not be valid JSON. A request with `tools` to a model that does not support them is refused.

| rule | else 400 with `param` |
|---|---|
| names have 1 to 64 letters, digits, `_` and `-`, and differ | `tools[0].function.name` |
| `parameters`: its `type` is `object` or absent | `tools[0].function.parameters.type` |
| `parameters`: `properties` is an object, `required` a list of strings | `tools[0].function.parameters.required` |
| `parameters` and `chat_template_kwargs` have at most 100 levels | `tools[0].function.parameters` |
| `tool_choice` other than `none` has `tools`, and names one of them | `tool_choice`, `tool_choice.function.name` |
| the `arguments` of a call in the history are a string | `messages[1].tool_calls[0].function.arguments` |
| a `tool` message has the id of a call of the assistant's message before it | `messages[2].tool_call_id` |

In a stream, the first piece of a call in `delta.tool_calls` has `index`, `id`, `type` and the function's `name`; later
pieces have `index` and more `arguments`.

## Thinking

Reasoning is returned apart from the text, as `reasoning_content` and, with the same value, as `reasoning`: in
`message` or, in a stream, in `delta`. `include_reasoning: false` leaves it out. It is counted in
`usage.completion_tokens` and in `usage.completion_tokens_details.reasoning_tokens`. A model that does not think accepts
`reasoning_effort: "none"` and `thinking_token_budget: 0`, and refuses other values. `chat_template_kwargs` may not
contain what the server sets, such as `chat_template` and `tools`.

Reasoning may be sent back in an assistant's message. The model's chat template decides if it is used.

## Streams

A stream consists of a chunk with the role, chunks with pieces of reasoning, of text and of tool calls, a chunk with the
finish reason, a chunk with the usage if `stream_options: {{"include_usage": true}}` is set, and `data: [DONE]`.

The response starts with the first piece of the answer, or after `first_item_wait_s` without one. An error before that
has its own HTTP status. An error after it is sent as an event in the stream: `data: {{"error": ...}}`. While there is
nothing to send, for instance while proposers run, a comment (`: keep-alive`) is sent every `keep_alive_s`. If the
client disconnects, all calls of its request are cancelled.

The `usage` of a recipe's answer is the sum over all its agents. An unknown token count is null in the trace and is left
out of the sum; a reason then names the agent.

## The `moa` object

`"moa": {{"trace": true}}` in the request (`extra_body` in OpenAI's Python client) adds a trace to the answer, or to the
last chunk of a stream. Without it, the `moa` object is present only if it has reasons: the answer is degraded, an agent
was replaced by another in its slot (`refill`), proposers voted on tool calls, references were reused, or a token count
is unknown. A degraded answer that is not streamed also has the header `x-moa-degraded: true`.

```
"moa": {{
  "recipe": "moa-lite",
  "degraded": true,
  "reasons": ["..."],                one sentence per degradation, refill, vote, unknown token count, reuse
  "trace": [                         only if requested
    {{"layer": 1, "agents": [
      {{"agent": 0, "role": "proposer", "model": "...", "outcome": "ok", "text": "...", "usage": {{...}},
       "started_ms": 0.4, "elapsed_ms": 64.2, "queue_ms": 0.0, "ttft_ms": 9.1, "total_ms": 61.0,
       "error": null, "hedged": false, "shortened": 0}}]}}]
}}
```

| field of an agent | meaning |
|---|---|
| `agent` | position in the layer; two entries with one position: the first failed, and another model took its slot |
| `outcome` | `ok`, `empty`, `failed`, `timeout`, `straggler` or `cancelled` |
| `started_ms` | start of the agent's call, counted from the start of the request |
| `elapsed_ms` | duration of the agent's call, measured by the orchestrator |
| `queue_ms`, `ttft_ms`, `total_ms` | times measured by the agent's engine; null if it reports none or gave no answer |
| `error` | reason for an `outcome` other than `ok` |
| `hedged` | true if the answer came from a second attempt |
| `shortened` | number of references that were cut to fit the model's context |
| `reasoning`, `tool_calls` | the agent's reasoning and tool calls (of a proposer: its draft); absent if it has none |

`elapsed_ms` minus `total_ms` is the time spent on the way to the engine and back. The settings of a recipe that a
request may override in the `moa` object are listed in [recipes.md](recipes.md).

### Events

`"moa": {{"events": true}}` adds the events of the run to a stream; `"events": "text"` also the proposals' text while it
is written. It needs a recipe and `stream: true`, and is refused otherwise. Events come in chunks with an empty `delta`,
as `"moa": {{"events": [{{"event": "agent_started", "at_ms": 0.4, ...}}]}}`; clients that do not know them see an empty
piece. They change no answer. A watched proposer is streamed, so that its call is not shared with an identical one, and
the response starts with the first event: an error after that is an event in the stream.

| event | fields beside `event` and `at_ms` (milliseconds after the start) |
|---|---|
| `run_started` | `recipe` |
| `layer_started` | `layer`, `agents` (their number), `needed` (usable proposals that are enough) |
| `agent_started` | `layer`, `agent`, `model`, `role`, `answers` (true: its text is the answer of the stream) |
| `agent_first_token` | `layer`, `agent`, `model`, `role` |
| `agent_text` | `layer`, `agent`, `text` or `reasoning` or both: a piece of a proposal; with `"events": "text"` only |
| `agent_retried` | `layer`, `agent`, `model`, `role`: its replica was lost, and the text so far is void |
| `agent_hedged` | `layer`, `agent`, `model`, `role`: a second attempt started |
| `agent_finished` | `layer`, the fields of an agent in the trace; `text` for proposals and `"events": "text"` only |
| `agent_refilled` | `layer`, `agent`, `role`, `model` (asked now), `replaces` |
| `layer_finished` | `layer`, `usable` (proposals), `stragglers` (agents that were cancelled) |
| `vote_ended` | `layer`, `outcome` (a sentence), `agreed` |
| `reason_added` | `reason`, `degrades` |

### Proposals as reasoning

`"moa": {{"show": "reasoning"}}` shows the proposals of a recipe as `reasoning_content` and `reasoning`, each under a
line with its model, role and layer, before the answer begins. Interfaces that fold reasoning away show the team so. A
stream has one proposal while it is written and the others as they end; a whole answer has all in its message. `usage`
does not count them as reasoning, and the trace keeps the final agent's own. `include_reasoning: false` with it is
refused. The default is `"show": "answer"`.

## The console

`GET /console` is a web page: a chat that shows each layer's agents while they write, then a waterfall of the trace, and
tokens and times beside those of one model. It is static and asks only its own server; `/v1` may require a key, which
the page keeps in the tab's session.

![The console on a phone while three scripted models write](images/console-phone.png)

## Settings

Set under `api` in a profile. Durations are in seconds.

| setting | default | meaning |
|---|---|---|
{settings}

Generated by `python -m scripts.generate_docs`.
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
        fields="\n".join(
            _field(name, raw, schema["required"]) for name, raw in schema["properties"].items() if name not in NEUTRAL
        ),
        neutral=", ".join(neutral),
        settings="\n".join(
            f"| `{name}` | {_default(field.get_default(call_default_factory=True))} | {field.description} |"
            for name, field in ApiSettings.model_fields.items()
        ),
    )


def _field(name: str, raw: dict[str, Any], required: list[str]) -> str:
    kind = [raw, *(option for option in raw.get("anyOf", ()) if option.get("type") != "null")][-1]
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

HAProxy, which stands in front of the server, answers 503 and 504 in the same shape. To a request that its parser cannot
read (a bad request line, headers over 16 KB) it answers 400 with an HTML page that no setting changes.

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


def tools_table() -> str:
    """Support of tools and of the team's settings, by strategy: a Markdown table for docs/recipes.md."""
    rows = [
        "| strategy | `tools` | who calls them | `advise` | `refill` | `below_quorum` |",
        "|---|---|---|---|---|---|",
    ]
    for name, strategy in STRATEGIES.items():
        modes = ", ".join(f"`{mode}`" for mode in strategy.tool_modes) or "refused"
        quorum = "`fail`, `answer`" if strategy.picks else "all"
        has = {setting: setting not in strategy.without_effect for setting in ("advise", "refill", "below_quorum")}
        cells = (
            f"`{name}`",
            modes,
            strategy.caller,
            "yes" if has["advise"] else "no",
            "yes" if has["refill"] else "no",
            quorum if has["below_quorum"] else "no",
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) or "none"


def documents(root: Path = ROOT) -> dict[Path, str]:
    """Return the text that each generated document should have, by path."""
    recipes = root / "docs" / "recipes.md"
    text = recipes.read_text(encoding="utf-8")
    for table in (settings_table(), overrides_table(), tools_table()):
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

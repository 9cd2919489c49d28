"""Generator of documentation: `python -m scripts.generate_docs` writes it, `--check` only compares.

docs/api.md, completions.md, responses.md, messages.md, embeddings.md and errors.md are generated as a whole, from the
request schemas and the error classes; docs/profiles.md from the classes of a profile; docs/degradation.md from the
sentences for callers; docs/clients.md from the list of tested clients and their lock files; docs/evaluation.md from the
dataset kinds and scorers; docs/reliability.md from the results of `make torture` that are committed. In docs/recipes.md
three tables are generated: the settings of every recipe, the settings that a request may change, and the strategies'
support of tools. In helm/moa/values.schema.json the `settings` are generated.
"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from scripts.api_page import API_PAGE
from scripts.chart_settings import SCHEMA, chart_schema
from scripts.clients_page import clients_page
from scripts.completions_page import COMPLETIONS_PAGE
from scripts.degradation_page import DEGRADATION_PAGE
from scripts.evaluation_page import evaluation_page
from scripts.messages_page import MESSAGES_PAGE
from scripts.pooling_page import POOLING_PAGE
from scripts.profiles_page import profiles_page
from scripts.reliability_page import reliability_page
from scripts.responses_page import RESPONSES_PAGE
from scripts.schema_tables import TYPES, bounds_of
from serving.api.image_settings import ImageSettings
from serving.api.schemas.chat import ChatBody
from serving.api.schemas.completions import CompletionsBody
from serving.api.schemas.embeddings import EmbeddingsBody
from serving.api.schemas.messages import CountTokensBody, MessagesBody
from serving.api.schemas.rerank import RerankBody
from serving.api.schemas.responses import ResponsesBody
from serving.api.schemas.tokens import TokenizeBody
from serving.api.schemas.wire import Wire
from serving.api.settings import ApiSettings
from serving.command_line import CommandLine
from serving.config import Frozen
from serving.errors import MoaError
from serving.grammars.limits import SchemaLimits
from serving.recipes.base import Recipe
from serving.recipes.loading import STRATEGIES
from serving.runtime import reasons
from serving.runtime.policy import Policy

ROOT = Path(__file__).parents[1]

KINDS = {"list[": "list", "dict[": "object", "bool": "boolean", "str": "string"}  # by Python's name


def api_page() -> str:
    """Return docs/api.md."""
    return API_PAGE.format(
        fields=fields_table(ChatBody),
        neutral=neutral_values(ChatBody),
        settings=_settings(ApiSettings),
        images=_settings(ImageSettings),
        schemas=_settings(SchemaLimits),
    )


def _settings(settings: type[Frozen]) -> str:
    """Rows of a table of settings. Of a group of settings no default is shown: it has a table of its own."""
    defaults = {name: field.get_default(call_default_factory=True) for name, field in settings.model_fields.items()}
    return "\n".join(
        f"| `{name}` | {'' if isinstance(defaults[name], Frozen) else _default(defaults[name])} | {field.description} |"
        for name, field in settings.model_fields.items()
    )


def responses_page() -> str:
    """Return docs/responses.md."""
    return RESPONSES_PAGE.format(fields=fields_table(ResponsesBody), neutral=neutral_values(ResponsesBody))


def messages_page() -> str:
    """Return docs/messages.md."""
    return MESSAGES_PAGE.format(
        fields=fields_table(MessagesBody),
        neutral=neutral_values(MessagesBody),
        counted=", ".join(f"`{name}`" for name in CountTokensBody.model_fields),
    )


def completions_page() -> str:
    """Return docs/completions.md."""
    rows = [
        f"| `{name}` | {_type_of(field.annotation)} | {_default(field.get_default())} | {field.description} |"
        for name, field in TokenizeBody.model_fields.items()
        if name != "model"
    ]
    return COMPLETIONS_PAGE.format(
        fields=fields_table(CompletionsBody), neutral=neutral_values(CompletionsBody), tokenize="\n".join(rows)
    )


def _type_of(annotation: object) -> str:
    """Name of a field's type in JSON."""
    text = str(annotation)
    return next((name for key, name in KINDS.items() if key in text), "object")


def pooling_page() -> str:
    """Return docs/embeddings.md."""
    return POOLING_PAGE.format(
        embedding_fields=fields_table(EmbeddingsBody),
        embedding_neutral=neutral_values(EmbeddingsBody),
        rerank_fields=fields_table(RerankBody),
        rerank_neutral=neutral_values(RerankBody),
    )


def fields_table(body: type[Wire]) -> str:
    """Rows of the table of a body's fields."""
    schema = body.model_json_schema()
    return "\n".join(
        _field(name, raw, schema["required"]) for name, raw in schema["properties"].items() if name not in body.neutral
    )


def neutral_values(body: type[Wire]) -> str:
    """Fields of a body that are not supported, with the values that are accepted."""
    return ", ".join(
        f"`{name}` ({', '.join(f'`{_json(value)}`' for value in values)})" if values else f"`{name}`"
        for name, values in body.neutral.items()
    )


def _field(name: str, raw: dict[str, Any], required: list[str]) -> str:
    kind = [raw, *(option for option in raw.get("anyOf", ()) if option.get("type") != "null")][-1]
    default = "required" if name in required else _default(raw.get("default"))
    # A mapping is an object in the words of JSON.
    named = TYPES.get(kind.get("type", ""), "object").replace("mapping", "object")
    cells = (f"`{name}`", named, bounds_of(kind), default, raw["description"])
    return f"| {' | '.join(cells)} |"


def _default(value: object) -> str:
    return "" if value in (None, [], {}) else f"`{_json(value)}`"


def _json(value: object) -> str:
    return value if isinstance(value, str) and value else orjson.dumps(value).decode()


ERRORS_PAGE = """# Errors

Every error has OpenAI's shape, on every path but `/v1/messages`, which has [Anthropic's](messages.md#answers):

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

HAProxy, which stands in front of the server, answers in the same shape: 400 `invalid_request` to a request line or a
header that cannot be read, such as an `x-session-id` that is not UTF-8 or is given twice, 431 `invalid_request` to
headers over 16 KB, 408 `body_timeout` to a request that does not arrive in time, 429 `overloaded` to too many
connections from one address, 503 `engine_unavailable` while no orchestrator can answer or the server recovers, 504
`deadline_exceeded`. These answers have no `x-request-id`.

If the server loses a process before an answer has begun, HAProxy sends the request to another orchestrator (see
[operations](operations.md#lost-processes)). A streamed answer that has begun ends with the connection instead, without
its last chunk: HTTP clients raise that as an error ("incomplete chunked read" in Python), and an answer without
`data: [DONE]` is not complete.

| status | code | type | when |
|---|---|---|---|
{rows}

## Failures of models

Whatever an engine or an external endpoint does is a failure of that model and of nothing else: a recipe goes on without
it, asks a fallback or answers degraded, and a single model's request ends with `engine_failed` or a more precise code.

Messages, the `reasons` and the trace of an answer are in the server's own words. The text of another program's
exception is in none of them: it could hold a key, a path or another caller's data. A message then has the exception's
type, and the log of the server or of the replica has its text and traceback. Keys that the server knows,
`authorization` headers, bearer tokens and passwords in URLs are replaced by `[redacted]` there. An endpoint's own
message is passed on only if it refused the caller's request (400, 413, 422), without secrets and in one line; the log
has the others.

| an external endpoint | the call ends with |
|---|---|
| cannot be reached, or answers 503 (its `retry-after` is passed on) | `engine_unavailable` |
| answers 429 (`retry-after` in seconds or as a date, 0.1 s to an hour; 1 s if it is neither) | `overloaded` |
| answers 400, 413 or 422 | `invalid_request`, or `context_length_exceeded` with its numbers |
| answers another status, a redirect or a web page, refuses the key | `engine_failed` |
| sends `event: error`, an error object, a field of a wrong type, or JSON that cannot be read | `engine_failed` |
| sends an event longer than `max_event_bytes`, or an answer longer than `max_answer_bytes` | `engine_failed` |
| sends more choices than were asked for | `engine_failed` |
| breaks the connection or ends the stream early | `engine_failed`, `incomplete_generation` |
| is silent for `silence_timeout_s` | `deadline_exceeded` |
| ends every choice, but sends no `[DONE]`, no usage or an error after it | the answer |
| answers in one JSON object instead of a stream | the answer |
| gives a finish reason of its own | the answer: `length` or `content_filter` if the word means that, else `stop` |
| ends a text for tool calls, but sends none | the answer with `stop`; without a text `engine_failed` |
| gives token counts that are negative or no integers | the answer, with unknown counts |

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


def degradation_page() -> str:
    """Return docs/degradation.md."""
    found = [one for one in vars(reasons).values() if isinstance(one, reasons.Reason)]
    rows = [f"| {one.text} | {one.when} | {'yes' if one.degrades else 'no'} |" for one in found]
    return DEGRADATION_PAGE.format(reasons="\n".join(rows))


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
    docs = root / "docs"
    return {
        docs / "api.md": api_page(),
        docs / "completions.md": completions_page(),
        docs / "responses.md": responses_page(),
        docs / "messages.md": messages_page(),
        docs / "embeddings.md": pooling_page(),
        docs / "errors.md": errors_page(),
        docs / "degradation.md": degradation_page(),
        docs / "clients.md": clients_page(),
        docs / "evaluation.md": evaluation_page(root),
        docs / "reliability.md": reliability_page(root),
        docs / "profiles.md": profiles_page(),
        recipes: text,
        root / SCHEMA: chart_schema(root),
    }


def _with_table(text: str, table: str) -> str:
    """Replace the Markdown table in `text` that has the same header row as `table`."""
    header = re.escape(table.splitlines()[0])
    replaced, count = re.subn(rf"^{header}\n(?:\|.*\n)*", lambda _: f"{table}\n", text, flags=re.MULTILINE)
    if count != 1:
        raise ValueError(f"docs/recipes.md must have one table with the header row '{table.splitlines()[0]}'")
    return replaced


def main(arguments: list[str] | None = None) -> int:
    """Write or compare the documents; return 1 if `--check` finds one that is out of date."""
    parser = CommandLine(prog="python -m scripts.generate_docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a document is out of date")
    check = parser.parse_args(arguments).check
    stale = [path for path, text in documents().items() if not path.is_file() or path.read_text("utf-8") != text]
    for path in stale:
        print(f"{path.relative_to(ROOT)} is out of date" if check else f"wrote {path.relative_to(ROOT)}")
        if not check:
            path.write_text(documents()[path], encoding="utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())

"""docs/reliability.md: the text, and tables made of the committed results of `make torture`."""

import ast
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from loadtest.torture.results import PartResult, parsed, summary

ROOT = Path(__file__).parents[1]
MEASURED = ROOT / "loadtest" / "torture" / "measured.json"
CVE_TESTS = "tests/unit/**/test_cve_*.py"

PAGE = """# Reliability

No input, neighbour, upstream or fault costs more than itself. This page says what is promised, how it is tested, and
what was measured.

## Measure

```
make torture                                  # all parts; those with Ray start servers of scripted models
make torture ARGS="hangups abuse"             # two parts; the others keep their last result
make torture ARGS="--resume"                  # the parts that have no result yet
make torture ARGS="fuzzers --fuzz-s 3600"     # an hour of each fuzzer
make torture ARGS="--show"                    # the report again, without measuring
```

The command prints the table and writes `build/torture.html`, one row for each promise with its figure, its limit, the
verdict and the command that repeats it. The exit code is 1 if a row is red. `make test-torture`, a part of `make test`,
asserts the same promises by counts instead of times. New figures come here by
`make torture ARGS="--show --record loadtest/torture/measured.json"` and `python -m scripts.generate_docs`.

Fuzzing by coverage needs `atheris`, which `make install` leaves out: `.venv/bin/pip install -r requirements/fuzz.txt`.

## Promises

| promise | how it is tested |
|---|---|
{promises}

## Measured

{summary} Times depend on the machine and on what else runs there; {machines}.

{measured}

## Classes of vulnerabilities

Published classes of vLLM, Ray and LiteLLM, each with the tests that hold it here. Every test is named after what must
not happen.

| class | tests |
|---|---|
{classes}

## Not promised

- On one node, Ray's GCS and the raylet are single processes. Without Redis, which the chart has, the server answers
  for about 60 s after the GCS has died, then refuses with 503 and ends; requests in progress at that moment are lost.
  If the raylet dies, the server ends; on Kubernetes another pod takes its place.
- A stream that has begun cannot move to another process. If its process dies, the stream ends with an error event or a
  broken connection, never as if the answer were complete.
- Scripted engines stand for models in the report. They have no tokenizer, no grammar and no GPU: what these cost is
  tested in `tests/unit/deployments/model`, `tests/tokenizers` and `tests/e2e`.

This page is written by `python -m scripts.generate_docs`.
"""

# Promise, and the tests or parts of the report that hold it. Paths are checked by tests/unit/docs/test_reliability.py.
PROMISES: Sequence[tuple[str, str]] = (
    (
        "A caller who hangs up ends all work of the engines within 1 s, in every phase of an answer.",
        "part `hangups`; `tests/torture/test_hangups.py`",
    ),
    (
        "A fault of an upstream server costs the call that met it: the request ends in an answer, a declared"
        " degradation or a typed error.",
        "part `upstreams`; `tests/torture/test_upstreams.py`",
    ),
    ("A slow proposer costs the grace of its layer, and is declared.", "part `delays`"),
    (
        "Hedging costs at most `hedge_share` more calls, retries at most `retry_share` and a burst: a cluster that"
        " fails as a whole is asked at most 1.2 times as often.",
        "parts `delays` and `retries`; `tests/unit/serving/runtime/test_hedging.py`",
    ),
    (
        "Beyond its limit the server refuses at once with 429 and `retry-after`, answers as many as it can, and"
        " recovers when the load ends.",
        "part `overload`; `tests/torture/test_load.py`",
    ),
    (
        "An abusive body is refused with a 4xx status within a second, leaves no memory behind, and costs a"
        " neighbour nothing.",
        "part `abuse`; `tests/torture/test_abuse.py`, `tests/unit/serving/test_json_structure.py`",
    ),
    (
        "A schema costs its own caller only, or is refused with 400 and its path: limits, keywords that no grammar"
        " holds, a deadline for compiling, an end at hang-up.",
        "`tests/unit/serving/grammars`, `tests/unit/deployments/model/test_grammar_compiler.py`,"
        " `tests/e2e/test_schemas.py`",
    ),
    (
        "A prompt that cannot fit costs milliseconds, and tokenizing for nobody ends.",
        "`tests/unit/deployments/model/test_prompt_worker.py`, `tests/tokenizers/test_long_texts.py`",
    ),
    (
        "No text becomes a control token, clean texts have the chat template's own ids, and the search is linear.",
        "`tests/tokenizers/test_clean_texts.py`, `tests/tokenizers/test_fuzzing.py`",
    ),
    (
        "No key and no text of another program's exception reaches a caller or a log.",
        "`tests/unit/serving/test_failures.py`, `tests/unit/serving/test_redaction.py`",
    ),
    (
        "No key overtakes or starves another: beside a flood a key's requests come next.",
        "`tests/unit/serving/runtime/test_fair_queue.py`, `tests/e2e/test_tenants.py`",
    ),
    (
        "Proposals in hand when the time ends become an answer, and an empty answer is an answer.",
        "`tests/unit/serving/recipes/test_deadlines.py`, `tests/unit/serving/runtime/test_emptiness.py`",
    ),
    (
        "Every sampling value means what it says, or is refused by name; the bytes of tokens are the real ones.",
        "`tests/unit/deployments/model/test_sampling_values.py`, `tests/unit/deployments/model/test_token_bytes.py`",
    ),
    (
        "A degraded answer says so in words, without texts of errors.",
        "`tests/unit/serving/runtime/test_reasons.py`",
    ),
    (
        "No half-open request lives for ever, and HAProxy's own errors are JSON.",
        "`tests/unit/deployments/cluster/haproxy/test_program.py`",
    ),
    (
        "A request without an answer is asked again once, HAProxy is back at once, the loss of the controller is not"
        " seen, and the terminal has one line for each lost process.",
        "`tests/serve/test_faults.py`",
    ),
    ("Memory does not grow with the number of requests.", "part `memory`; `tests/torture/test_load.py`"),
    ("Neither times nor counts tell a tenant what another one asks.", "part `tenants`"),
    ("No input breaks a parser.", "part `fuzzers`; `tests/torture/test_fuzzers.py`"),
    ("SIGTERM ends the server after the answers in progress.", "part `termination`; `tests/torture/test_load.py`"),
    ("Only the ports that were asked for are open.", "part `ports`"),
    (
        "The death of a process loses no answer that is not streamed; a stream ends with its answer or an explicit"
        " error.",
        "parts `deaths` and `gcs`",
    ),
    (
        "A node that is drained cuts no stream and loses no request, also of those through its own HAProxy; a node that"
        " dies loses no answer that is not streamed.",
        "`tests/serve/test_drain.py`, with figures in [operations.md](operations.md#spot-nodes)",
    ),
    (
        "No image is fetched from an address inside, however it is written or mapped.",
        "`tests/unit/serving/api/test_cve_fetching.py`, `tests/unit/serving/api/test_image_fetcher.py`",
    ),
)


def reliability_page(root: Path = ROOT) -> str:
    """Return docs/reliability.md."""
    file = root / MEASURED.relative_to(ROOT)
    results = [parsed(raw) for raw in json.loads(file.read_text("utf-8"))]
    return PAGE.format(
        promises="\n".join(f"| {promise} | {how} |" for promise, how in PROMISES),
        summary=summary(results),
        machines=_machines(results),
        measured="\n\n".join(map(_part, results)),
        classes="\n".join(_classes(root)),
    )


def _machines(results: Iterable[PartResult]) -> str:
    """The machines, without the load before each part."""
    names = dict.fromkeys(result.machine.partition("; load before")[0] for result in results)
    return "measured on " + " and ".join(names)


def _part(result: PartResult) -> str:
    rows = [
        f"| {_cell(row.promise)} | {_cell(row.measured)} | {_cell(row.limit)} | {row.verdict} |" for row in result.rows
    ]
    head = ["| promise | measured | limit | verdict |", "|---|---|---|---|"]
    short = ", the short run" if result.short else ""
    return "\n".join(
        [f"### {result.title}", "", f"`{result.command}` ({result.seconds:.0f} s{short})", "", *head, *rows]
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _classes(root: Path) -> Iterable[str]:
    """One row per file of tests: its docstring, and its path."""
    for file in sorted(root.glob(CVE_TESTS)):
        docstring = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
        yield f"| {_cell(' '.join(docstring.split()))} | `{file.relative_to(root)}` |"

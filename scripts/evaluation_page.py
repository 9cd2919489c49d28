"""Text of docs/evaluation.md: dataset kinds and scorers, printed from their classes and modules."""

import inspect
from pathlib import Path

import orjson

from evaluation.criteria import CRITERIA
from evaluation.datasets.base import DatasetRow
from evaluation.datasets.files import SUFFIXES
from evaluation.datasets.kinds import CLASSES
from evaluation.datasets.loading import NAMED
from evaluation.scoring import SCORERS

OWN = "examples/own_dataset.py"

PAGE = """# Datasets and scorers of the evaluation

`python -m evaluation run --dataset ...` reads a file of questions, checks every row before the first request, sends the
questions and scores the answers. [quality.md](quality.md) has the commands, arms, judges and results.

```bash
python -m evaluation run --dataset hotpot_dev.json --scorer f1 --recipes moa-lite,tiny-qwen --out build/hotpot
python -m evaluation run --dataset mine.csv --kind qa --recipes moa-lite,tiny-qwen --out build/mine
```

| `--dataset` | reads |
|---|---|
| {named} | held-out questions of the embedded trio |
| `PATH` | a file, whose kind is that of `--kind`, or is recognized |
| `KIND=PATH` | a file of this kind; `--dataset` is repeatable, and the files may have several kinds |

## Files

A file is one of {suffixes}, and each may be compressed as `.gz`.
`.jsonl` has one JSON object per line, `.json` the same or one array of objects. `.csv` and `.tsv` have a header line; a
cell may hold a list, as JSON or as Python writes it, and an empty cell is a missing value. Texts are UTF-8, with or
without a byte order mark. Other formats are refused by name.

A wrong file or row ends the command with one sentence that has the file, line and field:

```
error: mmlu.jsonl:17: 'answer' is 'BC', which is none of the letters A to D, no index and no choice.
```

## Kinds

A kind says which fields a row has, what the model is asked, and how the answer is scored. A file without `--kind` is
recognized by its fields if they leave no doubt: if the first row fits several kinds, the other rows decide, and if all
rows fit several, the command names the kinds and asks for `--kind`. `qa`, `gsm8k` and `tiny` share their fields with
others. They are recognized only in files without further fields, `gsm8k` by its numbers, `tiny` by having exactly its
four fields.

Fields that a kind does not use, and rows that the dataset itself marks as unusable, are printed before the run. The
kind is one of the settings of a run: a run is not resumed with another.

| kind | fields | scored by |
|---|---|---|
{table}

{kinds}

## Scorers

`--scorer NAME` replaces the scorer of a file's kind. A scorer extracts an answer from the text and compares it with the
right answer; of several accepted answers the best counts.

| scorer | |
|---|---|
{scorers}

`exact`, `contains` and `f1` compare as SQuAD's evaluation does: without case, punctuation and the articles a, an and
the. Unlike SQuAD's script they drop accents, and keep what makes a number or a name another one: signs, decimal points,
C++. `exact` asks for the answer alone, `contains` for the answer anywhere in the text, which a text that lists many
candidates passes, too. `f1` gives a share of a point per shared word, and none where only one of the two is "yes" or
"no".

`table` and `report` take `--scorer`, too: they score the stored answers again. So one run gives both EM and F1:

```bash
python -m evaluation table build/hotpot --scorer exact
python -m evaluation table build/hotpot --scorer f1
```

Answers that were scored by running their program keep that score: no other scorer can read a right answer that is a
program.

### Programs

The scorer `code`, of `humaneval` and `mbpp`, runs the programs that the models write. `run` therefore refuses such
questions unless `--run-programs` is given. With one answer per question the accuracy is pass@1, and with `--samples`
its mean over the samples.

```bash
python -m evaluation run --dataset humaneval=HumanEval.jsonl.gz --run-programs --recipes moa,moa-lite --out build/code
```

The code is taken from the answer's last fenced block that defines a function or a class, or from the lines of code in
an answer without a block. For `humaneval`, code that defines the function at its top level replaces it, and any other
code is its body. Each program runs in a process of its own: with an empty environment, in an empty folder
that is then removed, for at most `--program-timeout` seconds (10), with `--program-memory-mb` of memory (1024), 16 MiB
a file and 64 open files, as another user where the command runs as root, and without a network where the kernel lets
unprivileged processes make network namespaces. Elsewhere only Python's own calls of the network are refused. A program
can read files that everybody may read: run the command in a container if you do not trust the models. At most one
program per CPU runs at a time.

A program that is too slow, takes too much memory, or ends the process itself counts as wrong. The limits are one of
the settings of a run.

### Ratings by criterion

`judge --grade` rates an answer as a whole from 1 to 10, and answers to `flask` from 1 to 5 by each of the skills that
the question lists. The report has the mean of each skill over the questions that list it; "N/A" counts for none.

| skill | |
|---|---|
{criteria}

## Own kinds and scorers

A kind of your own is a subclass of `DatasetRow`, named as `module:Class` wherever a kind is. Its fields are checked by
their types; `item` returns the question. A scorer of your own is a class with the methods `extract` and `same`, whose
result is from 0 to 1, named as `module:Class` by an item, in a row's field `scorer` or with `--scorer`. Modules are
imported from the directory in which the command runs, and run on your machine: use modules that you trust. If a scorer
raises, `SystemExit` included, that answer fails with its error. `{own}`:

```python
{source}```

Its rows look like this:

```json
{{"question": "How high is Mont Blanc?", "value": 4806, "unit": "metres"}}
```

To add a kind to the project, write such a class in `evaluation/datasets/` with an `example`, add it to `CLASSES` in
`evaluation/datasets/kinds.py` and a published row to `tests/support/dataset_rows.py`, and generate this page. The
tests ask for an example that is recognized, and for a description of every field.

This page is written by `python -m scripts.generate_docs`.
"""


def evaluation_page(root: Path) -> str:
    """Return docs/evaluation.md."""
    return PAGE.format(
        named=", ".join(f"`{name}`" for name in NAMED),
        suffixes=", ".join(f"`{suffix}`" for suffix in SUFFIXES),
        table="\n".join(_row(kind) for kind in CLASSES),
        kinds="\n\n".join(_section(kind) for kind in CLASSES),
        scorers="\n".join(f"| `{name}` | {_scorer(scorer)} |" for name, scorer in SCORERS.items()),
        criteria="\n".join(f"| {name} | {text} |" for name, text in CRITERIA.items()),
        own=OWN,
        source=(root / OWN).read_text(encoding="utf-8"),
    )


def _row(kind: type[DatasetRow]) -> str:
    fields = ", ".join(name for name in kind.model_fields)
    return f"| [`{kind.kind}`](#{kind.kind}) | {fields} | {_scored_by(kind)} |"


def _section(kind: type[DatasetRow]) -> str:
    lines = [f"### `{kind.kind}`", "", *_paragraphs(kind), "| field | | meaning |", "|---|---|---|"]
    for name, field in kind.model_fields.items():
        lines.append(f"| `{name}` | {'required' if field.is_required() else ''} | {field.description} |")
    lines += ["", "```json", orjson.dumps(kind.example).decode(), "```"]
    return "\n".join(lines)


def _paragraphs(kind: type[DatasetRow]) -> list[str]:
    paragraphs = [" ".join(part.split()) for part in (inspect.getdoc(kind) or "").split("\n\n")]
    paragraphs[-1] += f" Scored by {_scored_by(kind)}."
    return [line for paragraph in paragraphs for line in (paragraph, "")]


def _scored_by(kind: type[DatasetRow]) -> str:
    return f"`{kind.scored_by}`" if kind.scored_by in SCORERS else kind.scored_by


def _scorer(scorer: object) -> str:
    """Return the first sentence of the module's docstring, without "Scorer of"."""
    text = " ".join((inspect.getdoc(scorer) or "").split("\n\n")[0].split())
    text = text.removeprefix("Scorer of ").rstrip(".")
    return text[0].upper() + text[1:]

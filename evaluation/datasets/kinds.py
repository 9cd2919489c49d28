"""The dataset kinds, and the choice of a file's kind: by name, or by fields that leave no doubt."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluation.datasets.alpaca_eval import AlpacaEval
from evaluation.datasets.arc import Arc
from evaluation.datasets.base import DatasetRow
from evaluation.datasets.crag import Crag
from evaluation.datasets.crux import Crux
from evaluation.datasets.flask import Flask
from evaluation.datasets.gsm8k import Gsm8k
from evaluation.datasets.hotpotqa import HotpotQa
from evaluation.datasets.humaneval import HumanEval
from evaluation.datasets.math import Math
from evaluation.datasets.mbpp import Mbpp
from evaluation.datasets.mmlu import Mmlu
from evaluation.datasets.mmlu_pro import MmluPro
from evaluation.datasets.mmlu_redux import MmluRedux
from evaluation.datasets.mt_bench import MtBench
from evaluation.datasets.passages import Passages
from evaluation.datasets.qa import Qa
from evaluation.datasets.tiny import Tiny
from evaluation.datasets.tools import ToolRow
from evaluation.datasets.triviaqa import TriviaQa
from evaluation.datasets.twowiki import TwoWiki
from evaluation.errors import EvaluationError
from evaluation.imports import imported
from serving.suggestions import did_you_mean
from serving.validation import abbreviated

SHOWN_FIELDS = 20  # of a file whose kind is not known, in the error
Kind = type[DatasetRow]
CLASSES: tuple[Kind, ...] = (
    Qa, Gsm8k, Math, Mmlu, MmluPro, MmluRedux, Arc, HotpotQa, TwoWiki, TriviaQa, Passages, Crag, Crux, HumanEval, Mbpp,
    AlpacaEval, MtBench, Flask, Tiny, ToolRow,
)  # fmt: skip
KINDS: Mapping[str, Kind] = {kind.kind: kind for kind in CLASSES}


def kind_named(name: str) -> Kind:
    """Return the kind of this name: one of `KINDS`, or the class `module:Class`.

    Raises:
        EvaluationError: There is none, it cannot be imported, or it is not a subclass of `DatasetRow` with `item`.
    """
    if ":" not in name:
        if name not in KINDS:
            known = ", ".join(KINDS)
            raise EvaluationError(
                f"Unknown dataset kind '{name}': {did_you_mean(name, KINDS)}The kinds are: {known}, or write"
                " 'module:Class'."
            )
        return KINDS[name]
    try:
        found = imported(name)
    except ImportError as error:
        raise EvaluationError(f"The dataset kind '{name}' cannot be imported: {error}.") from error
    if not (isinstance(found, type) and issubclass(found, DatasetRow)):
        raise EvaluationError(f"The dataset kind '{name}' is not a subclass of evaluation.datasets.base.DatasetRow.")
    if found.item is DatasetRow.item:
        raise EvaluationError(f"The dataset kind '{name}' lacks the method 'item'.")
    return found


def recognized(path: Path, rows: Sequence[tuple[int, Mapping[str, Any]]]) -> Kind:
    """Return the kind that the rows' fields show without doubt.

    Raises:
        EvaluationError: No kind or several kinds fit.
    """
    _, first = rows[0]
    fitting = [kind for kind in CLASSES if kind.recognizes(first)]
    if len(fitting) > 1:
        fitting = [kind for kind in fitting if all(kind.recognizes(row) for _, row in rows)] or fitting
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = " and ".join(kind.kind for kind in fitting)
        raise EvaluationError(f"The rows of '{path}' fit the kinds {names}; choose one with '--kind'.")
    fields = ", ".join(abbreviated(str(name)) for name in sorted(first, key=str)[:SHOWN_FIELDS]) or "none"
    raise EvaluationError(
        f"Cannot tell the kind of '{path}' from its fields: {fields}."
        f" Choose one with '--kind': {', '.join(KINDS)}, or 'module:Class'; docs/evaluation.md lists their fields."
    )

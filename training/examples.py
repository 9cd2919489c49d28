"""Training examples of the selected turns and pairs, by model."""

from collections.abc import Iterable, Mapping

from training.example import Example, PairExample
from training.prompts import ModelText
from training.trajectory import Turn
from training.tree import Pair


def examples(turns: Iterable[Turn], texts: Mapping[str, ModelText], max_tokens: int) -> dict[str, list[Example]]:
    """Examples of each model in `texts`, each once; without those longer than `max_tokens`: a cut text has no end."""
    found: dict[str, dict[Example, None]] = {model: {} for model in texts}
    for turn in turns:
        if (text := texts.get(turn.model)) is not None:
            example = Example(_prompt(turn, text), tuple(text.answer_ids(turn.text)))
            if len(example.prompt) + len(example.completion) <= max_tokens:
                found[turn.model][example] = None
    return {model: list(rows) for model, rows in found.items() if rows}


def pair_examples(
    pairs: Iterable[Pair], texts: Mapping[str, ModelText], max_tokens: int
) -> dict[str, list[PairExample]]:
    """Examples of each model in `texts`; those longer than `max_tokens` are left out."""
    found: dict[str, list[PairExample]] = {model: [] for model in texts}
    for pair in pairs:
        if (text := texts.get(pair.chosen.model)) is not None:
            chosen, rejected = (tuple(text.answer_ids(one.text)) for one in (pair.chosen, pair.rejected))
            example = PairExample(_prompt(pair.chosen, text), chosen, rejected)
            if len(example.prompt) + max(len(chosen), len(rejected)) <= max_tokens:
                found[pair.chosen.model].append(example)
    return {model: rows for model, rows in found.items() if rows}


def _prompt(turn: Turn, text: ModelText) -> tuple[int, ...]:
    return tuple(text.prompt_ids(turn.prompt, turn.template_args))

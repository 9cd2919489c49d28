"""Similarity of final answers to the proposals behind them (arXiv 2406.04692).

For each answer: the similarity of its text to each proposal that the aggregator saw, and the rank correlation of that
similarity with the proposals' quality. A positive correlation means that the aggregator follows the better proposals.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from rapidfuzz.distance import Levenshtein
from sacrebleu.metrics.bleu import BLEU
from scipy.stats import rankdata
from sklearn.feature_extraction.text import TfidfVectorizer

from evaluation.analysis.teams import agent_score, by_arm, references
from evaluation.rows import Row
from evaluation.scoring import RIGHT

METRICS = ("bleu", "tfidf", "levenshtein")
_TOKEN = r"(?u)\b\w+\b"  # includes one-letter words and digits, since short answers consist of them


@dataclass(frozen=True, slots=True)
class Similarity:
    """One metric over an arm's answers; similarities lie in [0, 1]."""

    arm: str
    metric: str
    answers: int
    to_right: float | None  # mean similarity of final answers to right proposals
    to_wrong: float | None
    correlation: float | None  # mean Spearman correlation of similarity and quality, over `ranked` answers
    ranked: int  # answers whose proposals differ in both quality and similarity


def similarities(rows: Sequence[Row]) -> list[Similarity]:
    """Return one entry per arm with scored proposals and metric of `METRICS`."""
    scored = [row for row in rows if row.done and row.scorer is not None and references(row)]
    if not scored:
        return []
    texts = {row.key: [row.text, *(agent.text for agent in references(row))] for row in scored}
    # One vocabulary for all answers; the additional word keeps it from being empty.
    every = [text for group in texts.values() for text in group]
    vectors = TfidfVectorizer(token_pattern=_TOKEN).fit([*every, "answer"]).transform(every)
    ends = np.cumsum([len(group) for group in texts.values()])
    parts = {key: vectors[end - len(group) : end] for (key, group), end in zip(texts.items(), ends, strict=True)}
    bleu = BLEU(effective_order=True)
    table = []
    for arm, own in by_arm(scored).items():
        values: dict[str, list[tuple[list[float], list[float]]]] = {metric: [] for metric in METRICS}
        for row in own:
            known = [(place, agent_score(row, agent)) for place, agent in enumerate(references(row))]
            places = [place for place, score in known if score is not None]
            quality = [score for _, score in known if score is not None]
            seen = [references(row)[place].text for place in places]
            own_vectors = parts[row.key]
            cosines = (own_vectors[1:] @ own_vectors[0].T).toarray().ravel()
            values["bleu"].append(([bleu.sentence_score(row.text, [text]).score / 100 for text in seen], quality))
            values["tfidf"].append((cosines[places].tolist(), quality))
            values["levenshtein"].append(
                ([float(Levenshtein.normalized_similarity(row.text, text)) for text in seen], quality)
            )
        table += [_summary(arm, metric, of_metric) for metric, of_metric in values.items()]
    return table


def _summary(arm: str, metric: str, answers: Sequence[tuple[list[float], list[float]]]) -> Similarity:
    flat = [pair for similar, quality in answers for pair in zip(similar, quality, strict=True)]
    right = [similar for similar, quality in flat if quality >= RIGHT]
    wrong = [similar for similar, quality in flat if quality < RIGHT]
    ranks = [rank for similar, quality in answers if (rank := rank_correlation(similar, quality)) is not None]
    return Similarity(
        arm=arm,
        metric=metric,
        answers=len(answers),
        to_right=fmean(right) if right else None,
        to_wrong=fmean(wrong) if wrong else None,
        correlation=fmean(ranks) if ranks else None,
        ranked=len(ranks),
    )


def rank_correlation(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation; `None` if one side is constant."""
    if len(set(left)) < 2 or len(set(right)) < 2:
        return None
    return float(np.corrcoef(rankdata(left), rankdata(right))[0, 1])

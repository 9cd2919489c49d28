"""Router for the `auto` recipe, fitted to the answers of a run: the cheapest arm that answers a question right.

The router is a linear classifier over words, read by `serving.recipes.strategies.auto.Classifier`: a decision takes
microseconds in the server and needs no library there. RouteLLM (arXiv 2406.18665) learns the same choice from
preferences.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from evaluation.errors import EvaluationError
from evaluation.rows import Row

FOLDS = 5


@dataclass(frozen=True, slots=True)
class Router:
    """A fitted router; `accuracy`, `tokens` and `shares` are measured on held-out folds."""

    model: dict[str, object]
    questions: int
    accuracy: float  # of the routed answers, in [0, 1]
    tokens: float  # mean of the routed answers
    best_single: tuple[str, float]  # the most accurate arm, and its accuracy
    shares: dict[str, float]  # of the questions routed to each arm

    def save(self, path: Path) -> None:
        """Write the file that a recipe names as `classifier`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.model, indent=1, sort_keys=True) + "\n")

    def __str__(self) -> str:
        name, best = self.best_single
        shares = ", ".join(
            f"{arm} {share:.0%}" for arm, share in sorted(self.shares.items(), key=lambda item: -item[1])
        )
        return (
            f"{self.questions} questions, held out in {FOLDS} folds: routed {self.accuracy:.1%} at"
            f" {self.tokens:.0f} tokens an answer; best single arm {name} {best:.1%}. Routes: {shares}."
        )


def train(rows: Sequence[Row], arms: Sequence[str], seed: int = 0) -> Router:
    """Learn from answers of `arms` (default: all) to one-turn questions.

    A question's label is, of the arms with its best score, the one with the fewest tokens. Answers without a score, or
    whose tokens are unknown, are left out.

    Raises:
        EvaluationError: fewer than two arms, or too few questions that all of them answered.
    """
    wanted = [*arms] or sorted({row.arm for row in rows})
    scores: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        usable = row.done and row.score is not None and row.tokens is not None and len(row.questions) == 1
        if row.arm in wanted and usable:
            scores.setdefault(row.questions[0], {}).setdefault(row.arm, []).append(row)
    asked = {question: by_arm for question, by_arm in scores.items() if len(by_arm) == len(wanted)}
    mean_tokens = {
        arm: fmean(row.tokens or 0 for by_arm in asked.values() for row in by_arm[arm]) if asked else 0.0
        for arm in wanted
    }

    def score(question: str, arm: str) -> float:
        return fmean(row.score or 0.0 for row in asked[question][arm])

    questions = sorted(asked)
    labels = [min(wanted, key=lambda arm, q=question: (-score(q, arm), mean_tokens[arm])) for question in questions]  # type: ignore[misc]
    counts = {label: labels.count(label) for label in set(labels)}
    rare = {label for label, count in counts.items() if count < FOLDS}
    kept = [(question, label) for question, label in zip(questions, labels, strict=True) if label not in rare]
    if len(wanted) < 2 or len({label for _, label in kept}) < 2:
        raise EvaluationError(
            f"A router needs at least two arms that are each best for {FOLDS} questions; found"
            f" {len(questions)} questions with a score and a known number of tokens of all of"
            f" {', '.join(wanted) or 'no arm'}."
        )
    texts, classes = [question for question, _ in kept], [label for _, label in kept]
    vectorizer = TfidfVectorizer(sublinear_tf=True)
    features = vectorizer.fit_transform(texts)
    classifier = LogisticRegression(C=10.0, max_iter=1000, random_state=seed)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    routed = cross_val_predict(classifier, features, classes, cv=folds)
    classifier.fit(features, classes)
    accuracies = {arm: fmean(score(question, arm) for question in texts) for arm in wanted}
    best = max(accuracies, key=lambda arm: accuracies[arm])
    return Router(
        model=_exported(vectorizer, classifier),
        questions=len(texts),
        accuracy=fmean(score(question, arm) for question, arm in zip(texts, routed, strict=True)),
        tokens=fmean(
            fmean(row.tokens or 0.0 for row in asked[question][arm])
            for question, arm in zip(texts, routed, strict=True)
        ),
        best_single=(best, accuracies[best]),
        shares={arm: float((routed == arm).mean()) for arm in wanted},
    )


def _exported(vectorizer: TfidfVectorizer, classifier: LogisticRegression) -> dict[str, object]:
    """The fitted numbers by word and route; with two classes scikit-learn keeps one row, the other's negative."""
    words = vectorizer.get_feature_names_out()
    weights, biases = classifier.coef_, classifier.intercept_
    rows = (
        {str(name): (weights[i], biases[i]) for i, name in enumerate(classifier.classes_)}
        if len(weights) > 1
        else {
            str(classifier.classes_[0]): (-weights[0], -biases[0]),
            str(classifier.classes_[1]): (weights[0], biases[0]),
        }
    )
    return {
        "idf": {str(word): float(idf) for word, idf in zip(words, vectorizer.idf_, strict=True)},
        "bias": {name: float(bias) for name, (_, bias) in rows.items()},
        "weights": {
            name: {str(word): round(float(value), 6) for word, value in zip(words, row, strict=True)}
            for name, (row, _) in rows.items()
        },
    }

"""Training of a router, and the choice that the server makes with it."""

import random
from pathlib import Path

import pytest

from evaluation.errors import EvaluationError
from evaluation.router import train
from evaluation.rows import Row
from serving.recipes.strategies.auto import Classifier

SKILLS = {
    "sums": ("add {} and {}", "plus {} {}"),
    "words": ("spell {} {}", "reverse {} {}"),
    "facts": ("capital of {} {}",),
}


def rows(skills: dict[str, tuple[str, ...]]) -> list[Row]:
    """Answers of arms that know one skill each, and of "team", which knows all and costs ten times as much."""
    draw = random.Random(1)
    found = []
    for skill, phrasings in skills.items():
        for number in range(30):
            question = draw.choice(phrasings).format(draw.randrange(10**6), draw.randrange(10**6))
            for arm in (*skills, "team"):
                found.append(
                    Row(
                        arm=arm,
                        model=arm,
                        dataset="d",
                        item=f"{skill}{number}",
                        questions=(question,),
                        answers=("x",),
                        score=float(arm in (skill, "team")),
                        prompt_tokens=100 if arm == "team" else 10,
                        completion_tokens=1,
                    )
                )
    return found


@pytest.mark.parametrize("skills", [SKILLS, {name: SKILLS[name] for name in ("sums", "words")}])
def test_a_router_sends_each_skill_to_the_cheapest_that_knows_it(
    skills: dict[str, tuple[str, ...]], tmp_path: Path
) -> None:
    router = train(rows(skills), ())
    assert router.accuracy > 0.95
    assert router.tokens < 12
    assert router.best_single == ("team", 1.0)
    router.save(tmp_path / "router.json")
    served = Classifier.model_validate_json((tmp_path / "router.json").read_text())
    for skill, phrasings in skills.items():
        assert {served.choose(phrasing.format("x", "y")) for phrasing in phrasings} == {skill}


def test_the_server_chooses_as_scikit_learn_does() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    from evaluation.router import _exported

    draw = random.Random(2)
    vocabulary = [f"word{number}" for number in range(30)]
    texts = [" ".join(draw.choices(vocabulary, k=draw.randrange(1, 12))) for _ in range(120)]
    labels = [draw.choice("abc") for _ in texts]
    vectorizer = TfidfVectorizer(sublinear_tf=True)
    classifier = LogisticRegression(max_iter=1000).fit(vectorizer.fit_transform(texts), labels)
    served = Classifier.model_validate(_exported(vectorizer, classifier))
    assert [served.choose(text) for text in texts] == list(classifier.predict(vectorizer.transform(texts)))


def test_too_little_to_learn_from_is_said() -> None:
    with pytest.raises(EvaluationError, match="at least two arms"):
        train(rows(SKILLS)[:8], ())


def test_an_arm_of_unknown_cost_is_not_the_cheapest() -> None:
    """Regression test: unknown tokens counted as 0."""
    known = rows(SKILLS)
    lost = [row.model_copy(update={"prompt_tokens": None}) if row.arm == "team" else row for row in known]
    with pytest.raises(EvaluationError, match="found 0 questions with a score and a known number of tokens of all of"):
        train(lost, ())

"""FLASK (arXiv 2307.10928): open questions, each rated for the skills that it needs."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from evaluation.criteria import CRITERIA
from evaluation.datasets.base import DatasetRow, Id, Text, listed
from evaluation.items import Item
from serving.suggestions import did_you_mean


def _skill(name: str) -> str:
    if name not in CRITERIA:
        raise ValueError(
            f"there is no skill '{name[:40]}': {did_you_mean(name, CRITERIA)}they are {', '.join(CRITERIA)}"
        )
    return name


class Flask(DatasetRow):
    """Open questions, each with the skills that it needs, as FLASK and FLASK-Hard have them.

    `judge --grade` rates each of a question's skills from 1 to 5, with the dataset's answer as the reference; the
    report has a table of the twelve skills.
    """

    kind = "flask"
    scored_by = "a judge"
    example = {
        "idx": 1,
        "instruction": "Say in one sentence why the sky is blue.",
        "answer": "Air scatters blue light more than red light.",
        "task": "Self-instruct",
        "skill": ["Factuality", "Conciseness"],
        "domain": ["Natural Science"],
        "difficulty": "formal education knowledge",
    }
    names = {
        "idx": "id",
        "question_id": "id",
        "text": "instruction",
        "metrics": "skill",
        "difficulty_labeled": "difficulty",
    }
    unused = frozenset(
        {
            *("task", "domain", "domain_labeled", "domain_review", "difficulty_review", "num_skills", "total_tokens"),
            *("total_tokens_step2", "metric_explanation", "subcategory", "subdomain", "subtag", "deterministic"),
            *("mcqa", "skill_domain", "skill_subdomain"),
        }
    )

    instruction: Text = Field(description="the question; also named `text`")
    skill: Annotated[tuple[Annotated[str, AfterValidator(_skill)], ...], BeforeValidator(listed)] = Field(
        min_length=1, description="the skills to rate: a list; also named `metrics`"
    )
    answer: str | None = Field(default=None, description="a right answer, shown to the judge")
    difficulty: Id = Field(
        default="", description="part of the dataset, for the tables; also named `difficulty_labeled`"
    )
    id: Id | None = Field(default=None, description="also named `idx`, `question_id`; default: the number of the row")

    @classmethod
    def recognizes(cls, row: Mapping[str, Any]) -> bool:
        return {"instruction", "skill"} <= row.keys() or {"text", "metrics"} <= row.keys()

    def item(self, number: int) -> Item:
        if len(set(self.skill)) < len(self.skill):
            raise ValueError("'skill' has a skill twice")
        level = "" if self.difficulty == "-1" else self.difficulty  # -1: not labelled
        references = (self.answer,) if self.answer and self.answer.strip() else ()
        name = self.id or str(number)
        return Item(self.kind, name, level, (self.instruction,), references=references, criteria=self.skill)

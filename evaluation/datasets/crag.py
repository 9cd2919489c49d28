"""CRAG (arXiv 2406.04744): questions with the pages that a web search found, which may not have the answer."""

from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field

from evaluation.datasets.base import DatasetRow, Id, Text, Value, listed
from evaluation.datasets.qa import question_with
from evaluation.items import Item
from serving.config import Frozen

CASES = (
    "If the question assumes something that is false, answer 'invalid question'. If you do not know, answer"
    " 'I don't know'."
)


class Page(Frozen):
    """A page that the search found. The snippet is its text; the whole HTML is not read."""

    model_config = ConfigDict(extra="ignore")

    page_name: str | None = None
    page_snippet: str | None = None

    @property
    def text(self) -> str:
        """Name and snippet; "" without a snippet."""
        snippet = " ".join((self.page_snippet or "").split())
        return f"{self.page_name or 'Untitled'}: {snippet}" if snippet else ""


class Crag(DatasetRow):
    """Questions with search results, as CRAG has them: a test of answers from retrieved passages.

    The model sees the name and the snippet of each page, and the time of the question. A right answer may be "invalid
    question"; "I don't know" is no right answer. `judge --grade` shows the right answer to the judge.
    """

    kind = "crag"
    scored_by = "exact"
    example = {
        "interaction_id": "7bb29eb4-12f9-45f9-bf8a-66832b3c8962",
        "query_time": "03/10/2024, 23:19:21 PT",
        "domain": "open",
        "question_type": "simple",
        "static_or_dynamic": "static",
        "query": "which river flows through paris?",
        "answer": "the seine",
        "alt_ans": ["seine"],
        "split": 0,
        "search_results": [
            {
                "page_name": "Paris",
                "page_url": "https://example.org/paris",
                "page_snippet": "Paris lies on the Seine.",
                "page_result": "<html></html>",
                "page_last_modified": "",
            }
        ],
    }
    names = {"interaction_id": "id"}
    unused = frozenset({"domain", "static_or_dynamic", "popularity", "split"})

    query: Text = Field(description="the question")
    answer: Value = Field(description="the right answer")
    search_results: Annotated[tuple[Page, ...], BeforeValidator(listed)] = Field(
        description="a list of objects with `page_name` and `page_snippet`"
    )
    alt_ans: Annotated[tuple[Value, ...], BeforeValidator(listed)] = Field(
        default=(), description="further right answers"
    )
    query_time: str = Field(default="", description="date and time of the question")
    question_type: str = Field(default="", description="part of the dataset, for the tables")
    id: Id | None = Field(default=None, description="also named `interaction_id`; default: the number of the row")

    def item(self, number: int) -> Item:
        context = "\n\n".join(page.text for page in self.search_results if page.text)
        when = f" (asked on {self.query_time.strip()})" if self.query_time.strip() else ""
        turn = f"{question_with(context, self.query + when)} {CASES}"
        accepted = tuple(dict.fromkeys(text for text in self.alt_ans if text != self.answer))
        name = self.id or str(number)
        return Item(self.kind, name, self.question_type, (turn,), self.answer, self.scored_by, accepted=accepted)

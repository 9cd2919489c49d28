"""2WikiMultihopQA (arXiv 2011.01060): questions over several paragraphs of Wikipedia, in HotpotQA's format."""

from collections.abc import Mapping
from typing import Any

from evaluation.datasets.hotpotqa import TWO_WIKI, HotpotQa


class TwoWiki(HotpotQa):
    """Questions over paragraphs of Wikipedia, as 2WikiMultihopQA has them, in the form of its files or of Hugging Face.

    The model sees all paragraphs. `exact` is the dataset's EM and `--scorer f1` its F1, both of the answer alone.
    """

    kind = "2wikimultihopqa"
    example = {
        "_id": "8813f87c0bdd11eba7f7acde48001122",
        "type": "compositional",
        "question": "Where was the director of the film Alpha born?",
        "context": [["Alpha", ["Alpha is a film by Ana Beta."]], ["Ana Beta", ["She was born in Lima."]]],
        "supporting_facts": [["Alpha", 0], ["Ana Beta", 0]],
        "evidences": [["Alpha", "director", "Ana Beta"], ["Ana Beta", "place of birth", "Lima"]],
        "answer": "Lima",
        "entity_ids": "Q1_Q2",
    }
    unused = frozenset({"supporting_facts", "evidences", "entity_ids", "answer_id", "evidences_id"})

    @classmethod
    def recognizes(cls, row: Mapping[str, Any]) -> bool:
        return cls.required() <= row.keys() and any(name in row for name in TWO_WIKI)

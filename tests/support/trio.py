"""The embedded trio's committed tokenizers, and a pool of proposals to one question."""

import pytest
from transformers import AutoTokenizer

from models.tiny.families import FAMILIES
from models.tiny.questions import Question
from models.tiny.references import Proposed, ReferencePool
from models.tiny.tasks import Task

TOKENIZERS = {name: AutoTokenizer.from_pretrained(family.path) for name, family in FAMILIES.items()}
CASES = [pytest.param(family, TOKENIZERS[name], id=name) for name, family in FAMILIES.items()]

PROPOSERS = ("a", "b", "c")
QUESTION = Question("facts", "Name the capital of Peru.", "Lima")
POOL = ReferencePool(PROPOSERS, [Proposed(QUESTION, (("Lima",), ("Quito",), ("Bern", "")))])
TASK_POOL = ReferencePool(
    PROPOSERS,
    [
        Proposed(task, (("17",), ("Perhaps Quito",), ("",)))
        for task in (
            Task("calculate", "What is 31 * 17?", "527", "31 * 17"),
            Task("lookup", "Name the poet of Zoru.", "Belo", "poet of Zoru"),
            Task("chain", "What is 1 + 2 + 3?", "6", steps=("1 + 2 = 3", "3 + 3 = 6")),
            Task("long_sum", "Add 1001 and 2002.", "3003", steps=("1001 = 1 001", "2002 = 2 002")),
        )
    ],
)

"""The embedded trio's committed tokenizers, and a pool of proposals to one question."""

import pytest
from transformers import AutoTokenizer

from models.tiny.families import FAMILIES
from models.tiny.questions import Question
from models.tiny.references import Proposed, ReferencePool

TOKENIZERS = {name: AutoTokenizer.from_pretrained(family.path) for name, family in FAMILIES.items()}
CASES = [pytest.param(family, TOKENIZERS[name], id=name) for name, family in FAMILIES.items()]

PROPOSERS = ("a", "b", "c")
QUESTION = Question("facts", "Name the capital of Peru.", "Lima")
POOL = ReferencePool(PROPOSERS, [Proposed(QUESTION, (("Lima",), ("Quito",), ("Bern", "")))])

"""F1 over words, as SQuAD, HotpotQA and 2WikiMultiHopQA measure it."""

import re
import string
from collections import Counter

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


def words(text: str) -> list[str]:
    """Words in lower case, without punctuation and articles."""
    return ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split()


def f1(text: str, reference: str) -> float:
    """Harmonic mean of precision and recall of the words of `text`, in [0, 1]; 1 if both have none."""
    found, right = words(text), words(reference)
    if not found or not right:
        return float(found == right)
    common = sum((Counter(found) & Counter(right)).values())
    return 2 * common / (len(found) + len(right))

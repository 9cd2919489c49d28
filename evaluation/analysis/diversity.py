"""Diversity of a layer's proposals: the Vendi score (Friedman and Dieng, arXiv 2210.02410).

The score is the exponential of the Shannon entropy of the eigenvalues of K / n, with K the similarity of every pair of
texts: 1 for n equal texts, n for n texts without similarity, otherwise the "effective number" of different texts.
Similarity is the cosine of character n-gram counts: it needs no model and also distinguishes short answers. The
`vendi-score` package computes the same number (a test compares), but imports names that SciPy 2 removes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from evaluation.analysis.teams import proposals
from evaluation.rows import Row

NGRAMS = (2, 4)  # characters, within word boundaries


def similarity_kernels(groups: Sequence[Sequence[str]]) -> list[NDArray[np.float64]]:
    """Return the cosines within each group of n texts, shape (n, n); an empty text has cosine 0 with any other."""
    texts = [text for group in groups for text in group]
    if not any(text.strip() for text in texts):
        return [np.ones((len(group), len(group))) for group in groups]
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=NGRAMS, use_idf=False).fit_transform(texts)
    kernels, start = [], 0
    for group in groups:
        own = vectors[start : start + len(group)]
        start += len(group)
        kernel = np.asarray((own @ own.T).toarray(), dtype=np.float64)
        np.fill_diagonal(kernel, 1.0)
        kernels.append(kernel)
    return kernels


def vendi_score(kernel: NDArray[np.float64]) -> float:
    """Return the effective number of elements. kernel: (n, n), positive semi-definite, ones on the diagonal."""
    eigenvalues = np.linalg.eigvalsh(kernel / len(kernel))
    positive = eigenvalues[eigenvalues > 0]
    return float(np.exp(-(positive * np.log(positive)).sum()))


def diversities(rows: Sequence[Row]) -> dict[str, float]:
    """Map row keys to the Vendi score of the first layer's usable proposals, for rows with at least two."""
    groups = {row.key: texts for row in rows if len(texts := [agent.text for agent in proposals(row)]) > 1}
    kernels = similarity_kernels(list(groups.values()))
    return {key: vendi_score(kernel) for key, kernel in zip(groups, kernels, strict=True)}

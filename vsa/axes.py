"""The shape letters. Every docstring, annotation and error message of this project uses these and no others.

A shape such as ``(..., K, L)`` means: any leading axes, then blocks, then positions within a block.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["AXES", "describe"]

AXES: Mapping[str, str] = MappingProxyType(
    {
        "B": "batch",
        "P": "panels of a puzzle",
        "C": "components of a puzzle",
        "S": "slots of a panel",
        "V": "values of an attribute",
        "R": "rules",
        "F": "factors of a product vector",
        "N": "entries of a codebook, or a number of vectors",
        "D": "dimension of a vector",
        "E": "width of the real embedding that is stored in an array",
        "K": "blocks of a vector",
        "L": "positions within a block (D = K * L)",
        "M": "frequencies of a block's real Fourier transform (M = L // 2 + 1)",
        "A": "attributes of a puzzle, all components together",
        "G": "matrices of a stack",
        "H": "hypotheses, or candidates in question",
        "I": "inputs of a matrix or of a formula",
        "O": "outputs of a matrix",
        "Q": "queries that are worked on at once",
        "T": "terms of a formula, steps of a trace or tiles of an array",
        "W": "width of another form of a vector: packed words, a spectrum; or of a window of values",
    }
)


def describe(shape: str) -> str:
    """Put a shape pattern into words.

    Args:
        shape: a pattern such as ``"(..., N, D)"``.

    Returns:
        The letters that occur in it, each with its meaning: ``"N: entries of a codebook, ...; D: dimension ..."``.
    """
    letters = dict.fromkeys(letter for letter in shape if letter in AXES)
    return "; ".join(f"{letter}: {AXES[letter]}" for letter in letters)

"""The published splits: by puzzle number, modulo ten."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vsa.errors import UnknownNameError

__all__ = ["SPLITS", "split_digits", "split_indices"]

SPLITS = {"train": (0, 1, 2, 3, 4, 5), "val": (6, 7), "test": (8, 9), "all": tuple(range(10))}
"""Which puzzle numbers, modulo ten, belong to a split."""


def split_digits(split: str) -> tuple[int, ...]:
    """Which puzzle numbers, modulo ten, belong to a split.

    Args:
        split: train, val, test or all.

    Returns:
        Digits.

    Raises:
        UnknownNameError: there is no such split.
    """
    if split not in SPLITS:
        raise UnknownNameError("choose a split", name=split, known=SPLITS, kind="split")
    return SPLITS[split]


def split_indices(split: str, n: int) -> NDArray[np.int64]:
    """The first puzzle numbers of a split: k % 10 is 0-5 in train, 6-7 in val, 8-9 in test.

    Args:
        split: train, val, test or all.
        n: how many.

    Returns:
        int64 (n,), increasing.

    Raises:
        UnknownNameError: there is no such split.
    """
    digits = np.asarray(split_digits(split), dtype=np.int64)
    k = np.arange(n, dtype=np.int64)
    return k // len(digits) * 10 + digits[k % len(digits)]

"""What may be wrong with answer sets; part of :mod:`datasets.judging.possible`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vsa.errors import VSAError

from ..arrays import CANDIDATES, MODIFIABLE, PuzzleArrays
from ..attributes import ENTITY_ATTRIBUTES
from ..rules.domains import Bools

__all__ = ["doubled", "far", "no_tree", "repeated", "unmarked"]


def repeated(puzzles: PuzzleArrays) -> Bools:
    """Whether two candidates are equal in all but the Angle.

    Args:
        puzzles: N puzzles.

    Returns:
        bool (N,).
    """
    same = np.ones((len(puzzles), CANDIDATES, CANDIDATES), dtype=np.bool_)
    for arrays in puzzles.components:
        for attribute in ENTITY_ATTRIBUTES:
            levels = arrays.attributes[attribute.name][:, puzzles.context :]
            same &= (levels[:, :, None] == levels[:, None]).all(axis=3)
    return same.sum(axis=(1, 2)) > CANDIDATES


def doubled(puzzles: PuzzleArrays) -> Bools:
    """Whether another candidate is the answer in all but the Angle.

    Args:
        puzzles: N puzzles.

    Returns:
        bool (N,).
    """
    rows = np.arange(len(puzzles))
    same = np.ones((len(puzzles), CANDIDATES), dtype=np.bool_)
    for arrays in puzzles.components:
        for attribute in ENTITY_ATTRIBUTES:
            levels = arrays.attributes[attribute.name][:, puzzles.context :]
            same &= (levels == levels[rows, puzzles.target][:, None]).all(axis=2)
    return same.sum(axis=1) > 1


def no_tree(modified: Bools, target: NDArray[np.int8]) -> Bools:
    """Whether the marks of the candidates are none of I-RAVEN's three patterns.

    Args:
        modified: bool (N, 8, C, 5).
        target: (N,), the answers.

    Returns:
        bool (N,).
    """
    n = len(modified)
    flat = modified.reshape(n, CANDIDATES, -1)
    number = modified[..., MODIFIABLE.index("Number")].any(axis=2)
    used = flat.any(axis=1)
    count = flat.sum(axis=2)
    total = used.sum(axis=1)
    codes = (flat * (1 << np.arange(flat.shape[2]))).sum(axis=2)
    distinct = (np.sort(codes, axis=1)[:, 1:] != np.sort(codes, axis=1)[:, :-1]).all(axis=1)
    position = modified[:, :, :, MODIFIABLE.index("Position")].any(axis=(1, 2))
    three = (total == 3) & distinct
    two = (total == 2) & ~position & (number.sum(axis=1) == 6) & ((count == 2).sum(axis=1) == 3)
    moved = (total == 2) & position & (number.sum(axis=1) == 6) & (count.max(axis=1) == 1)
    one = (total == 1) & (number.sum(axis=1) == 7)
    return ~(three | two | moved | one) | (count[np.arange(n), target] != 0)


def unmarked(puzzles: PuzzleArrays) -> Bools:
    """Whether a candidate differs from the answer in an attribute that is not marked, or not in one that is.

    Args:
        puzzles: N puzzles.

    Returns:
        bool (N,).
    """
    if puzzles.modified is None:
        raise VSAError("check marks", received="puzzles that say nothing about changes", expected="modified")
    bad = np.zeros(len(puzzles), dtype=np.bool_)
    rows = np.arange(len(puzzles))
    answer = puzzles.context + puzzles.target.astype(np.int64)
    for c, arrays in enumerate(puzzles.components):
        marks = puzzles.modified[:, :, c]
        exists = arrays.exists[:, puzzles.context :]
        ours = arrays.exists[rows, answer][:, None]
        renumbered = exists.sum(axis=2) != ours.sum(axis=2)
        relaid = (exists != ours).any(axis=2)
        number, position = (marks[..., MODIFIABLE.index(name)] for name in ("Number", "Position"))
        bad |= (renumbered != number).any(axis=1) | (relaid != (number | position)).any(axis=1)
        for attribute in ENTITY_ATTRIBUTES:
            levels = arrays.attributes[attribute.name]
            differs = (levels[:, puzzles.context :] != levels[rows, answer][:, None]).any(axis=2)
            mark = marks[..., MODIFIABLE.index(attribute.name)]
            bad |= ((differs != mark) & ~relaid).any(axis=1)
    return bad


def far(puzzles: PuzzleArrays) -> Bools:
    """Whether a distractor of RAVEN is more than one change away: a new number, a new place, or one attribute.

    Args:
        puzzles: N puzzles.

    Returns:
        bool (N,).
    """
    rows = np.arange(len(puzzles))
    answer = puzzles.context + puzzles.target.astype(np.int64)
    changes = np.zeros((len(puzzles), CANDIDATES), dtype=np.int64)
    for arrays in puzzles.components:
        exists = arrays.exists[:, puzzles.context :]
        ours = arrays.exists[rows, answer][:, None]
        renumbered = exists.sum(axis=2) != ours.sum(axis=2)
        changes += (exists != ours).any(axis=2)
        for attribute in ENTITY_ATTRIBUTES:
            levels = np.sort(arrays.attributes[attribute.name], axis=2)
            differs = (levels[:, puzzles.context :] != levels[rows, answer][:, None]).any(axis=2)
            changes += differs & ~renumbered
    return np.asarray((changes > 1).any(axis=1))

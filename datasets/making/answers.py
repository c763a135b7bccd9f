"""Answer sets: what they are, and what may be changed in an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import CANDIDATES, GOVERNED, MODIFIABLE
from ..attributes import ENTITY_ATTRIBUTES, UNIFORM
from ..constellations import Component
from ..rules.base import declares
from ..rules.domains import Bools
from ..streams import Ints, Stream
from .sampling import Matrix, keeps_entities

__all__ = ["NUMBER", "POSITION", "AnswerSet", "CandidatePanels", "binomials", "modifiable", "permuted", "shuffled"]

NUMBER, POSITION = MODIFIABLE.index("Number"), MODIFIABLE.index("Position")


@dataclass(frozen=True)
class CandidatePanels:
    """Eight candidates of one component.

    Args:
        exists: bool (N, 8, S).
        attributes: name -> int64 (N, 8, S) levels, -1 where no entity is.
    """

    exists: Bools
    attributes: Mapping[str, Ints]


@dataclass(frozen=True)
class AnswerSet:
    """Eight candidates.

    Args:
        components: one entry per component.
        target: int64 (N,), which one is the answer.
        modified: bool (N, 8, C, 5).
    """

    components: tuple[CandidatePanels, ...]
    target: Ints
    modified: Bools


def binomials(slots: int) -> Ints:
    """How many sets of each size there are.

    Args:
        slots: S.

    Returns:
        int64 (S + 1,).
    """
    row = np.ones(1, dtype=np.int64)
    for _ in range(slots):
        row = np.concatenate([row, [0]]) + np.concatenate([[0], row])
    return row


def modifiable(matrix: Matrix, layout: Component, numbers: Ints) -> Ints:
    """In how many ways each attribute of a panel may be changed without the rules noticing by accident.

    An attribute whose entities keep their values may only be changed where its values are seen to be constant: not when
    the entities of a non-uniform panel are drawn afresh in every panel.

    Args:
        matrix: the component's rules.
        layout: the component.
        numbers: (N,), how many entities the panel has.

    Returns:
        int64 (N, 5), in the order of MODIFIABLE.
    """
    ways = np.zeros((len(numbers), len(MODIFIABLE)), dtype=np.int64)
    sizes = binomials(layout.slots)
    ways[:, NUMBER] = sizes[1:].sum() - sizes[numbers]
    ways[:, POSITION] = np.where(matrix.governed == GOVERNED.index("Number"), 0, sizes[numbers] - 1)
    shown = (matrix.uniformity == UNIFORM) | keeps_entities(matrix.rules, matrix.governed)
    for k, attribute in enumerate(ENTITY_ATTRIBUTES, start=1):
        low, high = layout.range(attribute.name)
        ways[:, POSITION + k] = np.where(shown | (~declares(matrix.rules[:, k], "keeps_values")), high - low, 0)
    return ways


def shuffled(stream: Stream, components: Sequence[CandidatePanels], modified: Bools) -> AnswerSet:
    """Puts candidates in random order.

    Args:
        stream: the puzzles' randomness.
        components: candidates, the answer first.
        modified: bool (N, 8, C, 5).

    Returns:
        The answer set.
    """
    order = stream.permutations(CANDIDATES)
    mixed = tuple(
        CandidatePanels(
            np.take_along_axis(c.exists, order[:, :, None], axis=1),
            {name: np.take_along_axis(levels, order[:, :, None], axis=1) for name, levels in c.attributes.items()},
        )
        for c in components
    )
    changed = np.take_along_axis(modified, order[:, :, None, None], axis=1)
    return AnswerSet(mixed, np.argmin(order, axis=1), changed)


def permuted(old: Ints, new: Ints, others: Sequence[NDArray[Any]], exists: Bools) -> Bools:
    """Whether a change of one attribute leaves the same entities, in other slots.

    Args:
        old: (K, S) levels.
        new: (K, S) levels.
        others: the other attributes, each (K, S).
        exists: bool (K, S).

    Returns:
        bool (K,).
    """
    code = np.zeros(old.shape, dtype=np.int64)
    for levels in others:
        code = code * 11 + levels
    before, after = (np.sort(np.where(exists, code * 11 + levels, -1), axis=1) for levels in (old, new))
    return (before == after).all(axis=1)

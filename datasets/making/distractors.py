"""I-RAVEN's answer sets: the attribute bisection tree.

RAVEN's and RAVEN-FAIR's sets, which are grown one distractor at a time, are in :mod:`datasets.making.growing`.

Reference:
    Hu et al. 2021, "Stratified Rule-Aware Network for Abstract Visual Reasoning" (I-RAVEN).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..arrays import CANDIDATES, MODIFIABLE
from ..attributes import ATTRIBUTES, UNIFORM
from ..constellations import Component
from ..rules.base import declares, sets_of
from ..rules.domains import Bools
from ..streams import Ints, Stream
from .answers import NUMBER, POSITION, AnswerSet, CandidatePanels, binomials, modifiable, permuted, shuffled
from .sampling import Matrix

__all__ = ["bisect"]


# Layouts that candidates of one component may have: 0 the answer's, 1 new positions, 2 .. 8 new numbers,
# 9 a new number after new positions.
_MOVED, _RENUMBERED, _BOTH, _VERSIONS = 1, 2, 9, 10


def bisect(stream: Stream, matrices: Sequence[Matrix], layouts: Sequence[Component]) -> AnswerSet:
    """I-RAVEN's answer sets: three attributes, one new value each, all eight combinations.

    Where only two attributes can be changed, one of them is Number and takes three new values (six, when the other is
    Position); where only Number can, it takes seven.

    Args:
        stream: the puzzles' randomness, N of them.
        matrices: the complete matrices; their last panel is the answer.
        layouts: the components.

    Returns:
        The candidates. Only entities move or change: a new Number repeats or drops entities of the answer.
    """
    numbers = [m.exists[:, -1].sum(axis=-1) for m in matrices]
    ways = np.stack([modifiable(m, c, k) for m, c, k in zip(matrices, layouts, numbers, strict=True)], axis=1)
    selected = _select(stream, ways > 0)
    use_number, others, layout_of = _tree(selected)

    components = []
    for c, (matrix, layout) in enumerate(zip(matrices, layouts, strict=True)):
        source = np.repeat(_ranks(matrix.exists[:, -1])[:, None], _VERSIONS, axis=1)
        versions = layout_of if layout.slots > 1 else np.zeros_like(layout_of)
        if layout.slots > 1:
            _relocate(stream, source, matrix.exists[:, -1], selected[:, c], selected.sum(axis=(1, 2)))
        source = np.take_along_axis(source, versions[:, :, None], axis=1)
        exists = source >= 0
        attributes = {}
        for name in ATTRIBUTES:
            levels = matrix.attributes[name][:, -1].astype(np.int64)
            both = np.stack([levels, levels], axis=1)
            use = np.zeros((len(stream), CANDIDATES), dtype=np.int64)
            if name in MODIFIABLE:
                k = MODIFIABLE.index(name)
                both[:, 1] = _changed(stream, matrix, layout, name, levels)
                use = others[:, :, c, k].astype(np.int64)
            chosen = np.take_along_axis(both, use[:, :, None], axis=1)
            attributes[name] = np.where(exists, np.take_along_axis(chosen, np.maximum(source, 0), axis=2), -1)
        components.append(CandidatePanels(exists, attributes))
    modified = others.copy()
    modified[..., NUMBER] = use_number
    return shuffled(stream, components, modified)


def _select(stream: Stream, available: Bools) -> Bools:
    """Three of the available attributes, or all of them where there are fewer: bool (N, C, 5)."""
    flat = available.reshape(len(available), -1)
    keys = np.where(flat, stream.bits(flat.shape[1]) >> np.uint64(1), np.iinfo(np.uint64).max)
    rank = np.argsort(np.argsort(keys, axis=1), axis=1)
    return ((rank < 3) & flat).reshape(available.shape)


def _tree(selected: Bools) -> tuple[Bools, Bools, Ints]:
    """Which candidate changes what.

    Args:
        selected: bool (N, C, 5).

    Returns:
        Number per component (N, 8, C); the other attributes (N, 8, C, 5); the version of the grid's layout (N, 8).
    """
    n, components, _ = selected.shape
    k = np.arange(CANDIDATES)
    flat = selected.copy()
    number = flat[:, :, NUMBER].copy()  # at most one component is a grid
    flat[:, :, NUMBER] = False
    flat = flat.reshape(n, -1)
    total = selected.sum(axis=(1, 2))
    numbered: Bools = np.any(number, axis=1)
    position: Bools = np.any(selected[:, :, POSITION], axis=1)

    # the attributes other than Number are bits of the candidate's place: 2 ** (how many selected ones come before)
    before: Ints = np.cumsum(flat, axis=1) - flat
    others = flat[:, None, :] & (((k[None, :, None] >> before[:, None, :]) & 1) == 1)
    number_bit = np.where(numbered, total - 1, 0)
    renumbered = numbered[:, None] & (((k[None, :] >> number_bit[:, None]) & 1) == 1)
    version = np.where(renumbered, _RENUMBERED, 0)

    two = np.flatnonzero(total == 2)  # answer and one change, each alone or with one of three numbers
    if len(two):
        moved = position[two, None]
        others[two] = np.where(moved, k == 1, k % 2 == 1)[:, :, None] & flat[two, None, :]
        which = np.where(moved, k - 2, k // 2 - 1)
        renumbered[two] = k >= 2
        version[two] = np.where(k >= 2, _RENUMBERED + which, 0)
    one = np.flatnonzero(total == 1)
    renumbered[one] = k >= 1
    version[one] = np.where(k >= 1, _RENUMBERED + k - 1, 0)

    others = others.reshape(n, CANDIDATES, components, len(MODIFIABLE))
    moved_too = others[..., POSITION].any(axis=2)
    version = np.where(moved_too, np.where(renumbered, _BOTH, _MOVED), version)
    return renumbered[:, :, None] & number[:, None, :], others, version


def _ranks(exists: Bools) -> Ints:
    """(N, S): each slot's own index where an entity is, else -1."""
    return np.where(exists, np.arange(exists.shape[-1]), -1)


def _relocate(stream: Stream, source: Ints, exists: Bools, selected: Bools, total: Ints) -> None:
    """Fills the versions of a grid's layout: source (N, 10, S) is the answer's slot whose entity a slot holds."""
    slots = exists.shape[-1]
    present = (exists * (1 << np.arange(slots))).sum(axis=-1)
    number = exists.sum(axis=-1)
    rows = np.flatnonzero(selected[:, POSITION])
    if len(rows):
        order = _new_sets(stream, rows, number[rows], present[rows, None], slots)
        _fill(stream, source, _MOVED, rows, order, number[rows], exists[rows])

    tree = selected[:, POSITION] & (total >= 3)  # Number after Position: the number needs two placements
    needed = np.where(total >= 3, 1, np.where(total == 2, np.where(selected[:, POSITION], 6, 3), 7))
    needed = np.where(selected[:, NUMBER], needed, 0)
    left = np.broadcast_to(binomials(slots), (len(exists), slots + 1)).copy()
    fresh = np.ones((len(exists), slots + 1), dtype=np.bool_)
    used = np.zeros((len(exists), 8), dtype=np.int64)
    for k in range(int(needed.max(initial=0))):
        rows = np.flatnonzero(needed > k)
        new = np.empty(len(rows), dtype=np.int64)
        todo = np.arange(len(rows))
        while len(todo):  # any other number, not used since the last reset, with enough placements left
            r = rows[todo]
            new[todo] = 1 + stream.below(slots - 1, rows=r)
            new[todo] += new[todo] >= number[r]
            refused = ~fresh[r, new[todo]] | (tree[r] & (left[r, new[todo]] == 1))
            todo = todo[refused]
        fresh[rows, new] = False
        order = _new_sets(stream, rows, new, used[rows], slots)
        used[rows, k] = sets_of(order, new)
        left[rows, new] -= 1
        _fill(stream, source, _RENUMBERED + k, rows, order, new, exists[rows])
        again = np.flatnonzero(tree[rows])
        if len(again):
            r = rows[again]
            order_two = _new_sets(stream, r, new[again], used[r], slots)
            used[r, k + 1] = sets_of(order_two, new[again])
            source[r, _BOTH] = _carry(source[r, _RENUMBERED], order[again], order_two, new[again])
        # once every other number was used, those with placements left come back
        others = fresh[rows].copy()
        others[np.arange(len(rows)), number[rows]] = False
        empty = rows[~others[:, 1:].any(axis=1)]
        fresh[empty] |= left[empty] > 0


def _carry(filled: Ints, order: Ints, order_two: Ints, number: Ints) -> Ints:
    """The same entities at a second placement."""
    moved = np.full_like(filled, -1)
    inside = np.arange(filled.shape[1]) < number[:, None]
    entities = np.where(inside, np.take_along_axis(filled, order, axis=1), -1)
    np.put_along_axis(moved, order_two, entities, axis=1)
    return moved


def _new_sets(stream: Stream, rows: np.ndarray, number: Ints, taken: Ints, slots: int) -> Ints:
    """Orders (K, S) whose first ``number`` slots are a set that is not among ``taken`` (K, T)."""
    order = np.empty((len(rows), slots), dtype=np.int64)
    todo = np.arange(len(rows))
    while len(todo):
        order[todo] = stream.permutations(slots, rows=rows[todo])
        sets = sets_of(order[todo], number[todo])
        todo = todo[(sets[:, None] == taken[todo]).any(axis=1)]
    return order


def _fill(
    stream: Stream, source: Ints, version: int, rows: np.ndarray, order: Ints, number: Ints, exists: Bools
) -> None:
    """Puts random entities of the answer, each as often as the others if possible, into the first slots of order."""
    slots = order.shape[1]
    keys = (stream.bits(slots, rows=rows) >> np.uint64(1)) | (np.uint64(1) << np.uint64(63)) * ~exists
    entities = np.argsort(keys, axis=1)  # those of the answer first, in random order
    have = exists.sum(axis=1)
    place = np.arange(slots)
    taken = np.take_along_axis(entities, place[None, :] % have[:, None], axis=1)
    filled = np.full((len(rows), slots), -1, dtype=np.int64)
    np.put_along_axis(filled, order, np.where(place < number[:, None], taken, -1), axis=1)
    source[rows, version] = filled


def _changed(stream: Stream, matrix: Matrix, layout: Component, name: str, levels: Ints) -> Ints:
    """New levels (N, S), each other than the old one; the same for all entities where the panel's value is one.

    The original has no care for a change that merely permutes entities which are otherwise alike: where their places
    are free it would make a second right answer, in one puzzle of some 50,000. Such a change is drawn again.
    """
    low, high = layout.range(name)
    if low == high:
        return levels
    free = declares(matrix.rules[:, MODIFIABLE.index(name) - 1], "keeps_values") & (matrix.uniformity != UNIFORM)
    new = np.empty_like(levels)
    todo = np.arange(len(stream))
    while len(todo):
        step = stream.below(high - low, layout.slots, rows=todo)
        step = np.where(free[todo, None], step, step[:, :1])
        new[todo] = low + step + (low + step >= levels[todo])
        others = [matrix.attributes[other][todo, -1] for other in ATTRIBUTES if other != name]
        exists = matrix.exists[todo, -1]
        todo = todo[free[todo] & permuted(levels[todo], new[todo], others, exists)]
    return new

"""Answer sets grown one distractor at a time: RAVEN's from the answer, RAVEN-FAIR's from any member so far.

A change draws every entity's new value by itself, in uniform panels too, and a new Number draws new entities: so the
distractors of grids are easily told from an answer with one value per panel. That is how the published sets are.

Reference:
    Zhang et al. 2019, "RAVEN"; Benny et al. 2021, "Scale-Localized Abstract Reasoning" (RAVEN-FAIR).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import CANDIDATES, MODIFIABLE
from ..attributes import ANGLE, ENTITY_ATTRIBUTES
from ..constellations import Component
from ..rules.base import sets_of
from ..rules.domains import Bools
from ..streams import Ints, Rows, Stream
from .answers import NUMBER, POSITION, AnswerSet, CandidatePanels, modifiable, permuted, shuffled
from .sampling import Matrix

__all__ = ["grow_fair", "grow_original"]


def grow_original(stream: Stream, matrices: Sequence[Matrix], layouts: Sequence[Component]) -> AnswerSet:
    """RAVEN's answer sets: each distractor is the answer with one attribute changed.

    Args:
        stream: the puzzles' randomness, N of them.
        matrices: the complete matrices; their last panel is the answer.
        layouts: the components.

    Returns:
        The candidates.
    """
    return _grow(stream, matrices, layouts, fair=False)


def grow_fair(stream: Stream, matrices: Sequence[Matrix], layouts: Sequence[Component]) -> AnswerSet:
    """RAVEN-FAIR's answer sets: each distractor is a random member so far with one more attribute changed.

    An attribute's name is changed at most once on the way from the answer, and no two candidates are alike (the
    original compares pixels; here the Angle, which is noise, does not count).

    Args:
        stream: the puzzles' randomness, N of them.
        matrices: the complete matrices; their last panel is the answer.
        layouts: the components.

    Returns:
        The candidates.
    """
    return _grow(stream, matrices, layouts, fair=True)


@dataclass
class _Grid:
    """Candidates of one component while they grow; all arrays (N, 8, ...)."""

    layout: Component
    matrix: Matrix
    levels: dict[str, Ints]  # name -> (N, 8, S)
    used: dict[str, Ints]  # name -> (N, 8, S): bit v: an earlier child of this candidate has level v here
    tried: Bools  # (N, 8, 2 ** S): sets of slots that earlier children took

    @classmethod
    def start(cls, matrix: Matrix, layout: Component) -> _Grid:
        levels = {
            name: np.repeat(values[:, -1:].astype(np.int64), CANDIDATES, axis=1)
            for name, values in matrix.attributes.items()
        }
        shape = levels["Type"].shape
        return cls(
            layout=layout,
            matrix=matrix,
            levels=levels,
            used={a.name: np.zeros(shape, dtype=np.int64) for a in ENTITY_ATTRIBUTES},
            tried=np.zeros((shape[0], CANDIDATES, 1 << layout.slots), dtype=np.bool_),
        )

    def copy(self, rows: Rows, parent: Ints, child: int) -> None:
        """Makes the child the parent's copy, memory included."""
        for table in (self.levels, self.used):
            for values in table.values():
                values[rows, child] = values[rows, parent]
        self.tried[rows, child] = self.tried[rows, parent]

    def exists(self, rows: Rows, candidate: Ints | int) -> Bools:
        """(K, S)."""
        return self.levels["Type"][rows, candidate] >= 0

    def sets(self, rows: Rows, candidate: Ints | int) -> Ints:
        """(K,) bit masks."""
        return (self.exists(rows, candidate) * (1 << np.arange(self.layout.slots))).sum(axis=1)

    def recolor(self, stream: Stream, rows: Rows, parent: Ints, child: int, name: str) -> Bools:
        """New levels of one attribute, none that the parent has or another child took; False where there are none."""
        low, high = self.layout.range(name)
        old = self.levels[name][rows, child]
        here = old >= 0
        values = np.arange(low, high + 1)
        free = ((self.used[name][rows, child][..., None] >> values) & 1 == 0) & (values != old[..., None])
        count = free.sum(axis=-1)
        done: Bools = np.all((count > 0) | ~here, axis=1)
        pick = stream.below(np.maximum(count, 1), self.layout.slots, rows=rows)
        new = low + np.argmax(np.cumsum(free, axis=-1) > pick[..., None], axis=-1)
        write = here & done[:, None]
        self.levels[name][rows, child] = np.where(write, new, old)
        self.used[name][rows, parent] |= np.where(write, np.int64(1) << new, 0)
        others = [values[rows, child] for other, values in self.levels.items() if other != name]
        return done & ~permuted(old, self.levels[name][rows, child], others, here)

    def move(self, stream: Stream, rows: Rows, parent: Ints, child: int) -> Bools:
        """The same entities in another set of slots."""
        exists = self.exists(rows, child)
        number = exists.sum(axis=1)
        done: Bools = np.any(self._free(rows, child, number[:, None] == self._sizes()), axis=1)
        if not done.all():
            kept = np.flatnonzero(done)
            if len(kept):
                self.move(stream, rows[kept], parent[kept], child)
            return done
        order = self._fresh(stream, rows, parent, child, number)
        entities = np.argsort(~exists, axis=1, kind="stable")
        inside = np.arange(self.layout.slots) < number[:, None]
        for table, empty in ((self.levels, -1), (self.used, 0)):
            for values in table.values():
                carried = np.take_along_axis(values[rows, child], entities, axis=1)
                moved = np.empty_like(carried)
                np.put_along_axis(moved, order, np.where(inside, carried, empty), axis=1)
                values[rows, child] = moved
        return done

    def renumber(self, stream: Stream, rows: Rows, parent: Ints, child: int) -> Bools:
        """Another number of entities, all drawn anew within the ranges that the rules leave to first panels."""
        slots = self.layout.slots
        old = self.exists(rows, child).sum(axis=1)
        done: Bools = np.any(self._free(rows, child, old[:, None] != self._sizes()), axis=1)
        if not done.all():
            kept = np.flatnonzero(done)
            if len(kept):
                self.renumber(stream, rows[kept], parent[kept], child)
            return done
        new = np.empty(len(rows), dtype=np.int64)
        order = np.empty((len(rows), slots), dtype=np.int64)
        todo = np.arange(len(rows))
        while len(todo):  # number and set are drawn together and refused together
            r = rows[todo]
            new[todo] = 1 + stream.below(slots - 1, rows=r)
            new[todo] += new[todo] >= old[todo]
            order[todo] = stream.permutations(slots, rows=r)
            todo = todo[self.tried[r, child, sets_of(order[todo], new[todo])]]
        self.tried[rows, parent, sets_of(order, new)] = True
        inside = np.arange(slots) < new[:, None]
        for name, values in self.levels.items():
            if name in self.matrix.ranges:
                low, high = (limit[rows, None] for limit in self.matrix.ranges[name])
                drawn = stream.between(low, high, slots, rows=rows)
            else:
                drawn = stream.between(ANGLE.low, ANGLE.high, slots, rows=rows)
            placed = np.empty_like(drawn)
            np.put_along_axis(placed, order, np.where(inside, drawn, -1), axis=1)
            values[rows, child] = placed
        for seen in self.used.values():
            seen[rows, child] = 0
        return done

    def _sizes(self) -> Ints:
        """(2 ** S,): how many slots each set has."""
        return ((np.arange(1 << self.layout.slots)[:, None] >> np.arange(self.layout.slots)) & 1).sum(axis=1)

    def _free(self, rows: Rows, child: int, wanted: Bools) -> Bools:
        """Sets (K, 2 ** S) of a wanted size that neither the child has nor its parent's children took."""
        free = wanted & ~self.tried[rows, child]
        free[:, 0] = False
        free[np.arange(len(rows)), self.sets(rows, child)] = False
        return free

    def _fresh(self, stream: Stream, rows: Rows, parent: Ints, child: int, number: Ints) -> Ints:
        here = self.sets(rows, child)
        order = np.empty((len(rows), self.layout.slots), dtype=np.int64)
        todo = np.arange(len(rows))
        while len(todo):
            r = rows[todo]
            order[todo] = stream.permutations(self.layout.slots, rows=r)
            sets = sets_of(order[todo], number[todo])
            todo = todo[self.tried[r, child, sets] | (sets == here[todo])]
        self.tried[rows, parent, sets_of(order, number)] = True
        return order


def _grow(stream: Stream, matrices: Sequence[Matrix], layouts: Sequence[Component], *, fair: bool) -> AnswerSet:
    n, components = len(stream), len(layouts)
    grids = [_Grid.start(matrix, layout) for matrix, layout in zip(matrices, layouts, strict=True)]
    modified = np.zeros((n, CANDIDATES, components, len(MODIFIABLE)), dtype=np.bool_)
    ways = np.zeros((n, CANDIDATES, components, len(MODIFIABLE)), dtype=np.int64)
    for c, grid in enumerate(grids):
        ways[:, 0, c] = modifiable(grid.matrix, grid.layout, grid.exists(np.arange(n), 0).sum(axis=1))
    for child in range(1, CANDIDATES):
        todo = np.arange(n)
        while len(todo):
            parent = np.zeros(len(todo), dtype=np.int64)
            if fair:
                parent = _parents(stream, np.any(ways[:, :child], axis=(2, 3)), todo)
            open_ways = ways[todo, parent].reshape(len(todo), -1) > 0
            pick = stream.below(open_ways.sum(axis=1), rows=todo)
            which = np.argmax(np.cumsum(open_ways, axis=1) > pick[:, None], axis=1)
            ways.reshape(n, CANDIDATES, -1)[todo, parent, which] -= 1
            done = np.zeros(len(todo), dtype=np.bool_)
            for c, grid in enumerate(grids):
                grid.copy(todo, parent, child)
                for k, name in enumerate(MODIFIABLE):
                    at = np.flatnonzero(which == c * len(MODIFIABLE) + k)
                    if not len(at):
                        continue
                    rows, origin = todo[at], parent[at]
                    if k == NUMBER:
                        done[at] = grid.renumber(stream, rows, origin, child)
                    elif k == POSITION:
                        done[at] = grid.move(stream, rows, origin, child)
                    else:
                        done[at] = grid.recolor(stream, rows, origin, child, name)
            modified[todo, child] = modified[todo, parent]
            modified.reshape(n, CANDIDATES, -1)[todo, child, which] = True
            if fair:
                done &= ~_repeated(grids, todo, child)
                for c, grid in enumerate(grids):
                    numbers = grid.exists(todo, child).sum(axis=1)
                    ways[todo, child, c] = modifiable(grid.matrix[todo], grid.layout, numbers)
                ways[todo, child] *= ~modified[todo, child].any(axis=1)[:, None, :]  # by name, whatever the component
            todo = todo[~done]
    panels = [CandidatePanels(grid.levels["Type"] >= 0, grid.levels) for grid in grids]
    return shuffled(stream, panels, modified)


def _parents(stream: Stream, able: Bools, rows: Rows) -> Ints:
    """A random member (K,) that can still be changed; able: bool (N, members)."""
    pick = stream.below(able[rows].sum(axis=1), rows=rows)
    return np.argmax(np.cumsum(able[rows], axis=1) > pick[:, None], axis=1)


def _repeated(grids: Sequence[_Grid], rows: Rows, child: int) -> Bools:
    """Whether the child equals an earlier candidate in all but the Angle: bool (K,)."""
    same = np.ones((len(rows), child), dtype=np.bool_)
    for grid in grids:
        for attribute in ENTITY_ATTRIBUTES:
            levels = grid.levels[attribute.name][rows]
            same &= (levels[:, :child] == levels[:, child : child + 1]).all(axis=2)
    return np.asarray(same.any(axis=1))

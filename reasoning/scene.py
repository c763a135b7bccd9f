"""What a solver sees of a puzzle: probability mass functions, without rules, target or file name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from datasets.panels import ROWS
from reasoning.distributions.checks import (
    AttributeKey,
    as_part,
    as_ranges,
    check_mass,
    check_probabilities,
    check_ranges,
    in_one_precision,
)
from reasoning.distributions.own import parts_from_pmfs
from reasoning.distributions.pmfs import check_softening, lowest_value, soften, soften_states, temperature_of
from reasoning.sparse import PMF, SparsePMF, dense
from vsa.errors import DtypeError, ShapeError, VSAError

if TYPE_CHECKING:
    from datasets.arrays import PuzzleArrays
    from datasets.layout import Layout
    from datasets.loaders import PuzzleBatch, PuzzleDataset

__all__ = ["CANDIDATES", "AttributeKey", "Scene"]

CANDIDATES = 8
_NONE: Mapping[Any, Any] = MappingProxyType({})


@dataclass(frozen=True, init=False)
class Scene:
    """PMFs of the shown panels of B puzzles.

    The last three rows of a matrix with ``columns`` columns are shown: P = 3 * columns - 1 context panels row by row,
    then 8 candidates. An attribute that a layout does not have is an absent key.

    What is given is checked, and brought into this form where its meaning is clear: keys may be pairs, values arrays,
    half precision becomes single. :meth:`from_pmfs` takes PMFs as a classifier has them.

    Attributes:
        columns: n, panels in a row.
        pmfs: attribute -> (B, P + 8, V), a tensor or, where few of many values have mass, a
            :class:`reasoning.sparse.SparsePMF` (:meth:`dense` makes tensors of all). Index v is the magnitude v that
            arithmetic rules add (a count, a Size level + 1). The mass that a PMF lacks to one is the probability that
            the panel has no single value because its entities differ ("inconsistent"); none is lacking in a component
            without a set of slots.
        sets: attribute -> (B, P + 8, S); probability that each of S slots is occupied. Positions are kept
            as sets: a table over the 2**S - 1 sets is never formed.
        entities: attribute -> (B, P + 8, S, V); for components with several slots, the PMF of each slot's entity,
            given that there is one (an empty slot's row says nothing). Only where a learner asks for it
            (``Learner.entities``).
        ranges: attribute -> lowest and highest magnitude, inclusive, that its component may have; what is not named may
            have any that the axis has room for.

    Raises:
        DtypeError: a key or a value that stands for no attribute and no tensor of floats.
        ShapeError: a tensor that does not fit the panels, the other attributes, or its slots and values.
        VSAError: no attribute, fewer than three columns, or what is no probability: negative, NaN, sums beyond one;
            mass on values out of range.
    """

    columns: int
    pmfs: Mapping[AttributeKey, PMF]
    sets: Mapping[AttributeKey, Tensor]
    entities: Mapping[AttributeKey, Tensor]
    ranges: Mapping[AttributeKey, tuple[int, int]]

    def __init__(
        self,
        columns: int,
        pmfs: Mapping[Any, Any] = _NONE,
        sets: Mapping[Any, Any] = _NONE,
        entities: Mapping[Any, Any] = _NONE,
        ranges: Mapping[Any, Any] = _NONE,
    ) -> None:
        if isinstance(columns, bool) or not isinstance(columns, int):
            raise DtypeError("Scene", received=f"columns={columns!r}", expected="an int, panels in a row")
        if columns < 3:
            raise VSAError("Scene", received=f"{columns} columns", expected="at least 3")
        if not pmfs and not sets:
            raise VSAError("Scene", received="no attribute at all", expected="at least one PMF or slot set")
        given = (as_part(part, summed=part is not sets, sparse=part is pmfs) for part in (pmfs, sets, entities))
        self._set(columns, *in_one_precision(tuple(given)), as_ranges(ranges))
        self._check_shapes()
        check_ranges(self.ranges, self.pmfs)
        self.check()

    @classmethod
    def from_pmfs(
        cls,
        pmfs: Mapping[Any, Any],
        puzzles: str | Layout | PuzzleArrays | PuzzleBatch | PuzzleDataset,
        *,
        mixed: str = "shares",
        logits: bool = False,
        temperature: float | Mapping[Any, float] = 1.0,
        floor: float = 0.0,
    ) -> Scene:
        """A scene from PMFs as a classifier has them: values in the data set's own order, as ``levels in use`` count.

        Type has V = 5 values (triangle first), Size 6 (smallest first), Color 10 (white first); attributes of
        I-RAVEN-X have maxval + 1. Panels are context row by row, then the 8 candidates.

        Args:
            pmfs: (component, name), or the name alone for component 0 -> tensor or array. ``Type``, ``Size``,
                ``Color`` (and confounders, if you like): (B, P + 8, V) of the panel; in a component with S slots also
                (B, P + 8, S, V) of the entity in each slot, row by row; those of empty slots are not looked at.
                There also ``Position``, (B, P + 8, S), the probability that each slot is occupied, and, if you like,
                ``Number``, (B, P + 8, S), index n for n + 1 entities. What is left out follows: Number from
                Position, the panel's PMF from its entities.
            puzzles: what was looked at: a constellation's name (RAVEN's range and rows of three), puzzles, or a Layout
                of one constellation.
            mixed: what a panel shows whose entities differ, where that follows from entities: the "shares" of their
                values or "missing" mass. A front-end passes on what it is asked for.
            logits: whether values are logits or log-probabilities: PMFs by softmax, occupancies by sigmoid.
            temperature: probabilities are taken to the power 1 / temperature; one, or several by key or name.
            floor: share of every PMF that is spread evenly over the attribute's values.

        Returns:
            The scene; a gradient passes.

        Raises:
            DtypeError: a value that is no tensor or array of numbers.
            ShapeError: a value of another shape; the sentence names the attribute and the shape.
            VSAError: an attribute that is missing, or that the puzzles do not have; what is no probability.
            SettingsError: an option out of its range.
        """
        options = (mixed, logits, temperature, floor)
        return cls(*parts_from_pmfs(pmfs, puzzles, CANDIDATES, *options))

    def softened(self, temperature: float | Mapping[Any, float] = 1.0, floor: float = 0.0) -> Scene:
        """The same scene, less sure (or surer, with a temperature below one).

        Args:
            temperature: probabilities are taken to the power 1 / temperature; one, or several by key or name (1 where
                none is named).
            floor: share of every PMF that is spread evenly over the attribute's values, or the two states of a slot.

        Returns:
            The scene. Mass that is missing stays missing.

        Raises:
            SettingsError: a temperature that is not positive, a floor outside [0, 1].
        """
        check_softening(temperature, floor)

        degree = {key: temperature_of(key, temperature) for key in self.keys}

        def softer(key: AttributeKey, pmf: PMF) -> PMF:
            if degree[key] == 1 and floor == 0:
                return pmf
            limits = self.ranges.get(key, (lowest_value(key.name, pmf.shape[-1]), None))
            return soften(dense(pmf), degree[key], floor, *limits)

        pmfs, entities = ({key: softer(key, pmf) for key, pmf in part.items()} for part in (self.pmfs, self.entities))
        sets = {key: soften_states(one, degree[key], floor) for key, one in self.sets.items()}
        return self._made(pmfs, sets, entities)

    def with_entities(self) -> Scene:
        """The same scene with the entities of every slot: what was not given may be what the panel shows."""
        slots = {key.component: occupied.shape[-1] for key, occupied in self.sets.items()}
        missing = {
            key: dense(pmf).unsqueeze(2).expand(-1, -1, slots[key.component], -1)
            for key, pmf in self.pmfs.items()
            if key.component in slots and key.name != "Number" and key not in self.entities
        }
        return self._made(self.pmfs, self.sets, {**self.entities, **missing}) if missing else self

    def check(self) -> None:
        """Refuse what is no probability: done when a scene is made, and when a learner is shown what was changed since.

        Raises:
            VSAError: which attribute, and what of it.
        """
        if self._unchanged():
            return
        slotted = {key.component for key in self.sets}
        for key, pmf in self.pmfs.items():
            whole = key.component not in slotted
            if isinstance(pmf, SparsePMF):
                pmf.check_values(f"Scene attribute {key}")
                pmf = pmf.weights
            check_probabilities(f"Scene attribute {key}", pmf, summed=True, whole=whole)
        for key, occupied in self.sets.items():
            check_probabilities(f"Scene attribute {key}", occupied, summed=False)
        for key, pmf in self.entities.items():
            check_probabilities(f"Scene attribute {key}, entities", pmf, summed=True)
        for part in (self.pmfs, self.entities):
            for key in part.keys() & self.ranges.keys():
                check_mass(f"Scene attribute {key}", part[key], self.ranges[key])
        object.__setattr__(self, "_checked", self._versions())

    @property
    def context_panels(self) -> int:
        return ROWS * self.columns - 1

    @property
    def panels(self) -> int:
        return self.context_panels + CANDIDATES

    @property
    def keys(self) -> tuple[AttributeKey, ...]:
        return (*self.pmfs, *self.sets)

    @property
    def device(self) -> torch.device:
        return next(iter((*self.pmfs.values(), *self.sets.values()))).device

    def __len__(self) -> int:
        return next(iter((*self.pmfs.values(), *self.sets.values()))).shape[0]

    def __getitem__(self, puzzles: slice | Tensor) -> Scene:
        """The same scene for some of the puzzles."""
        if isinstance(puzzles, int):
            raise DtypeError("Scene[...]", received=f"{puzzles}", expected=f"a slice, as in scene[{puzzles}:][:1]")
        return self._each(lambda value: value[puzzles])

    def to(self, to: torch.device | str | torch.dtype) -> Scene:
        """A copy whose tensors live on another device, or are of another precision."""
        return self._each(lambda value: value.to(to))

    def dense(self) -> Scene:
        """The same scene with a tensor for every attribute; the very same where there are tensors only."""
        if not any(isinstance(pmf, SparsePMF) for pmf in self.pmfs.values()):
            return self
        return self._made({key: dense(pmf) for key, pmf in self.pmfs.items()}, self.sets, self.entities)

    def _each(self, change: Callable[[Any], Any]) -> Scene:
        parts = [{key: change(value) for key, value in part.items()} for part in (self.pmfs, self.sets, self.entities)]
        return self._made(*parts)

    def _made(self, *parts: Mapping[AttributeKey, Any]) -> Scene:
        """A scene of what was checked already."""
        made = object.__new__(type(self))
        made._set(self.columns, *parts, self.ranges)
        if self._unchanged():
            object.__setattr__(made, "_checked", made._versions())
        return made

    def _unchanged(self) -> bool:
        """Whether nothing was written into the tensors since they were checked, as far as torch can tell."""
        checked = getattr(self, "_checked", None)
        return checked is not None and checked == self._versions()

    def _versions(self) -> list[tuple[int, ...]] | None:
        """Which tensors these are, and how often they were written to; None where torch does not count."""
        parts = (self.pmfs, self.sets, self.entities)
        try:
            return [(id(value), *_writes(value)) for part in parts for value in part.values()]
        except RuntimeError:  # made in inference mode
            return None

    def _set(self, columns: int, *parts: Mapping[AttributeKey, Any]) -> None:
        for name, value in zip(("columns", "pmfs", "sets", "entities", "ranges"), (columns, *parts), strict=True):
            object.__setattr__(self, name, value)

    def _check_shapes(self) -> None:
        batch = device = None
        twice = [key for key in self.pmfs if key in self.sets]
        if twice:
            raise VSAError(
                f"Scene attribute {twice[0]}", received="a PMF and a set of slots", expected="one of the two"
            )
        slots = {key.component: occupied.shape[-1] for key, occupied in self.sets.items()}
        for axes, part in ((3, self.pmfs), (3, self.sets), (4, self.entities)):
            letters = "(B, {}, S, V)" if axes == 4 else "(B, {}, S)" if part is self.sets else "(B, {}, V)"
            for key, value in part.items():
                what = f"Scene attribute {key}"
                if value.ndim != axes or value.shape[1] != self.panels or 0 in value.shape[2:]:
                    raise ShapeError(
                        what,
                        received=f"shape {tuple(value.shape)}",
                        expected=f"{letters.format(self.panels)} for {ROWS} x {self.columns} matrices",
                    )
                if batch is not None and value.shape[0] != batch:
                    raise ShapeError(
                        what, received=f"{value.shape[0]} puzzles", expected=f"{batch} as in the other attributes"
                    )
                if device is not None and value.device != device:
                    raise DtypeError(what, received=f"a tensor on {value.device}", expected=f"{device}, as the others")
                batch, device = value.shape[0], value.device
        for key, value in self.entities.items():
            expected = (slots.get(key.component), self.pmfs[key].shape[-1] if key in self.pmfs else None)
            if tuple(value.shape[2:]) != expected:
                raise ShapeError(
                    f"Scene attribute {key}",
                    received=f"entities of shape {tuple(value.shape)}",
                    expected=f"(B, {self.panels}, {expected[0]}, {expected[1]}), as slots and values are"
                    if None not in expected
                    else "a set of slots of that component, and a PMF of that attribute beside its entities",
                )


def _writes(value: PMF) -> tuple[int, ...]:
    """How often torch has written into what a PMF is made of."""
    if isinstance(value, SparsePMF):
        return value.values._version, value.weights._version
    return (value._version,)

"""A scene as formulas read it: attributes that are alike side by side, each with the readings that it allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from datasets.attributes import ENTITY_ATTRIBUTES
from reasoning.distributions.pmfs import count_pmf, lowest_value
from reasoning.learners.role_formulas.follow import Evidence, Norm, follow, norm
from reasoning.learners.role_formulas.formula import Formula
from reasoning.learners.role_formulas.matches import follow_bundle, follow_layout
from reasoning.learners.role_formulas.seen import Seen, Slots, even, numbers
from reasoning.learners.role_formulas.sets import follow_sets
from reasoning.learners.role_formulas.writing.alphabet import Alphabet
from reasoning.scene import AttributeKey, Scene
from reasoning.sparse import SparsePMF, dense, with_missing

__all__ = [
    "KINDS",
    "READINGS",
    "Reader",
    "View",
    "entity_keys",
    "grid_view",
    "grid_views",
    "place_view",
    "range_of",
    "single_views",
    "views",
]

_NAMED = tuple(attribute.name for attribute in ENTITY_ATTRIBUTES)
_PLACE, _OTHER = "Number/Position", "any other"
KINDS = (*_NAMED, _PLACE, _OTHER)  # of attributes: each has its own prior over formulas
READINGS = ("value", "bundle", "layout")  # of attributes of entities
PLACE_READINGS = ("value", "set")  # of where entities are: their number, their slots


@dataclass(frozen=True)
class View:
    """Some attributes of B puzzles that are read alike, one after the other along the batch.

    Attributes:
        keys: the attributes; of a place, Number and Position.
        kinds: one index into ``KINDS`` for each block of B along the batch.
        values: what is seen as values.
        slots: the entities one by one, in a grid.
        occupied: (B, P, S), of a place.
    """

    keys: tuple[AttributeKey, ...]
    kinds: tuple[int, ...]
    values: Seen | None
    slots: Slots | None = None
    occupied: Tensor | None = None

    @property
    def is_place(self) -> bool:
        return self.occupied is not None

    def index(self, reading: str) -> int:
        """The place of a reading among all that a view of this sort may allow."""
        return (PLACE_READINGS if self.is_place else READINGS).index(reading)


def kind_of(key: AttributeKey) -> int:
    """The kind of an attribute of entities."""
    return KINDS.index(key.name if key.name in _NAMED else _OTHER)


def views(scene: Scene) -> Iterator[View]:
    """All attributes of a scene, grids slot by slot as they are seen.

    Args:
        scene: B puzzles.

    Yields:
        Attributes of equally many values together, those of grids one by one, then where their entities are.
    """
    yield from single_views(scene)
    for place in scene.sets:
        yield from grid_views(scene, place)


def grid_views(scene: Scene, place: AttributeKey) -> Iterator[View]:
    """A grid as it is seen: the attributes of its entities, then where they are."""
    yield from (grid_view(scene, key) for key in entity_keys(scene, place))
    yield place_view(scene, place)


def entity_keys(scene: Scene, place: AttributeKey) -> list[AttributeKey]:
    """The attributes of a grid's entities that may have more than one value."""
    same = [key for key in scene.pmfs if key.component == place.component and key.name != "Number"]
    return [key for key in same if range_of(scene, key)[0] < range_of(scene, key)[1]]


def single_views(scene: Scene) -> Iterator[View]:
    """The attributes of components that show single entities.

    Args:
        scene: B puzzles.

    Yields:
        Those of equally many values together.
    """
    grids = {key.component for key in scene.sets}
    together: dict[tuple[int, ...], list[AttributeKey]] = {}
    for key, pmf in scene.pmfs.items():
        low, high = range_of(scene, key)
        if key.component not in grids and low < high:  # else there is nothing to say of it
            held = pmf.weights.shape[-1] if isinstance(pmf, SparsePMF) else 0
            together.setdefault((pmf.shape[-1], held, low, high), []).append(key)
    for (values, _, low, high), keys in together.items():
        yield View(tuple(keys), tuple(map(kind_of, keys)), _single(scene, keys, values, low, high))


def place_view(scene: Scene, place: AttributeKey, occupied: Tensor | None = None) -> View:
    """Where the entities of a grid are.

    Args:
        scene: B puzzles.
        place: its set of slots.
        occupied: (B, P, S), what is believed of the slots instead of what is seen; numbers follow from it.

    Returns:
        The view.
    """
    number, seen = AttributeKey(place.component, "Number"), None
    if number in scene.pmfs:
        pmf = dense(scene.pmfs[number])
        if occupied is not None:
            pmf = count_pmf(occupied, pmf.shape[-1])
        slots = scene.sets[place].shape[-1]
        seen = Seen(torch.nn.functional.pad(pmf, (0, 1)), numbers(slots, pmf.shape[-1], pmf))
    shown = (number, place) if seen is not None else (place,)
    return View(shown, (KINDS.index(_PLACE),), seen, occupied=scene.sets[place] if occupied is None else occupied)


def grid_view(scene: Scene, key: AttributeKey, occupied: Tensor | None = None) -> View:
    """An attribute of the entities of a grid.

    Args:
        scene: B puzzles.
        key: which.
        occupied: (B, P, S), what is believed of the slots instead of what is seen.

    Returns:
        The view.
    """
    pmf = dense(scene.pmfs[key])
    shown = dense(with_missing(pmf))
    low, high = range_of(scene, key)
    background = even(low, high, pmf.shape[-1], True, pmf)
    if key not in scene.entities:
        return View((key,), (kind_of(key),), Seen(shown, background))
    place = next(one for one in scene.sets if one.component == key.component)
    seen = scene.sets[place] if occupied is None else occupied
    slots = Slots(seen, torch.nn.functional.pad(scene.entities[key], (0, 1)), low, high)
    weights = shown if slots.certain else slots.panel()
    return View((key,), (kind_of(key),), Seen(weights, background), slots)


def range_of(scene: Scene, key: AttributeKey) -> tuple[int, int]:
    """The lowest and the highest magnitude of an attribute, as far as the scene says."""
    values = scene.pmfs[key].shape[-1]
    return scene.ranges.get(key, (lowest_value(key.name, values), values - 1))


def _single(scene: Scene, keys: Sequence[AttributeKey], values: int, low: int, high: int) -> Seen:
    pmfs = [scene.pmfs[key] for key in keys]
    sparse = [pmf for pmf in pmfs if isinstance(pmf, SparsePMF)]
    if sparse:
        weights = torch.cat([pmf.weights for pmf in sparse])
        support = torch.cat([pmf.values for pmf in sparse])
        return Seen(weights, even(low, high, values, False, weights), support)
    pmf = torch.cat([dense(pmf) for pmf in pmfs])
    return Seen(torch.nn.functional.pad(pmf, (0, 1)), even(low, high, values, False, pmf))


class Reader:
    """Reads formulas over views; remembers what they make of a puzzle of which nothing is seen.

    Args:
        alphabet: writes and reads.
        eps: share of panels that follow nothing.
        filtered: whether predicted panels are made surer by what predicts them.
        normed: whether evidence is divided by a formula's share of valid predictions.
        readings: which readings are made.
    """

    def __init__(
        self,
        alphabet: Alphabet,
        eps: float,
        *,
        filtered: bool = True,
        normed: bool = True,
        readings: Sequence[str] = (*READINGS, PLACE_READINGS[1]),
    ) -> None:
        self.alphabet, self.eps, self.filtered, self.normed = alphabet, eps, filtered, normed
        self.made = frozenset(readings)
        self._norms: dict[tuple[object, ...], Norm] = {}

    def read(
        self, formula: Formula, view: View, columns: int, readings: Sequence[str] | None = None
    ) -> dict[str, Evidence]:
        """What a formula says under each reading.

        Args:
            formula: which.
            view: of B puzzles.
            columns: n.
            readings: which are asked for. Default: all that are made.

        Returns:
            Reading -> evidence; readings under which the formula says nothing are left out.
        """
        eps, alphabet, filtered = self.eps, self.alphabet, self.filtered
        made: dict[str, Callable[[], Evidence | None]] = {}
        if (seen := view.values) is not None:
            made["value"] = lambda: self._values(formula, seen, columns)
        if (slots := view.slots) is not None:
            made["bundle"] = lambda: follow_bundle(formula, slots, alphabet, columns, eps)
            made["layout"] = lambda: follow_layout(formula, slots, alphabet, columns, eps, filtered=filtered)
        if (occupied := view.occupied) is not None:
            made["set"] = lambda: follow_sets(formula, occupied, alphabet, columns, eps, filtered=filtered)
        asked = self.made if readings is None else self.made.intersection(readings)
        found = {reading: make() for reading, make in made.items() if reading in asked}
        return {reading: evidence for reading, evidence in found.items() if evidence is not None}

    def _values(self, formula: Formula, seen: Seen, columns: int) -> Evidence | None:
        flat = self._norm(formula, seen, columns)
        if not flat.possible:
            return None
        return follow(formula, seen, self.alphabet, columns, self.eps, flat, filtered=self.filtered)

    def _norm(self, formula: Formula, seen: Seen, columns: int) -> Norm:
        place = (formula, columns, self.eps, seen.background.device, tuple(seen.background.tolist()))
        if place not in self._norms:
            with torch.no_grad():
                found = norm(formula, seen, self.alphabet, columns, self.eps)
            if not self.normed and found.possible:
                found = Norm(dict.fromkeys(found.panels, 1.0), 1.0, 1.0)
            self._norms[place] = found
        return self._norms[place]

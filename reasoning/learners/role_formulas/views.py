"""A scene as formulas read it: attributes that are alike side by side, each with the readings that it allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from datasets.attributes import ENTITY_ATTRIBUTES
from reasoning.learners.role_formulas.alphabet import Alphabet
from reasoning.learners.role_formulas.follow import Evidence, Norm, follow, norm
from reasoning.learners.role_formulas.formula import Formula
from reasoning.learners.role_formulas.matches import follow_bundle, follow_layout
from reasoning.learners.role_formulas.seen import Seen, Slots, even, numbers
from reasoning.learners.role_formulas.sets import follow_sets
from reasoning.pmfs import lowest_value
from reasoning.scene import AttributeKey, Scene
from reasoning.sparse import SparsePMF, dense

__all__ = ["KINDS", "READINGS", "Reader", "View", "views"]

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
    """All attributes of a scene.

    Args:
        scene: B puzzles.

    Yields:
        Places by themselves, attributes of equally many values and slots together.
    """
    grids = {key.component: key for key in scene.sets}
    together: dict[tuple[int, ...], list[AttributeKey]] = {}
    for key, pmf in scene.pmfs.items():
        if key.component in grids and key.name == "Number":
            continue
        slots = scene.sets[grids[key.component]].shape[-1] if key.component in grids else 1
        low, high = _range(scene, key)
        if low == high:  # nothing to say of it
            continue
        held = pmf.weights.shape[-1] if isinstance(pmf, SparsePMF) else 0
        together.setdefault((pmf.shape[-1], held, slots, low, high), []).append(key)
    for (values, _, slots, low, high), keys in together.items():
        kinds = tuple(map(kind_of, keys))
        if slots == 1:
            yield View(tuple(keys), kinds, _single(scene, keys, values, low, high))
        else:
            yield _grid(scene, keys, kinds, grids, values, low, high)
    for component, place in grids.items():
        occupied = scene.sets[place]
        number = AttributeKey(component, "Number")
        seen = None
        if number in scene.pmfs:
            pmf = dense(scene.pmfs[number])
            values = pmf.shape[-1]
            seen = Seen(torch.nn.functional.pad(pmf, (0, 1)), numbers(occupied.shape[-1], values, pmf))
        shown = (number, place) if seen is not None else (place,)
        yield View(shown, (KINDS.index(_PLACE),), seen, occupied=occupied)


def _range(scene: Scene, key: AttributeKey) -> tuple[int, int]:
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


def _grid(
    scene: Scene,
    keys: Sequence[AttributeKey],
    kinds: tuple[int, ...],
    grids: Mapping[int, AttributeKey],
    values: int,
    low: int,
    high: int,
) -> View:
    pmf = torch.cat([dense(scene.pmfs[key]) for key in keys])
    background = even(low, high, values, True, pmf)
    missing = (1 - pmf.sum(-1, keepdim=True)).clamp_min(0)
    weights = torch.cat([pmf, missing], -1)
    if not all(key in scene.entities for key in keys):
        return View(tuple(keys), kinds, Seen(weights, background))
    occupied = torch.cat([scene.sets[grids[key.component]] for key in keys])
    entities = torch.cat([scene.entities[key] for key in keys])
    slots = Slots(occupied, torch.nn.functional.pad(entities, (0, 1)), low, high)
    if not slots.certain:
        weights = slots.panel()
    return View(tuple(keys), kinds, Seen(weights, background), slots)


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

    def read(self, formula: Formula, view: View, columns: int) -> dict[str, Evidence]:
        """What a formula says under each reading.

        Args:
            formula: which.
            view: of B puzzles.
            columns: n.

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
        found = {reading: make() for reading, make in made.items() if reading in self.made}
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

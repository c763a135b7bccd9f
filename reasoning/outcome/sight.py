"""How well a front-end sees, counted: panels, slots and attributes by their labels, and how sure it was of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from datasets.attributes import ENTITY_ATTRIBUTES
from datasets.panels import shown_panels
from datasets.pixels.alike import same_sizes
from reasoning.outcome.metrics import Tally, reading_counts
from reasoning.outcome.reliability import Reliability
from reasoning.scene import AttributeKey, Scene
from reasoning.sparse import dense

if TYPE_CHECKING:
    from datasets.arrays import ComponentArrays, PuzzleArrays

__all__ = ["Sight", "observe_sight"]

Array = NDArray[Any]
_LEAST = 1e-30  # a probability of zero, where a logarithm is taken
_UNITS = 10**6  # nats are added as whole millionths: the order of batches changes nothing
_NAMES = ("Slot", *(attribute.name for attribute in ENTITY_ATTRIBUTES))
_NONE, _UNSAID = Tally(), Reliability()


@dataclass(frozen=True)
class Sight:
    """Counts of what was seen rightly. ``a + b`` is what counting both at once would have given.

    Attributes:
        panels: panels of which everything was seen rightly.
        merged: the same, where sizes that have the same pixels count as one.
        layouts: puzzles whose layout was recognised; none where it was not asked for.
        attributes: "Slot" (occupied or not), Type, Size, Color of each entity.
        millionths: negative log-likelihood of the labels, in millionths of a nat, of all entities and slots.
        certainty: attributes of entities, by how certain they were.
    """

    panels: Tally = _NONE
    merged: Tally = _NONE
    layouts: Tally = _NONE
    attributes: Mapping[str, Tally] = field(default_factory=lambda: dict.fromkeys(_NAMES, _NONE))
    millionths: int = 0
    certainty: Reliability = _UNSAID

    def __add__(self, other: Sight) -> Sight:
        return Sight(
            self.panels + other.panels,
            self.merged + other.merged,
            self.layouts + other.layouts,
            {name: self.attributes[name] + other.attributes[name] for name in _NAMES},
            self.millionths + other.millionths,
            self.certainty + other.certainty,
        )

    @property
    def nats(self) -> float:
        """Mean negative log-likelihood of what is in a panel."""
        return self.millionths / _UNITS / max(self.panels.total, 1)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            **{name: getattr(self, name).as_dict() for name in ("panels", "merged", "layouts")},
            "attributes": {name: tally.as_dict() for name, tally in self.attributes.items()},
            "millionths": self.millionths,
            "certainty": self.certainty.as_dict(),
        }

    @staticmethod
    def from_dict(stored: Any, source: object = "a result") -> Sight:
        """Back from the JSON form.

        Args:
            stored: as it was read.
            source: where it is from, for messages.

        Raises:
            CorruptFileError: a field is missing or impossible.
        """
        with reading_counts(source):
            if type(stored["millionths"]) is not int:
                raise TypeError(f"{str(stored['millionths'])[:80]!r} for a count")
            return Sight(
                Tally.from_dict(stored["panels"]),
                Tally.from_dict(stored["merged"]),
                Tally.from_dict(stored["layouts"]),
                {name: Tally.from_dict(stored["attributes"][name]) for name in _NAMES},
                stored["millionths"],
                Reliability.from_dict(stored["certainty"]),
            )


def observe_sight(scene: Scene, arrays: PuzzleArrays) -> Sight:
    """Compare a scene with the labels.

    Args:
        scene: B puzzles.
        arrays: those puzzles.

    Returns:
        The counts, layouts left out.
    """
    panels = shown_panels(arrays.columns)
    alike = same_sizes(arrays.constellation) if arrays.maxval is None else None
    right = merged = np.ones((len(arrays), scene.panels), dtype=np.bool_)
    attributes, certainty, nats, start = dict.fromkeys(_NAMES, _NONE), Reliability(), 0.0, 0
    for number, component in enumerate(arrays.components):
        there = component.exists[:, panels].astype(bool)
        slots = np.arange(start, start + component.slots)
        start += component.slots
        occupied = scene.sets.get(AttributeKey(number, "Position"))
        if occupied is not None:
            pmf = _numpy(occupied)
            found = (pmf > 0.5) == there
            nats -= _log(np.where(there, pmf, 1 - pmf)).sum()
            attributes["Slot"] += Tally.of(found)
            right, merged = right & found.all(-1), merged & found.all(-1)
        seen = {name: _entities(scene, AttributeKey(number, name)) for name in _NAMES[1:]}
        for attribute in ENTITY_ATTRIBUTES:
            pmf = seen[attribute.name]
            truth = _indices(component, attribute.name, panels, pmf.shape[-1])
            chosen = pmf.argmax(-1)
            hit = chosen == truth
            sure = np.take_along_axis(pmf, np.maximum(truth, 0)[..., None], -1)[..., 0]
            nats -= _log(sure[there]).sum()
            attributes[attribute.name] += Tally.of(hit[there])
            certainty += Reliability.of(np.clip(pmf.max(-1)[there], 0, 1), hit[there])
            right = right & (hit | ~there).all(-1)
            if attribute.name == "Size" and alike is not None:
                types = component.attributes["Type"][:, panels] - ENTITY_ATTRIBUTES[0].low
                offset = pmf.shape[-1] - alike.shape[-1]
                pairs = (np.maximum(types, 0), np.maximum(truth - offset, 0), np.maximum(chosen - offset, 0))
                hit = hit | alike[(np.broadcast_to(slots, types.shape), *pairs)]
            merged = merged & (hit | ~there).all(-1)
    return Sight(Tally.of(right), Tally.of(merged), _NONE, attributes, round(nats * _UNITS), certainty)


def _entities(scene: Scene, key: AttributeKey) -> Array:
    """(B, P, S, V), of slots or of the only one."""
    if key in scene.entities:
        return _numpy(scene.entities[key])
    return _numpy(dense(scene.pmfs[key]))[:, :, None]


def _indices(component: ComponentArrays, name: str, panels: slice, width: int) -> Array:
    """Where the labels are on an axis of magnitudes; -1 where nothing is."""
    attribute = next(one for one in ENTITY_ATTRIBUTES if one.name == name)
    levels = component.attributes[name][:, panels].astype(np.int64)
    return np.where(component.exists[:, panels], levels - attribute.high + width - 1, -1)


def _log(values: Array) -> Array:
    return np.log(np.maximum(values, _LEAST))


def _numpy(values: torch.Tensor) -> Array:
    return values.detach().double().cpu().numpy()

"""One puzzle as objects, for people: made lazily from arrays, printed in a terminal, drawn in a notebook."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsa.errors import DtypeError, ShapeError, VSAError

from .arrays import CANDIDATES, GOVERNED, RULE_SLOTS, PuzzleArrays
from .attributes import ANGLE, ATTRIBUTES
from .constellations import CONSTELLATIONS
from .rules.base import RULES, rule_name

__all__ = ["Entity", "Panel", "Puzzle", "RuleInstance"]


@dataclass(frozen=True)
class Entity:
    """One shape.

    Args:
        slot: its place in the component's layout, row by row from 0.
        type: level 1-5 (triangle, square, pentagon, hexagon, circle); any value >= 0 in I-RAVEN-X.
        size: level 0-5.
        color: level 0-9, from white to black.
        angle: level 0-7, steps of 45 degrees from -135; None where the file says nothing.
        confounders: values of the attributes without a rule.
    """

    slot: int
    type: int
    size: int
    color: int
    angle: int | None = None
    confounders: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        numbers = {"slot": self.slot, "type": self.type, "size": self.size, "color": self.color}
        if self.angle is not None:
            numbers["angle"] = self.angle
        for name, value in (*numbers.items(), *((f"confounder {k}", v) for k, v in enumerate(self.confounders))):
            if isinstance(value, bool) or not isinstance(value, int):
                raise DtypeError(f"Entity, {name}", received=repr(value), expected="an int")
            if value < 0:
                raise VSAError(f"Entity, {name}", received=value, expected="at least 0")

    def level(self, attribute: str) -> int | None:
        """The level of an attribute by its name in the files.

        Args:
            attribute: Type, Size, Color or Angle.

        Returns:
            The level, None for an angle that the file does not hold.
        """
        return {"Type": self.type, "Size": self.size, "Color": self.color, "Angle": self.angle}[attribute]


@dataclass(frozen=True)
class Panel:
    """One panel.

    Args:
        components: for each component of the constellation its entities, in the order of their slots.
        uniformity: per component level 0-3, of which only 3 makes the entities alike; None: the file says nothing.
    """

    components: tuple[tuple[Entity, ...], ...]
    uniformity: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        for c, entities in enumerate(self.components):
            slots = [entity.slot for entity in entities]
            if not slots or sorted(set(slots)) != slots:
                raise VSAError(
                    f"Panel, component {c}", received=f"slots {slots}", expected="at least one entity, slots increasing"
                )
        if self.uniformity is not None and len(self.uniformity) != len(self.components):
            raise ShapeError(
                "Panel", received=f"{len(self.uniformity)} uniformities", expected=f"{len(self.components)}"
            )


@dataclass(frozen=True)
class RuleInstance:
    """A rule at work.

    Args:
        component: which component it governs.
        attribute: Number/Position (neither changes), Number, Position, Type, Size or Color.
        name: of a registered rule: Constant, Progression, Arithmetic, Distribute_Three, ...
        parameter: progression: the step; arithmetic: the sign; distribute three: the direction of the shift from row
            to row; 0: none, or the file does not say.
    """

    component: int
    attribute: str
    name: str
    parameter: int = 0

    def __post_init__(self) -> None:
        if self.attribute not in (*GOVERNED, *RULE_SLOTS):
            raise VSAError(
                "RuleInstance, attribute",
                received=repr(self.attribute),
                expected=", ".join((*GOVERNED, *RULE_SLOTS[1:])),
            )
        if self.name not in RULES:
            raise VSAError("RuleInstance, name", received=repr(self.name), expected=", ".join(RULES.names()))

    def __str__(self) -> str:
        return f"{self.attribute} {RULES.get(self.name).describe(self.parameter)}"


@dataclass(frozen=True)
class Puzzle:
    """A matrix with its last panel missing, eight candidates, and what governs it.

    Args:
        dataset: where it comes from.
        constellation: published name.
        columns: n.
        context: the n * n - 1 panels, row by row.
        candidates: eight panels.
        target: which candidate is right, 0-7.
        rules: what governs the rows.
        index: its number.
        maxval: the value range of I-RAVEN-X, None for RAVEN.
        pixels: where its pixels lie (:class:`datasets.files.images.Image`); None: they are drawn. Not compared.
    """

    dataset: str
    constellation: str
    columns: int
    context: tuple[Panel, ...]
    candidates: tuple[Panel, ...]
    target: int
    rules: tuple[RuleInstance, ...]
    index: int = 0
    maxval: int | None = None
    pixels: Any = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.constellation not in CONSTELLATIONS:
            raise VSAError(
                "Puzzle", received=f"constellation {self.constellation!r}", expected=", ".join(CONSTELLATIONS)
            )
        wanted = self.columns * self.columns - 1
        if len(self.context) != wanted or len(self.candidates) != CANDIDATES:
            raise ShapeError(
                "Puzzle",
                received=f"{len(self.context)} context panels and {len(self.candidates)} candidates",
                expected=f"{wanted} and {CANDIDATES}",
            )
        if not 0 <= self.target < CANDIDATES:
            raise VSAError("Puzzle, target", received=self.target, expected=f"0 to {CANDIDATES - 1}")
        layouts = CONSTELLATIONS[self.constellation].components
        for p, panel in enumerate((*self.context, *self.candidates)):
            if len(panel.components) != len(layouts):
                raise ShapeError(
                    f"Puzzle, panel {p}", received=f"{len(panel.components)} components", expected=f"{len(layouts)}"
                )
            for layout, entities in zip(layouts, panel.components, strict=True):
                for entity in entities:
                    self._check(entity, f"Puzzle, panel {p}, {layout.name}", layout.slots)

    def _check(self, entity: Entity, where: str, slots: int) -> None:
        if entity.slot >= slots:
            raise VSAError(where, received=f"slot {entity.slot}", expected=f"0 to {slots - 1}")
        for name, attribute in ATTRIBUTES.items():
            level = entity.level(name)
            low, high = (attribute.low, attribute.high) if self.maxval is None else (0, self.maxval)
            if level is not None and not low <= level <= high:
                raise VSAError(f"{where}, {name}", received=level, expected=f"{low} to {high}")

    @classmethod
    def from_arrays(cls, arrays: PuzzleArrays, item: int) -> Puzzle:
        """One puzzle out of many.

        Args:
            arrays: N puzzles.
            item: which one, negative from the end.

        Returns:
            The puzzle.

        Raises:
            IndexError: there is no such item.
        """
        i = operator.index(item)
        if not -len(arrays) <= i < len(arrays):
            raise IndexError(f"puzzle {i} of {len(arrays)}")
        i %= len(arrays)
        panels = tuple(_panel(arrays, i, p) for p in range(arrays.panels))
        rules = tuple(
            RuleInstance(
                component=c,
                attribute=GOVERNED[component.governed[i]] if slot == 0 else name,
                name=rule_name(int(component.rules[i, slot])),
                parameter=int(component.parameters[i, slot]),
            )
            for c, component in enumerate(arrays.components)
            for slot, name in enumerate(RULE_SLOTS)
        )
        return cls(
            dataset=arrays.dataset,
            constellation=arrays.constellation,
            columns=arrays.columns,
            context=panels[: arrays.context],
            candidates=panels[arrays.context :],
            target=int(arrays.target[i]),
            rules=rules,
            index=int(arrays.index[i]),
            maxval=arrays.maxval,
            pixels=None if arrays.pixels is None else arrays.pixels[i],
        )

    @property
    def title(self) -> str:
        """Which puzzle, in words."""
        extent = "" if self.maxval is None else f", {self.columns} columns, values 0 to {self.maxval}"
        return f"puzzle {self.index} of {self.dataset}, {self.constellation}{extent}"

    def record(self) -> dict[str, Any]:
        """Which puzzle, for JSON."""
        names = ("dataset", "constellation", "index", "columns", "maxval")
        return {name: getattr(self, name) for name in names}

    def drawn(self) -> NDArray[np.uint8] | None:
        """Its panels in pixels, drawn from the levels; None where there is no angle, no OpenCV, or are other levels."""
        from .pixels.render import render
        from .puzzle_arrays import arrays_of

        try:
            return np.asarray(render(arrays_of(self))[0])
        except VSAError:
            return None

    @property
    def answer(self) -> Panel:
        """The right candidate."""
        return self.candidates[self.target]

    def __str__(self) -> str:
        from .pixels.views import text  # here: a batch of puzzles should not pay for it

        return text(self)

    def _repr_html_(self) -> str:
        from .pixels.views import html

        return html(self)

    def _repr_png_(self) -> bytes | None:
        from .pixels.views import picture

        return picture(self)


def _panel(arrays: PuzzleArrays, i: int, p: int) -> Panel:
    components = []
    for component in arrays.components:
        levels = component.attributes
        confounders = sorted((name for name in levels if name.startswith("Confounder")), key=_number)
        entities = []
        for s in component.exists[i, p].nonzero()[0].tolist():
            entities.append(
                Entity(
                    slot=s,
                    type=int(levels["Type"][i, p, s]),
                    size=int(levels["Size"][i, p, s]),
                    color=int(levels["Color"][i, p, s]),
                    angle=int(levels[ANGLE.name][i, p, s]) if ANGLE.name in levels else None,
                    confounders=tuple(int(levels[name][i, p, s]) for name in confounders),
                )
            )
        components.append(tuple(entities))
    uniformity = [component.uniformity for component in arrays.components]
    known = None if any(u is None for u in uniformity) else tuple(int(u[i, p]) for u in uniformity if u is not None)
    return Panel(tuple(components), known)


def _number(name: str) -> int:
    return int(name.removeprefix("Confounder"))

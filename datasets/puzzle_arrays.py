"""From puzzles as objects back to arrays: what :meth:`datasets.puzzle.Puzzle.from_arrays` does, undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vsa.errors import UnsupportedError

from .arrays import GOVERNED, RULE_SLOTS, ComponentArrays, PuzzleArrays
from .attributes import ANGLE, ENTITY_ATTRIBUTES
from .constellations import CONSTELLATIONS
from .rules.base import rule_code

if TYPE_CHECKING:
    from .puzzle import Entity, Panel, Puzzle

__all__ = ["arrays_of"]


def arrays_of(puzzle: Puzzle) -> PuzzleArrays:
    """A puzzle as arrays again.

    Args:
        puzzle: any puzzle.

    Returns:
        A batch of one. Angles are left out where an entity has none.

    Raises:
        UnsupportedError: its rules or its entities' confounders are not those of a data set.
    """
    panels = (*puzzle.context, *puzzle.candidates)
    pixels = None if puzzle.pixels is None else np.full(1, puzzle.pixels, dtype=object)
    return PuzzleArrays(
        dataset=puzzle.dataset,
        constellation=puzzle.constellation,
        columns=puzzle.columns,
        maxval=puzzle.maxval,
        components=tuple(_component(puzzle, panels, c) for c in range(len(panels[0].components))),
        target=np.array([puzzle.target], dtype=np.int8),
        index=np.array([puzzle.index], dtype=np.int64),
        pixels=pixels,
    )


def _component(puzzle: Puzzle, panels: tuple[Panel, ...], c: int) -> ComponentArrays:
    shape = (1, len(panels), CONSTELLATIONS[puzzle.constellation].components[c].slots)
    entities = [(p, entity) for p, panel in enumerate(panels) for entity in panel.components[c]]
    confounders = {len(entity.confounders) for _, entity in entities}
    rules = [rule for rule in puzzle.rules if rule.component == c]
    if len(rules) != len(RULE_SLOTS) or len(confounders) != 1:
        received = f"{len(rules)} rules, entities with {' or '.join(map(str, sorted(confounders)))} confounders"
        raise UnsupportedError("puzzle as arrays", received=received, expected=f"{len(RULE_SLOTS)} rules, one number")
    names = [attribute.name for attribute in ENTITY_ATTRIBUTES]
    if all(entity.angle is not None for _, entity in entities):
        names.append(ANGLE.name)
    names += [f"Confounder{k}" for k in range(confounders.pop())]
    exists = np.zeros(shape, dtype=bool)
    attributes = {name: np.full(shape, -1, dtype=np.int16) for name in names}
    for p, entity in entities:
        exists[0, p, entity.slot] = True
        for name in names:
            attributes[name][0, p, entity.slot] = _level(entity, name)
    levels = [panel.uniformity[c] for panel in panels if panel.uniformity is not None]
    return ComponentArrays(
        exists=exists,
        attributes=attributes,
        uniformity=np.array([levels], dtype=np.int8) if len(levels) == len(panels) else None,
        rules=np.array([[rule_code(rule.name) for rule in rules]], dtype=np.int8),
        governed=np.array([GOVERNED.index(rules[0].attribute)], dtype=np.int8),
        parameters=np.array([[rule.parameter for rule in rules]], dtype=np.int16),
    )


def _level(entity: Entity, name: str) -> int:
    if name.startswith("Confounder"):
        return entity.confounders[int(name.removeprefix("Confounder"))]
    level = entity.level(name)
    return -1 if level is None else level  # an angle is there: its name was added for that reason

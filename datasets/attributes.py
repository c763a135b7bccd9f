"""The attributes of an entity and of a panel, and the ranges of their levels.

A *level* is the index of a value, as the xml of the datasets has it. A *magnitude* is what the arithmetic rules add:
the level plus the attribute's offset (a Size level 0 counts as one, a Color level 0 as nothing).

Reference:
    Zhang et al. 2019, "RAVEN: A Dataset for Relational and Analogical Visual rEasoNing".
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ANGLE",
    "ATTRIBUTES",
    "COLOR",
    "ENTITY_ATTRIBUTES",
    "ROWS",
    "SIZE",
    "TYPE",
    "UNIFORM",
    "UNIFORMITY_LEVELS",
    "Attribute",
]

ROWS = 3  # a solver is shown the last three rows, whatever the number of columns
UNIFORMITY_LEVELS = 4
UNIFORM = 3  # of the four equally likely uniformity levels only this one makes the entities of a panel alike


@dataclass(frozen=True)
class Attribute:
    """An attribute of entities.

    Args:
        name: as in the xml.
        values: what each level stands for; index 0 is level 0.
        low: the smallest level in use.
        offset: magnitude minus level.
    """

    name: str
    values: tuple[str | int | float, ...]
    low: int = 0
    offset: int = 0

    @property
    def high(self) -> int:
        """The largest level in use."""
        return len(self.values) - 1


TYPE = Attribute("Type", ("none", "triangle", "square", "pentagon", "hexagon", "circle"), low=1)
SIZE = Attribute("Size", (0.4, 0.5, 0.6, 0.7, 0.8, 0.9), offset=1)
COLOR = Attribute("Color", (255, 224, 196, 168, 140, 112, 84, 56, 28, 0))
ANGLE = Attribute("Angle", (-135, -90, -45, 0, 45, 90, 135, 180))

ENTITY_ATTRIBUTES = (TYPE, SIZE, COLOR)  # those that rules govern, in the order of the rules; Angle is noise
ATTRIBUTES = {attribute.name: attribute for attribute in (*ENTITY_ATTRIBUTES, ANGLE)}

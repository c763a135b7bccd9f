"""The seven layouts of RAVEN: which components a panel has and where their slots are.

Reference:
    Zhang et al. 2019, "RAVEN: A Dataset for Relational and Analogical Visual rEasoNing".
"""

from __future__ import annotations

from dataclasses import dataclass

from vsa.errors import UnknownNameError

from .attributes import COLOR, SIZE, TYPE

__all__ = ["CONSTELLATIONS", "SHORT_NAMES", "Component", "Constellation", "resolve_constellation"]

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Component:
    """One component of a panel.

    Args:
        name: of the component, as in the xml.
        layout: name of its layout, as in the xml.
        boxes: one [y, x, h, w] per slot, row by row, in units of the panel.
        size: smallest and largest Size level.
        color: smallest and largest Color level.
    """

    name: str
    layout: str
    boxes: tuple[Box, ...]
    size: tuple[int, int] = (SIZE.low, SIZE.high)
    color: tuple[int, int] = (COLOR.low, COLOR.high)

    @property
    def slots(self) -> int:
        """Number of slots S."""
        return len(self.boxes)

    def range(self, attribute: str) -> tuple[int, int]:
        """Smallest and largest level of an attribute here.

        Args:
            attribute: Type, Size or Color.

        Returns:
            (low, high), both inclusive.
        """
        return {"Type": (TYPE.low, TYPE.high), "Size": self.size, "Color": self.color}[attribute]


@dataclass(frozen=True)
class Constellation:
    """A layout of panels.

    Args:
        name: the published name.
        short: the short name.
        structure: name of the structure node in the xml.
        components: the components, in the order of their ids.
    """

    name: str
    short: str
    structure: str
    components: tuple[Component, ...]


def _grid(lines: tuple[float, ...], side: float) -> tuple[Box, ...]:
    return tuple((y, x, side, side) for y in lines for x in lines)


_WHOLE = ((0.5, 0.5, 1, 1),)
# The outer shape frames another component: never filled, never small.
_OUT = Component("Out", "Out_Center_Single", _WHOLE, size=(3, 5), color=(0, 0))

_ALL = (
    Constellation("center_single", "center", "Singleton", (Component("Grid", "Center_Single", _WHOLE),)),
    Constellation(
        "distribute_four", "2x2", "Singleton", (Component("Grid", "Distribute_Four", _grid((0.25, 0.75), 0.5)),)
    ),
    Constellation(
        "distribute_nine", "3x3", "Singleton", (Component("Grid", "Distribute_Nine", _grid((0.16, 0.5, 0.83), 0.33)),)
    ),
    Constellation(
        "left_center_single_right_center_single",
        "left_right",
        "Left_Right",
        (
            Component("Left", "Left_Center_Single", ((0.5, 0.25, 0.5, 0.5),)),
            Component("Right", "Right_Center_Single", ((0.5, 0.75, 0.5, 0.5),)),
        ),
    ),
    Constellation(
        "up_center_single_down_center_single",
        "up_down",
        "Up_Down",
        (
            Component("Up", "Up_Center_Single", ((0.25, 0.5, 0.5, 0.5),)),
            Component("Down", "Down_Center_Single", ((0.75, 0.5, 0.5, 0.5),)),
        ),
    ),
    Constellation(
        "in_center_single_out_center_single",
        "out_in",
        "Out_In",
        (_OUT, Component("In", "In_Center_Single", ((0.5, 0.5, 0.33, 0.33),))),
    ),
    Constellation(
        "in_distribute_four_out_center_single",
        "out_in_grid",
        "Out_In",
        (_OUT, Component("In", "In_Distribute_Four", _grid((0.42, 0.58), 0.15), size=(2, SIZE.high))),
    ),
)

CONSTELLATIONS: dict[str, Constellation] = {c.name: c for c in _ALL}
SHORT_NAMES: dict[str, str] = {c.short: c.name for c in _ALL}


def resolve_constellation(name: str) -> str:
    """The published name of a constellation.

    Args:
        name: a published or a short name.

    Returns:
        The published name.

    Raises:
        UnknownNameError: there is no such constellation; the message says which are closest.
    """
    if name in CONSTELLATIONS:
        return name
    if name in SHORT_NAMES:
        return SHORT_NAMES[name]
    raise UnknownNameError(
        "resolve constellation", name=name, known=(*CONSTELLATIONS, *SHORT_NAMES), kind="constellation"
    )

"""Glimpses: the slots of a panel cut out of its pixels and brought to one size. A fixed layer; nothing is learned."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from datasets.constellations import CONSTELLATIONS, Box
from datasets.pixels.drawing import IMAGE_SIZE, WHITE, window
from vsa.errors import DtypeError, ShapeError

__all__ = ["SIDE", "Slot", "blank", "check_images", "cut", "ink", "slots_of"]

SIDE = 40  # pixels of a glimpse, both ways
_PIECE = 2**14  # glimpses brought to size at a time


@dataclass(frozen=True)
class Slot:
    """Where an entity may be, and what may lie over it.

    Attributes:
        rows: pixels that its entities can reach.
        columns: likewise.
        frames: whether another component lies within it.
    """

    rows: slice
    columns: slice
    frames: bool


def slots_of(constellation: str) -> tuple[Slot, ...]:
    """The slots of a panel, component by component, row by row.

    Args:
        constellation: published name.
    """
    components = CONSTELLATIONS[constellation].components
    found = []
    for number, component in enumerate(components):
        others = [box for k, other in enumerate(components) if k != number for box in other.boxes]
        for box in component.boxes:
            found.append(Slot(*window(box), frames=any(_within(other, box) for other in others)))
    return tuple(found)


def _within(inner: Box, outer: Box) -> bool:
    return all(abs(inner[k] - outer[k]) + inner[k + 2] / 2 <= outer[k + 2] / 2 for k in (0, 1))


def check_images(what: str, images: Tensor) -> None:
    """Refuse what is no panels.

    Args:
        what: who asks, for the message.
        images: uint8 (..., 160, 160), 255 is white.

    Raises:
        DtypeError: other numbers than bytes.
        ShapeError: another size.
    """
    if images.dtype != torch.uint8:
        raise DtypeError(what, received=str(images.dtype), expected="torch.uint8, 255 is white")
    if images.ndim < 2 or images.shape[-2:] != (IMAGE_SIZE, IMAGE_SIZE):
        raise ShapeError(
            what,
            received=f"shape {tuple(images.shape)}",
            expected=f"(..., {IMAGE_SIZE}, {IMAGE_SIZE}): panels in pixels",
        )


def blank(images: Tensor, slot: Slot) -> Tensor:
    """Whether nothing is in a slot: all of its pixels are white.

    Args:
        images: uint8 (N, 160, 160).
        slot: which.

    Returns:
        bool (N,).
    """
    window = images[:, slot.rows, slot.columns]
    return window.flatten(1).amin(1) == WHITE


def cut(images: Tensor, slot: Slot) -> Tensor:
    """The glimpses of one slot.

    Args:
        images: uint8 (N, 160, 160).
        slot: which.

    Returns:
        float32 (N, 1, 40, 40): ink, 0 is white and 1 black; the slot's pixels, resampled bilinearly and, where they
        are more, averaged.
    """
    window = images[:, None, slot.rows, slot.columns]
    parts = [
        functional.interpolate(part.float(), size=(SIDE, SIDE), mode="bilinear", antialias=True)
        for part in window.split(_PIECE)
    ]
    if not parts:
        return window.new_zeros((0, 1, SIDE, SIDE), dtype=torch.float32)
    return (1 - torch.cat(parts) / WHITE).clamp_(0, 1)


def ink(images: Tensor) -> Tensor:
    """Whole panels as a network takes them.

    Args:
        images: uint8 (N, 160, 160).

    Returns:
        float32 (N, 1, 160, 160): 0 is white and 1 black.
    """
    return 1 - images.unsqueeze(1).float() / WHITE

"""Slots cut out by a fixed layer, one small network for all of them, and what is there: the front-end to retrain."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from datasets.layout import Layout
from reasoning.perception import PERCEPTIONS
from reasoning.perception.looking.base import Looking, Panels, glimpses_of
from reasoning.perception.looking.networks import FEATURES, GlimpseNet
from reasoning.perception.looking.reading import VALUES, Marginals

__all__ = ["Slots"]


@PERCEPTIONS.register("slot", "best")
class Slots(Looking):
    """PMFs of presence, Type, Size and Color for every slot.

    Args:
        layout: "auto": the layout is recognised from the pixels; otherwise the puzzles' own.
        width: channels of the first of three convolutions.
    """

    def __init__(self, *, layout: Layout | str | None = None, width: int = 16) -> None:
        super().__init__(layout)
        self.network = GlimpseNet(width)
        self.heads = nn.Linear(FEATURES, 1 + sum(VALUES.values()))

    def read(self, panels: Sequence[Panels]) -> list[Marginals]:
        glimpses = glimpses_of(panels)
        scores = self.heads(self.network(glimpses.pixels, glimpses.frames))
        found = []
        for part, places in zip(panels, glimpses.places, strict=True):
            occupied, *rest = scores[places].split([1, *VALUES.values()], -1)
            found.append(Marginals.of(part.constellation, occupied.squeeze(-1), dict(zip(VALUES, rest, strict=True))))
        return found

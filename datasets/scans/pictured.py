"""A puzzle of which the pixels alone are known: what a front-end that looks is given, and an explanation is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsa.errors import UnknownNameError

from ..arrays import CANDIDATES
from ..constellations import CONSTELLATIONS, Component
from ..panels import ROWS
from ..rules.base import PUBLISHED, Rule, rules_named

__all__ = ["PicturedPuzzle"]


@dataclass(frozen=True, eq=False)
class PicturedPuzzle:
    """A matrix with its last panel missing and eight candidates, in pixels.

    Args:
        images: uint8 (16, 160, 160): the context row by row, then the candidates; 255 is white.
        constellation: published name of its layout, as it was recognised or said.
        name: where it comes from.
        probability: that the layout is this one; 1 where it was said.
    """

    images: NDArray[np.uint8]
    constellation: str
    name: str = "pictures"
    probability: float = 1.0

    columns = ROWS
    maxval = None

    def __post_init__(self) -> None:
        if self.constellation not in CONSTELLATIONS:
            raise UnknownNameError(
                "PicturedPuzzle", name=self.constellation, known=CONSTELLATIONS, kind="constellation"
            )

    @property
    def layouts(self) -> tuple[Component, ...]:
        """The components of its layout."""
        return CONSTELLATIONS[self.constellation].components

    @property
    def grammar(self) -> tuple[Rule, ...]:
        """The rules that may be at work."""
        return rules_named(PUBLISHED)

    @property
    def context(self) -> NDArray[np.uint8]:
        """The eight panels of the context."""
        return self.images[:-CANDIDATES]

    @property
    def candidates(self) -> NDArray[np.uint8]:
        """The eight candidates."""
        return self.images[-CANDIDATES:]

    @property
    def title(self) -> str:
        """Which puzzle, in words."""
        return f"{self.name}, {self.constellation}"

    def record(self) -> dict[str, Any]:
        """Which puzzle, for JSON."""
        return {"name": self.name, "constellation": self.constellation, "columns": self.columns}

    def drawn(self) -> NDArray[np.uint8] | None:
        """Its panels in pixels."""
        return self.images

"""How a perception front-end is made, as data: kept in the header of weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from datasets.layout import Layout
from reasoning.setup.settings import Named
from vsa.commands import schema

__all__ = ["FrontEnd"]


@dataclass(frozen=True)
class FrontEnd:
    """How a perception front-end is made. What lies beside it may have another algebra and another seed.

    Attributes:
        perception: name and options.
        algebra: name and options.
        backend: name and options.
        seed: of its atoms and initial weights, unless its options name one.
        layout: what it is made for; None: the puzzles at hand.
        weights: a file that holds its weights; None: it has none, or is to be trained.
        frozen: whether training leaves its weights as they are.
    """

    perception: Named
    algebra: Named
    backend: Named
    seed: int = 0
    layout: Layout | None = None
    weights: str | None = None
    frozen: bool = False

    def header(self) -> dict[str, Any]:
        """What shapes it, without the place of its weights."""
        kept = schema.plain(self)
        del kept["weights"], kept["frozen"]
        return kept

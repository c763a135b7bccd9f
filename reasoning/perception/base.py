"""What every perception front-end offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from reasoning.scene import Scene

if TYPE_CHECKING:
    from datasets.loaders import PuzzleBatch


class Perception(nn.Module):
    """Turns puzzles into PMFs. It passes on neither rules nor the target."""

    def forward(self, batch: PuzzleBatch) -> Scene:
        raise NotImplementedError

"""What every perception front-end offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from reasoning.scene import Scene

if TYPE_CHECKING:
    from datasets.loaders import PuzzleBatch


class Perception(nn.Module):
    """Turns puzzles into PMFs. It passes on neither rules nor the target."""

    def forward(self, batch: PuzzleBatch, *, mixed: str = "shares", entities: bool = False) -> Scene:
        """What is seen of B puzzles.

        Args:
            batch: the puzzles.
            mixed: what the learner wants a panel to show whose entities differ, "shares" of their values or
                "missing" mass.
            entities: whether the learner wants the entities of every slot.

        Returns:
            The scene.
        """
        raise NotImplementedError

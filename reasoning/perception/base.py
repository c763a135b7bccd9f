"""What every perception front-end offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from reasoning.arrays import stored_arrays
from reasoning.scene import Scene
from vsa import StoredMatrix

if TYPE_CHECKING:
    from datasets.loaders import PuzzleBatch


class Perception(nn.Module):
    """Turns puzzles into PMFs. It passes on neither rules nor the target.

    A front-end with parameters is trained together with the learner behind it, and saved and restored with it. Its
    constructor may name ``algebra``, ``backend``, ``columns``, ``layout`` (a :class:`datasets.Layout`: what it is made
    for) and ``seed``, and is given them.
    """

    def forward(
        self,
        batch: PuzzleBatch,
        *,
        mixed: str = "shares",
        entities: bool = False,
        generator: torch.Generator | None = None,
    ) -> Scene:
        """What is seen of B puzzles.

        Args:
            batch: the puzzles.
            mixed: what the learner wants a panel to show whose entities differ, "shares" of their values or
                "missing" mass.
            entities: whether the learner wants the entities of every slot.
            generator: of what a training step draws (augmentation, dropout); None in evaluation.

        Returns:
            The scene.
        """
        raise NotImplementedError

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Called before each epoch of training: schedules go here."""

    def arrays(self) -> dict[str, list[StoredMatrix]]:
        """The stored codebooks read so far, by what they are read for; everything else is computed digitally."""
        return stored_arrays(self)

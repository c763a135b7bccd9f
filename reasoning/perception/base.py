"""What every perception front-end offers."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from reasoning.arrays import stored_arrays
from reasoning.perception.labels import disagreement
from reasoning.scene import Scene
from vsa import StoredMatrix

if TYPE_CHECKING:
    from datasets.loaders import PuzzleBatch


class Perception(nn.Module):
    """Turns puzzles into PMFs. It passes on neither rules nor the target.

    A front-end with parameters is trained together with the learner behind it, and saved and restored with it. Its
    constructor may name ``algebra``, ``backend``, ``columns``, ``layout`` (a :class:`datasets.Layout`: what it is made
    for) and ``seed``, and is given them.

    Attributes:
        looks: whether it sees pixels: then it has ``look(images, constellation, mixed)`` and ``recognise(images)``, as
            :class:`reasoning.perception.looking.base.Looking`.
        free_options: options on which weights do not depend, so that weights that come along fit whatever they say.
    """

    looks: bool = False
    free_options: frozenset[str] = frozenset()

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

    def label_loss(self, batches: Sequence[PuzzleBatch], generator: torch.Generator | None = None) -> torch.Tensor:
        """What it costs to see something else than the labels: by this a front-end is trained without a learner.

        Args:
            batches: one or several, each of one layout.
            generator: of what a training step draws.

        Returns:
            A scalar. Default: the mean cross-entropy of the Scene (:func:`reasoning.perception.labels.disagreement`).
        """
        draws = {"generator": generator} if "generator" in inspect.signature(self.forward).parameters else {}
        scenes = [self(batch, mixed="shares", entities=True, **draws) for batch in batches]
        found = [disagreement(scene, batch.arrays) for scene, batch in zip(scenes, batches, strict=True)]
        return torch.stack(found).mean()

    def knows_layout(self, batch: PuzzleBatch) -> torch.Tensor | None:
        """Of which puzzles it would have found out the layout by itself.

        Args:
            batch: B puzzles.

        Returns:
            bool (B,); None where it cannot.
        """
        return None

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Called before each epoch of training: schedules go here."""

    def arrays(self) -> dict[str, list[StoredMatrix]]:
        """The stored codebooks read so far, by what they are read for; everything else is computed digitally."""
        return stored_arrays(self)

"""A perception front-end and a learner, joined: puzzles in, answers and rules out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from reasoning.learners.base import Learner, Prediction
from reasoning.perception.base import Perception
from reasoning.scene import Scene

if TYPE_CHECKING:
    from datasets.loaders import PuzzleBatch


class Solver(nn.Module):
    """Solves batches of puzzles.

    Args:
        perception: puzzles -> Scene.
        learner: Scene -> Prediction.
    """

    def __init__(self, perception: Perception, learner: Learner) -> None:
        super().__init__()
        self.perception = perception
        self.learner = learner

    def solve(self, batch: PuzzleBatch) -> Prediction:
        """Answers and rules of B puzzles; neither target nor rules of the batch are looked at."""
        prediction: Prediction = self.learner(self.scene(batch))
        return prediction

    def scene(self, batch: PuzzleBatch) -> Scene:
        """What the learner is shown of B puzzles."""
        scene: Scene = self.perception(batch, mixed=self.learner.mixed, entities=self.learner.entities)
        return scene

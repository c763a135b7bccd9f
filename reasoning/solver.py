"""A perception front-end and a learner, joined: puzzles in, answers and rules out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from reasoning.checked import check_prediction, check_scene
from reasoning.explanation import Explanation
from reasoning.explanation_maker import make_explanation
from reasoning.learners.base import Learner, Prediction
from reasoning.perception.base import Perception
from reasoning.scene import Scene
from vsa.errors import DtypeError, SettingsError

if TYPE_CHECKING:
    from datasets.arrays import PuzzleArrays
    from datasets.loaders import PuzzleBatch
    from datasets.puzzle import Puzzle


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
        return self.predict(self.scene(batch))

    def predict(self, scene: Scene) -> Prediction:
        """Answers and rules of B puzzles from what is seen of them; what the learner returns is checked."""
        return check_prediction(self.learner(scene), self.learner, scene)

    def scene(self, batch: PuzzleBatch) -> Scene:
        """What the learner is shown of B puzzles; what the front-end returns is checked."""
        scene = self.perception(batch, mixed=self.learner.mixed, entities=self.learner.entities)
        return check_scene(scene, self.perception, batch)

    @torch.no_grad()
    def explain(self, puzzles: Puzzle | PuzzleArrays | PuzzleBatch, item: int = 0) -> Explanation:
        """The answer to one puzzle and its reasons; the target is not looked at.

        Where candidates tie, rounding decides, and that depends on the puzzles solved together (1 answer in 3,500):
        give the benchmark's batch to see the benchmark's answer, as ``python -m reasoning.explain`` does.

        Args:
            puzzles: a puzzle, or several of one constellation.
            item: which of them, from 0; negative from the end.

        Returns:
            What prints itself in words, draws itself in a notebook, and has :meth:`Explanation.as_dict`.

        Raises:
            DtypeError: something else than puzzles.
            SettingsError: there is no such item.
        """
        batch = _as_batch(puzzles)
        if not -len(batch) <= item < len(batch):
            raise SettingsError("explain", received=f"item {item}", expected=f"0 to {len(batch) - 1}")
        item %= len(batch)
        device = next((tensor.device for tensor in (*self.parameters(), *self.buffers())), batch.target.device)
        scene = self.scene(batch.to(device))
        prediction = self.predict(scene)
        try:
            expected = self.learner.expected(scene[item : item + 1])
        except NotImplementedError:  # a learner need not say
            expected = {}
        labels, rules = self.learner.rule_labels(), self.learner.describe()
        return make_explanation(batch.arrays, item, prediction, expected, labels, rules)


def _as_batch(puzzles: Puzzle | PuzzleArrays | PuzzleBatch) -> PuzzleBatch:
    from datasets.arrays import PuzzleArrays
    from datasets.loaders import PuzzleBatch
    from datasets.puzzle import Puzzle
    from datasets.puzzle_arrays import arrays_of

    if isinstance(puzzles, PuzzleBatch):
        return puzzles
    if isinstance(puzzles, Puzzle):
        return PuzzleBatch.of(arrays_of(puzzles))
    if isinstance(puzzles, PuzzleArrays):
        return PuzzleBatch.of(puzzles)
    raise DtypeError(
        "explain", received=type(puzzles).__name__, expected="a Puzzle, PuzzleArrays or a PuzzleBatch",
        hint="of a PuzzleDataset take an item or .arrays",
    )  # fmt: skip

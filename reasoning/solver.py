"""A perception front-end and a learner, joined: puzzles in, answers and rules out."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from reasoning.learners.base import Learner, Prediction
from reasoning.outcome.checked import check_prediction, check_scene, naming
from reasoning.outcome.explanation import Explanation
from reasoning.outcome.explanation_maker import make_explanation
from reasoning.perception.base import Perception
from reasoning.scene import Scene
from vsa import StoredMatrix
from vsa.errors import DtypeError, SettingsError
from vsa.nn import without_arrays

if TYPE_CHECKING:
    from datasets.arrays import PuzzleArrays
    from datasets.loaders import PuzzleBatch, PuzzleDataset
    from datasets.puzzle import Puzzle
    from datasets.scans.pictured import PicturedPuzzle
    from reasoning.setup.recipe import Recipe


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
        self._draws = "generator" in inspect.signature(perception.forward).parameters
        self.recipe: Recipe | None = None  # how it was made, where it was made from settings

    def solve(self, batch: PuzzleBatch) -> Prediction:
        """Answers and rules of B puzzles; neither target nor rules of the batch are looked at."""
        return self.predict(self.scene(batch))

    def predict(self, scene: Scene) -> Prediction:
        """Answers and rules of B puzzles from what is seen of them; what the learner returns is checked."""
        return check_prediction(self.learner(scene), self.learner, scene)

    def scene(self, batch: PuzzleBatch, generator: torch.Generator | None = None) -> Scene:
        """What the learner is shown of B puzzles, checked.

        Args:
            batch: the puzzles.
            generator: of what the front-end draws in training; given to it if its ``forward`` names it.

        Returns:
            The scene, in torch's default precision, whatever the front-end computes in; of tensors alone, unless the
            learner says that it reads SparsePMFs.
        """
        draws = {} if generator is None or not self._draws else {"generator": generator}
        with naming(self.perception):
            scene = self.perception(batch, mixed=self.learner.mixed, entities=self.learner.entities, **draws)
        return self.learner.shown(check_scene(scene, self.perception, batch).to(torch.get_default_dtype()))

    def arrays(self) -> dict[str, list[StoredMatrix]]:
        """The stored codebooks that perception and learner have read so far, by what they are read for."""
        found = {purpose: list(matrices) for purpose, matrices in self.learner.arrays().items()}
        for purpose, matrices in self.perception.arrays().items():
            found.setdefault(purpose, []).extend(matrices)
        return found

    def save(self, path: str | PathLike[str], protocol: str = "") -> None:
        """Write the weights of perception and learner, and all that shapes their results.

        Args:
            path: a file; ``reasoning.make_solver(NAME, "checkpoint=FILE")`` and ``python -m reasoning.benchmark
                checkpoint=FILE`` make the same solver.
            protocol: what it was trained on, in a sentence.

        Raises:
            SettingsError: the solver was put together by hand, so that nobody could make it again.
            WriteError: the file could not be written.
        """
        if self.recipe is None:
            raise SettingsError(
                f"save {path}", received="a Solver put together by hand", expected="one of reasoning.make_solver or fit"
            )
        self.recipe.save(Path(path), without_arrays(self.state_dict()), protocol)

    @torch.no_grad()
    def explain(self, puzzles: Puzzle | PuzzleArrays | PuzzleBatch | PuzzleDataset, item: int = 0) -> Explanation:
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
        return next(self.explanations(batch, [item % len(batch)]))

    @torch.no_grad()
    def explanations(
        self, puzzles: Puzzle | PuzzleArrays | PuzzleBatch | PuzzleDataset, items: Sequence[int] | None = None
    ) -> Iterator[Explanation]:
        """The answers to many puzzles and their reasons, solved at once.

        Args:
            puzzles: as for :meth:`explain`.
            items: which of them, from 0; by default all.

        Yields:
            What :meth:`explain` gives, one by one.
        """
        batch = _as_batch(puzzles)
        items = range(len(batch)) if items is None else items
        from datasets.puzzle import Puzzle

        scene = self.scene(batch.to(self._device(batch.target.device)))
        arrays = batch.arrays
        yield from self._explained(arrays, [Puzzle.from_arrays(arrays, item) for item in items], items, scene)

    def look(self, images: Any, constellation: str) -> Scene:
        """What the learner is shown of puzzles in pixels.

        Args:
            images: uint8 (B, 16, 160, 160), 255 is white.
            constellation: published name.

        Returns:
            The scene, checked.

        Raises:
            SettingsError: a front-end that does not look at pixels.
        """
        with naming(self.perception):
            scene = self._eye().look(self._pixels(images), constellation, self.learner.mixed)
        return self.learner.shown(scene.to(torch.get_default_dtype()))

    def recognise(self, images: Any, name: str = "pictures") -> PicturedPuzzle:
        """A puzzle in pixels with the layout that it is likeliest to have.

        Args:
            images: uint8 (16, 160, 160), 255 is white.
            name: where it comes from.

        Returns:
            The puzzle.

        Raises:
            SettingsError: a front-end that does not look at pixels.
        """
        from datasets.constellations import CONSTELLATIONS
        from datasets.scans.pictured import PicturedPuzzle

        likely = self._eye().recognise(self._pixels(images).unsqueeze(0))[0].exp()
        best = int(likely.argmax())
        return PicturedPuzzle(np.asarray(images), tuple(CONSTELLATIONS)[best], name, float(likely[best]))

    @torch.no_grad()
    def explain_images(self, puzzle: Any, scene: Scene | None = None) -> Explanation:
        """The answer to one puzzle in pixels and its reasons; no label is looked at, for there is none.

        ``reasoning.solve_images`` takes pictures of any size, and tells what is doubtful about them.

        Args:
            puzzle: uint8 (16, 160, 160), whose layout is recognised, or a :class:`datasets.PicturedPuzzle`.
            scene: what is seen of it (:meth:`look`), where that is known already.

        Returns:
            As :meth:`explain` has it.

        Raises:
            SettingsError: a front-end that does not look at pixels.
        """
        from datasets.scans.pictured import PicturedPuzzle

        if not isinstance(puzzle, PicturedPuzzle):
            puzzle = self.recognise(puzzle)
        if scene is None:
            scene = self.look(puzzle.images[None], puzzle.constellation)
        return next(self._explained(puzzle, [puzzle], [0], scene))

    def _explained(
        self,
        arrays: PuzzleArrays | PicturedPuzzle,
        puzzles: Sequence[Puzzle | PicturedPuzzle],
        items: Sequence[int],
        scene: Scene,
    ) -> Iterator[Explanation]:
        """Explanations of some of the puzzles of a scene."""
        prediction = self.predict(scene)
        chosen = scene[torch.as_tensor(list(items), dtype=torch.long, device=scene.device)]
        try:
            expected = self.learner.expected(chosen)
        except NotImplementedError:  # a learner need not say
            expected = {}
        labels, rules = self.learner.rule_labels(), self.learner.describe()
        for place, (puzzle, item) in enumerate(zip(puzzles, items, strict=True)):
            one = {key: values[place : place + 1] for key, values in expected.items()}
            seen = chosen[place : place + 1]
            yield make_explanation(puzzle, arrays, item, prediction, seen, one, labels, rules)

    def _device(self, otherwise: torch.device) -> torch.device:
        """Where weights and buffers are; with none of them, where the puzzles are."""
        return next((tensor.device for tensor in (*self.parameters(), *self.buffers())), otherwise)

    def _pixels(self, images: Any) -> Tensor:
        pixels = images if isinstance(images, Tensor) else torch.from_numpy(np.ascontiguousarray(images))
        return pixels.to(self._device(pixels.device))

    def _eye(self) -> Any:
        """The front-end, where it looks at pixels."""
        if not self.perception.looks:
            raise SettingsError(
                "explain pictures",
                received=f"front-end {type(self.perception).__name__}, which reads labels",
                expected="one that looks at pixels, as perception=slot does",
            )
        return self.perception


def _as_batch(puzzles: Puzzle | PuzzleArrays | PuzzleBatch | PuzzleDataset) -> PuzzleBatch:
    from datasets.arrays import PuzzleArrays
    from datasets.loaders import PuzzleBatch, PuzzleDataset
    from datasets.puzzle import Puzzle
    from datasets.puzzle_arrays import arrays_of

    if isinstance(puzzles, PuzzleBatch):
        return puzzles
    if isinstance(puzzles, Puzzle):
        return PuzzleBatch.of(arrays_of(puzzles))
    if isinstance(puzzles, PuzzleArrays):
        return PuzzleBatch.of(puzzles)
    if isinstance(puzzles, PuzzleDataset):
        return PuzzleBatch.of(puzzles.arrays)
    raise DtypeError(
        "explain",
        received=type(puzzles).__name__,
        expected="a Puzzle, PuzzleArrays, a PuzzleBatch or a PuzzleDataset",
    )

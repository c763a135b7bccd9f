"""What notebooks need: a solver by name, and its counts on some puzzles."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets.arrays import PuzzleArrays
    from reasoning.metrics import Metrics
    from reasoning.solver import Solver

__all__ = ["evaluate", "make_solver"]


def make_solver(model: str, *overrides: str, columns: int = 3) -> Solver:
    """A solver with the settings of ``conf/``, as ``python -m reasoning.benchmark`` would make it.

    Args:
        model: registered name.
        overrides: as on the command line: ``"model.mode=programmed"``, ``"perception.stress=calibrated"``,
            ``"checkpoint=RUN_DIR"``, ``"backend=digital"``.
        columns: n, panels in a row of the puzzles.

    Returns:
        Perception and learner, in evaluation mode.

    Raises:
        VSAError: an unknown name, key or value; a mode without its weights.
    """
    from reasoning import benchmark
    from reasoning.cells import Recipe
    from reasoning.jobs import make_jobs

    arguments = [f"+model={model}", *overrides]
    settings = benchmark.parse(arguments)
    job = make_jobs(settings, arguments)[0]
    recipe = Recipe(
        job.model, job.algebra, settings.backend, settings.perception, columns, job.mode, job.seed, job.weights,
        job.decoder,
    )  # fmt: skip
    return recipe.solver()


def evaluate(solver: Solver, puzzles: PuzzleArrays, batch_size: int = 250) -> Metrics:
    """Solve puzzles and count.

    Args:
        solver: of :func:`make_solver`.
        puzzles: one constellation.
        batch_size: puzzles at a time.

    Returns:
        Answers right, and rules named and consistent.
    """
    import datasets
    from reasoning import engine

    return engine.evaluate(solver, datasets.PuzzleDataset(puzzles), batch_size)

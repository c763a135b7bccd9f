"""What notebooks need, and the commands stand on: a solver by name, its training, and its counts on some puzzles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsa.commands import named_keys
from vsa.errors import DtypeError, SettingsError

if TYPE_CHECKING:
    from datasets.arrays import PuzzleArrays
    from datasets.loaders import PuzzleDataset
    from reasoning.outcome.metrics import Metrics
    from reasoning.solver import Solver
    from reasoning.solving.solution import Solution
    from reasoning.training.plan import Plan

    Puzzles = PuzzleArrays | PuzzleDataset

__all__ = ["evaluate", "fit", "make_solver", "solve_images"]

_MARK = "fit.json"  # in a folder of fit: what it is the training of


def make_solver(model: str, *overrides: str, columns: int | None = None) -> Solver:
    """A solver with the settings of ``conf/``, as ``python -m reasoning.benchmark`` would make it.

    Args:
        model: registered name.
        overrides: as on the command line: ``"model.mode=programmed"``, ``"perception.stress=calibrated"``,
            ``"checkpoint=RUN_DIR"``, ``"backend=digital"``, ``"constellation=2x2"`` (what a front-end is made for).
        columns: n, panels in a row of the puzzles. Default: those of the checkpoint, else those of the data set. With
            ``"dataset=files", "dataset.path=DIR"`` the puzzles are read, for they alone tell columns and rules.

    Returns:
        Perception and learner, in evaluation mode.

    Raises:
        VSAError: an unknown name, key or value; a mode without its weights; files that cannot be read.
    """
    from datasets.layout import Layout
    from reasoning.setup import build, commands, jobs, restoring
    from reasoning.setup.settings import BenchmarkSettings
    from vsa.commands import schema

    arguments = [f"+model={model}", *overrides]
    said = commands.said(arguments)
    several = next((key for key in ("compare", "seeds", "answers", "prompts") if key in said), None)
    if several is not None:
        raise SettingsError(f"make_solver: setting {several}", received=said[several], expected="one model, one seed")
    composed = commands.compose_evaluation("benchmark", restoring.completed(arguments))
    settings = schema.build(BenchmarkSettings, commands.separate(composed, BenchmarkSettings))
    if isinstance(settings.checkpoint, str):
        settings = restoring.adopt_rows(settings, settings.checkpoint, said)
    dataset = settings.dataset
    if columns is None and not dataset.kind.made:
        sets = build.puzzle_sets(dataset, settings.constellation, dataset.split, dataset.n)
        build.columns(sets)
        layout = Layout.of(*(part.arrays for part in sets.values()))
    elif columns is None:
        layout = build.layout(settings.dataset, settings.constellation)
    else:
        layout = build.layout(settings.dataset, settings.constellation, columns)
    (job,) = jobs.make_jobs(settings, arguments, lambda: layout.columns)
    solver = job.recipe(layout).solver()
    job.say_differences()
    return solver


def fit(
    model: str | Solver,
    puzzles: Puzzles | Sequence[Puzzles],
    *overrides: str,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    seed: int = 0,
    folder: str | PathLike[str] | None = None,
    device: str = "cpu",
    watch: Callable[[int, int, float], None] | None = None,
) -> Solver:
    """Train perception and learner on puzzles, as ``python -m reasoning.train`` does.

    Args:
        model: registered name, or a solver of :func:`make_solver` or :func:`fit` to be trained further.
        puzzles: one set, or several that are trained on together (every batch is of one of them).
        overrides: as on the command line of the training: ``"model.populations=2"``, ``"perception=NAME"``,
            ``"weight_decay=0"``. With a solver only settings of the training, not of the model.
        epochs: over the puzzles. Default: what the model recommends.
        batch_size: puzzles of a step. Default: what the model recommends.
        lr: learning rate. Default: what the model recommends.
        seed: of atoms, initial weights, order and all that training draws.
        folder: where checkpoints, ``metrics.jsonl`` and ``weights.safetensors`` go; a call that was interrupted goes on
            there. None: nothing is written.
        device: where to compute.
        watch: called after each step with (epoch, batch, loss).

    Returns:
        The trained solver, in evaluation mode; ``solver.save(FILE)`` keeps it.

    Raises:
        VSAError: an unknown name, key or value; nothing to learn; a loss that is no longer finite.
    """
    from datasets.layout import Layout
    from reasoning.setup import build, commands, restoring
    from reasoning.setup.settings import TrainSettings
    from reasoning.training import run as training
    from vsa.commands import schema

    sets = [as_dataset(part, "fit") for part in (puzzles if isinstance(puzzles, list | tuple) else (puzzles,))]
    recipe = None if isinstance(model, str) else model.recipe
    if not isinstance(model, str) and recipe is None:
        raise SettingsError(
            "fit",
            received="a Solver put together by hand",
            expected="a name, or a solver of reasoning.make_solver",
            hint="train it with reasoning.training.engine.Trainer",
        )
    own = next(
        (key for key in ("epochs", "batch_size", "lr", "seed", "device", "out") if key in named_keys(overrides)),
        None,
    )
    if own is not None:
        raise SettingsError("fit", received=f"{named_keys(overrides)[own]!r}", expected=f"the argument {own}=")
    if recipe is not None and recipe.model is None:
        raise SettingsError("fit", received="a front-end without a reasoner", expected="a model's name, or its solver")
    name = recipe.model.name if recipe is not None and recipe.model is not None else str(model)
    arguments = [f"+model={name}", *overrides, f"seed={seed}", f"device={device}"]
    arguments += [
        f"{key}={value}"
        for key, value in (("epochs", epochs), ("batch_size", batch_size), ("lr", lr))
        if value is not None
    ]
    composed = commands.compose_settings("train", restoring.completed(arguments))
    settings = schema.build(TrainSettings, commands.separate(dict(composed), TrainSettings))
    settings = replace(settings, model=replace(settings.model, mode=settings.model.mode or "learned"))
    settings = restoring.adopt_front_end(settings, commands.said(arguments))
    if isinstance(model, str):
        layout = Layout.of(*(part.arrays for part in sets))
        if "algebra.blocks" not in commands.said(arguments):
            settings = replace(settings, algebra=build.long_enough(name, settings.algebra, layout))
        solver = training.recipe_of(settings, layout).solver(training=True)
    else:
        _refuse_other_than_training(commands.said(overrides))
        solver = model
    path, plan = None if folder is None else Path(folder), training.plan_of(settings)
    if path is not None:
        _claim(path, solver, sets, plan)
    training.train_solver(solver, sets, plan, path, device=device, watch=watch)
    return solver


def _claim(folder: Path, solver: Solver, sets: Sequence[PuzzleDataset], plan: Plan) -> None:
    """Mark a folder as that of this very training; refuse one of another: its checkpoints would be gone on from."""
    from reasoning.evaluation.cells import data_hash
    from reasoning.records import runs
    from vsa.commands import schema
    from vsa.nn import without_arrays

    recipe = solver.recipe
    mark = {
        "recipe": runs.fingerprint(None if recipe is None else recipe.header()),
        "weights before": runs.fingerprint(
            {name: tensor.tolist() for name, tensor in without_arrays(solver.state_dict()).items()}
        ),
        "puzzles": [data_hash(part.arrays) for part in sets],
        "plan": schema.plain(plan),
    }
    path = folder / _MARK
    if runs.contents(folder):
        had = runs.read_record(path) if path.is_file() else {}
        differing = ", ".join(name for name in mark if had.get(name) != mark[name])
        if differing:
            raise SettingsError(
                f"fit: folder={folder}",
                received=f"the folder of another training (other {differing})",
                expected="a new folder, or the one where this training was interrupted",
            )
        return
    runs.write_record(runs.prepare_folder(folder) / _MARK, mark)


def evaluate(
    solver: Solver,
    puzzles: Puzzles,
    batch_size: int = 250,
    *,
    device: str = "cpu",
    watch: Callable[[int], None] | None = None,
    abstain: float | None = None,
) -> Metrics:
    """Solve puzzles and count.

    Args:
        solver: of :func:`make_solver` or :func:`fit`.
        puzzles: one constellation.
        batch_size: puzzles at a time; bounds the memory, changes nothing else.
        device: where to compute.
        watch: called with the number of puzzles of each batch done.
        abstain: the certainty below which answers are withheld, as 0.99; None: none are.

    Returns:
        Answers right, and rules named and consistent; ``certainty``: answers by how certain they were, where the
        learner says; ``answered``: those that were not withheld.

    Raises:
        DtypeError: something else than puzzles.
        SettingsError: ``abstain`` is not between 0 and 1, or the learner does not say how certain it is.
    """
    from reasoning.training import engine

    return engine.evaluate(solver, as_dataset(puzzles, "evaluate"), batch_size, device, watch, abstain)


def solve_images(
    images: Any, *overrides: str, solver: Solver | None = None, layout: str | None = None, name: str = "pictures"
) -> Solution:
    """The answer to one puzzle in pictures and its reasons, as ``python -m reasoning.solve`` gives them.

    Args:
        images: (16, height, width), the context row by row, then the candidates; bytes, or floats from 0 to 1; of any
            size and polarity.
        overrides: as on the command line: ``"+model=symbolic"``, ``"perception.checkpoint=FILE"``.
        solver: instead of overrides: one of :func:`make_solver`, made once for many puzzles.
        layout: published or short name; None: it is recognised.
        name: what the puzzle is called.

    Returns:
        What prints itself in words, draws itself in a notebook, and has ``answer``, ``confidence`` and ``as_dict()``.

    Raises:
        VSAError: no sixteen panels, pictures that are no puzzle, a solver that does not look at pixels.
    """
    from datasets.constellations import resolve_constellation
    from datasets.scans.panels import as_images
    from reasoning.solving.making import parse, solver_of
    from reasoning.solving.solution import solve

    panels, notes = as_images(images, f"solve {name}")
    if solver is None:
        arguments = list(overrides) if layout is None else [*overrides, f"layout={layout}"]
        settings, _ = parse(arguments)
        solver, layout = solver_of(settings, arguments), settings.layout
    elif overrides:
        raise SettingsError("solve_images", received=f"{overrides[0]!r} beside a solver", expected="one of the two")
    return solve(solver, panels, None if layout is None else resolve_constellation(layout), name, notes)


def as_dataset(puzzles: Any, operation: str) -> PuzzleDataset:
    """Puzzles in the form that batches are cut from.

    Args:
        puzzles: PuzzleArrays or a PuzzleDataset.
        operation: for messages.

    Returns:
        The data set.

    Raises:
        DtypeError: something else.
    """
    from datasets.arrays import PuzzleArrays
    from datasets.loaders import PuzzleDataset

    if isinstance(puzzles, PuzzleDataset):
        return puzzles
    if isinstance(puzzles, PuzzleArrays):
        return PuzzleDataset(puzzles)
    raise DtypeError(operation, received=type(puzzles).__name__, expected="PuzzleArrays or a PuzzleDataset")


def _refuse_other_than_training(said: Any) -> None:
    """A solver that exists is not made anew."""
    made = ("model", "perception", "algebra", "backend", "dataset")
    for key, argument in said.items():
        if key.partition(".")[0] in made and key != "perception.lr":
            raise SettingsError("fit", received=f"{argument} for a solver that exists", expected="a model's name")

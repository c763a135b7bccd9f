"""Training a front-end by labels, from its settings to its results: behind ``python -m reasoning.train_perception``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.layout import Layout
from reasoning.outcome.metrics import Tally
from reasoning.outcome.sight import Sight, observe_sight
from reasoning.records import runs
from reasoning.records.checkpoints import load_weights
from reasoning.setup import build
from reasoning.setup.recipe import Recipe
from reasoning.setup.settings import PerceptionTrainSettings
from reasoning.setup.training_settings import parse_perception as parse
from reasoning.tables import sight as tables
from reasoning.tables import tables as report
from reasoning.training import run as training
from reasoning.training.plan import Plan
from reasoning.training.run import Prepared, front_end
from vsa.commands import screen
from vsa.commands.files import taking_apart
from vsa.errors import SettingsError

if TYPE_CHECKING:
    from datasets.loaders import PuzzleDataset
    from reasoning.perception.base import Perception
    from reasoning.training.engine import Outcome

__all__ = [
    "CONFIG",
    "MODULE",
    "Prepared",
    "front_end",
    "look",
    "parse",
    "prepare",
    "recipe_of",
    "record",
    "run",
    "show",
]

MODULE, CONFIG = "reasoning.train_perception", "train_perception"
RESULTS = "results.json"


def prepare(settings: PerceptionTrainSettings, folder: Path | None = None) -> Prepared[PerceptionTrainSettings]:
    """Load (or generate) the puzzles and construct the untrained front-end.

    Args:
        settings: of the run.
        folder: of a run that goes on: it keeps the weights that it began with.

    Returns:
        What :func:`run` takes.

    Raises:
        VSAError: whatever is wrong with names, options or files.
    """
    import torch

    training.prepare_torch(settings)
    data = settings.dataset
    if not settings.epochs:
        raise SettingsError("setting epochs", received="0", expected="at least 1")
    sets = build.puzzle_sets(data, settings.constellation or "all", "train", data.n, training=True)
    testing = build.ranges(data, settings.test_constellation)
    layout = Layout.of(*(part.arrays for part in sets.values()))
    recipe = recipe_of(settings, layout, folder)
    solver = recipe.solver(training=True)
    with torch.no_grad():
        tried = recipe.solver(training=True)
        for part in (*sets.values(), *testing.values()):
            tried.perception.label_loss([next(iter(part.batches(2)))], torch.Generator().manual_seed(0))
    return Prepared(settings, recipe, solver, sets, testing)


def recipe_of(settings: PerceptionTrainSettings, layout: Layout, folder: Path | None = None) -> Recipe:
    """How the front-end of a run is made.

    Args:
        settings: of the run.
        layout: of the training puzzles.
        folder: of a run that goes on.

    Returns:
        The recipe, without a model.

    Raises:
        VSAError: an unknown name or option; a front-end that has nothing to learn.
    """
    seen = training.begun_with(settings, folder)
    recipe = Recipe(None, settings.algebra, settings.backend, replace(seen, layout=layout), layout, "", settings.seed)
    if not any(weight.requires_grad for weight in recipe.solver(training=True).perception.parameters()):
        raise SettingsError(
            f"perception={seen.perception.name}", received="a front-end without weights", expected="one that learns"
        )
    return recipe


def record(prepared: Prepared[PerceptionTrainSettings]) -> dict[str, Any]:
    """What run.json says of a run beside its environment.

    Args:
        prepared: of :func:`prepare`.
    """
    return {"perception": prepared.settings.perception.name, **training.record_of_any(prepared)}


def run(folder: Path, prepared: Prepared[PerceptionTrainSettings]) -> dict[str, Sight]:
    """Train (or go on), evaluate, write everything, show the table.

    Args:
        folder: the run folder, with settings.yaml and run.json.
        prepared: of :func:`prepare`.

    Returns:
        puzzle set -> what was seen rightly.
    """
    outcome = _train(folder, prepared)
    settings, found = prepared.settings, {}
    with screen.progress("evaluating", sum(map(len, prepared.testing.values()))) as bar:
        state = prepared.solver.state_dict()
        for name, puzzles in prepared.testing.items():
            solver = prepared.recipe.solver(training=True)  # made anew: noisy arrays remember what was read from them
            load_weights(solver, {key: state[key] for key in solver.state_dict()}, "evaluate")
            found[name] = look(solver.perception.to(settings.device), puzzles, settings.test_batch_size)
            bar(len(puzzles), report.short_name(name))
    runs.finish_record(
        folder,
        {RESULTS: {name: sight.as_dict() for name, sight in found.items()}},
        steps=outcome.steps,
        seconds={"training": round(outcome.seconds, 2)},
        memory_mb=runs.peak_memory_mb(),
    )
    show(folder, settings)
    return found


def _train(folder: Path, prepared: Prepared[PerceptionTrainSettings]) -> Outcome:
    settings = prepared.settings
    words = training.protocol(settings)
    return training.train_watched(
        prepared.solver, prepared.training, plan_of(settings), folder, settings, settings.perception.name, words
    )


def plan_of(settings: PerceptionTrainSettings) -> Plan:
    """How long and how fast a run trains: by labels alone."""
    return replace(training.plan_of(settings), answers=0.0, labels=1.0)


def look(perception: Perception, puzzles: PuzzleDataset, batch_size: int = 250) -> Sight:
    """Let a front-end look at every puzzle, and count.

    Args:
        perception: the front-end.
        puzzles: one set.
        batch_size: puzzles at a time; bounds the memory, changes nothing else.

    Returns:
        What was seen rightly.
    """
    import torch

    perception.eval()
    device = next((tensor.device for tensor in (*perception.parameters(), *perception.buffers())), "cpu")
    found = Sight()
    with torch.no_grad():
        for batch in puzzles.batches(batch_size):
            moved = batch.to(device)
            scene = perception(moved, mixed="shares", entities=True)
            known = perception.knows_layout(moved)
            layouts = Sight() if known is None else Sight(layouts=Tally.of(known.cpu().numpy()))
            found = found + observe_sight(scene, batch.arrays) + layouts
    return found


def read_sights(folder: Path) -> dict[str, Sight]:
    """The counts of a finished run.

    Args:
        folder: the run's.

    Returns:
        puzzle set -> counts.

    Raises:
        CorruptFileError: its files are not those of a finished run.
    """
    results = runs.read_result(folder, RESULTS)
    with taking_apart(f"the results in {folder}"):
        return {name: Sight.from_dict(entry, folder) for name, entry in results.items()}


def show(folder: Path, settings: PerceptionTrainSettings) -> None:
    """The table of a finished run, on the screen.

    Args:
        folder: the run's.
        settings: the run's.

    Raises:
        CorruptFileError: its files are not those of a finished run.
    """
    done = runs.read_record(folder / runs.RECORD)
    screen.say()
    screen.show(tables.sight_table(read_sights(folder)))
    with taking_apart(f"the results in {folder}"):
        took = f"trained in {done['seconds']['training']:.0f} s, {done['memory_mb']:.0f} MB"
    screen.say(f"\n{took}; run folder {folder}")
    screen.say(f"python -m reasoning.benchmark +model=symbolic perception.checkpoint={folder} answers with it")

"""One training run from its settings to its results: the work behind ``python -m reasoning.train``."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from datasets.layout import Layout
from reasoning.records import runs
from reasoning.records.checkpoints import CheckpointFolder, load_weights
from reasoning.setup import build, restoring, weights
from reasoning.setup.recipe import FrontEnd, Recipe
from reasoning.setup.settings import RunSettings, TrainSettings
from reasoning.setup.training_settings import parse
from reasoning.tables import tables as report
from reasoning.training.joined import JoinedPuzzles, MixedPuzzles
from reasoning.training.plan import Plan
from vsa.commands import schema, screen
from vsa.commands.files import taking_apart
from vsa.errors import SettingsError

if TYPE_CHECKING:
    from datasets.loaders import PuzzleDataset
    from reasoning.outcome.metrics import Metrics
    from reasoning.solver import Solver
    from reasoning.training.engine import Outcome, PuzzleSource, Trainer

__all__ = [
    "CONFIG",
    "MODULE",
    "Prepared",
    "begun_with",
    "front_end",
    "identity_of",
    "joined",
    "parse",
    "plan_of",
    "prepare",
    "prepare_torch",
    "protocol",
    "read_metrics",
    "recipe_of",
    "record",
    "record_of_any",
    "run",
    "show",
    "train_solver",
    "train_watched",
]


MODULE, CONFIG = "reasoning.train", "train"


S = TypeVar("S", bound=RunSettings)


@dataclass(frozen=True)
class Prepared(Generic[S]):
    """Everything a run needs, made before its folder is: what is wrong shows before anything is written."""

    settings: S
    recipe: Recipe
    solver: Solver
    training: Mapping[str, PuzzleDataset]
    testing: Mapping[str, PuzzleDataset]


def prepare(settings: TrainSettings, folder: Path | None = None) -> Prepared[TrainSettings]:
    """Load (or generate) the puzzles and construct the untrained solver.

    Args:
        settings: of the run.
        folder: of a run that goes on: it keeps the front-end's weights that it began with.

    Returns:
        What :func:`run` takes.

    Raises:
        VSAError: whatever is wrong with names, options or files.
    """
    from reasoning.training.engine import free_weights, refuse_no_epochs

    prepare_torch(settings)
    data = settings.dataset
    chosen = settings.constellation or "all"
    if data.kind.made:  # a mistake in the model's settings shows before puzzles are generated
        untried = recipe_of(settings, build.layout(data, chosen), folder).solver(training=True)
        free_weights(untried)
        _check_certainty(settings, untried)
    training = build.puzzle_sets(data, chosen, "train", data.n, training=True)
    testing = build.ranges(data, settings.test_constellation)
    build.columns({**{f"{name} (train)": part for name, part in training.items()}, **testing})
    recipe = recipe_of(settings, Layout.of(*(part.arrays for part in training.values())), folder)
    tried = recipe.solver(training=True)
    for part in (*training.values(), *testing.values()):
        build.try_out(tried, part)
    solver = recipe.solver(training=True)
    refuse_no_epochs(solver, settings.epochs)
    _check_certainty(settings, solver)
    return Prepared(settings, recipe, solver, training, testing)


def _check_certainty(settings: TrainSettings, solver: Solver) -> None:
    """Refuse to withhold answers by a certainty that the learner does not tell."""
    from reasoning.outcome.reliability import uncalibrated

    if settings.abstain is not None and not solver.learner.calibrated:
        raise uncalibrated(f"abstain={settings.abstain}", solver.learner)


def prepare_torch(settings: RunSettings) -> None:
    """Threads as the settings have them, and algorithms that give the same bits every time."""
    import torch

    torch.set_num_threads(settings.threads)
    if torch.device(settings.device).type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts; without it matmuls vary
    torch.use_deterministic_algorithms(True)


def recipe_of(settings: TrainSettings, layout: Layout, folder: Path | None = None) -> Recipe:
    """How the solver of a run is made.

    Args:
        settings: of the run.
        layout: of the training puzzles.
        folder: of a run that goes on.

    Returns:
        The recipe; the learner's weights are those that come along where ``model.mode`` is pretrained.

    Raises:
        VSAError: weights that are missing or another front-end's.
    """
    mode = settings.model.mode or "learned"
    shipped = (
        weights.shipped_weights(settings.model.name, settings.model.weights, layout.columns)
        if mode == "pretrained"
        else None
    )
    if mode == "pretrained" and shipped is None:
        raise SettingsError(
            "model.mode=pretrained",
            received=f"model {settings.model.name}, which comes without weights",
            expected="model.mode=programmed or learned",
        )
    seen = begun_with(settings, folder)
    seen = replace(seen, layout=seen.layout or layout, frozen=settings.perception.frozen)
    return Recipe(
        settings.model,
        settings.algebra,
        settings.backend,
        seen,
        layout,
        mode,
        settings.seed,
        None if shipped is None else str(shipped),
    )


def begun_with(settings: RunSettings, folder: Path | None = None) -> FrontEnd:
    """The front-end that a run begins with.

    Args:
        settings: of the run.
        folder: of a run that goes on: it keeps the weights that it began with.

    Returns:
        The front-end.

    Raises:
        VSAError: weights that are missing or another front-end's.
    """
    kept = None if folder is None else folder / weights.FRONT_END
    if kept is not None and kept.is_file():
        settings = replace(settings, perception=replace(settings.perception, checkpoint=str(kept)))
    # The settings of a run are complete, those of a front-end with weights of its own included: all of them count.
    every = {"backend": "", **{f"perception.{key}": "" for key in settings.perception.options}}
    return restoring.front_end(settings, None, every, evaluating=False)[0]


def record(prepared: Prepared[TrainSettings]) -> dict[str, Any]:
    """What run.json says of a run beside its environment.

    Args:
        prepared: of :func:`prepare`.
    """
    settings = prepared.settings
    withheld = {} if settings.abstain is None else {"abstain": settings.abstain}
    return {"model": settings.model.name, **record_of_any(prepared), **withheld}


def record_of_any(prepared: Prepared[S]) -> dict[str, Any]:
    """The same, as far as any training has it.

    Args:
        prepared: everything the run needs.
    """
    settings = prepared.settings
    return {
        "seed": settings.seed,
        "protocol": protocol(settings),
        "recipe": prepared.recipe.header(),
        "backend": build.backend_words(settings.backend),
    }


def front_end(prepared: Prepared[S]) -> str | None:
    """The file of the front-end's weights that a run begins with; None where it begins without.

    Args:
        prepared: of :func:`prepare`.
    """
    return prepared.recipe.perception.weights


def run(folder: Path, prepared: Prepared[TrainSettings]) -> dict[str, Metrics]:
    """Train (or go on), evaluate, write everything, show the tables.

    Args:
        folder: the run folder, with settings.yaml and run.json.
        prepared: of :func:`prepare`.

    Returns:
        puzzle set -> metrics.
    """
    outcome = _train(folder, prepared)
    metrics = _evaluate(prepared)
    _finish(folder, prepared.solver, outcome, metrics)
    show(folder, prepared.settings)
    return metrics


def _train(folder: Path, prepared: Prepared[TrainSettings]) -> Outcome:
    settings = prepared.settings
    return train_watched(
        prepared.solver, prepared.training, plan_of(settings), folder, settings, settings.model.name, protocol(settings)
    )


def train_watched(
    solver: Solver,
    sets: Mapping[str, PuzzleDataset],
    plan: Plan,
    folder: Path,
    settings: RunSettings,
    name: str,
    protocol: str,
) -> Outcome:
    """Train, or go on, with a bar on the screen.

    Args:
        solver: to be trained.
        sets: the training puzzles.
        plan: how long and how fast.
        folder: the run's.
        settings: the run's.
        name: of what is trained.
        protocol: what it is trained on, in a sentence.

    Returns:
        What was done.
    """
    newest = CheckpointFolder(folder / "checkpoints", settings.checkpoints.keep).newest()
    names = ", ".join(report.short_name(name) for name in sets)
    screen.say(f"training {name} on {sum(map(len, sets.values())):,} puzzles of {names}; run folder {folder}")
    parts = list(sets.values())
    total = plan.epochs * -(-len(joined(parts, plan)) // plan.batch_size)
    with screen.progress("training", total, newest.step if newest else 0) as bar:
        return train_solver(
            solver,
            parts,
            plan,
            folder,
            device=settings.device,
            keep=settings.checkpoints.keep,
            protocol=protocol,
            watch=lambda epoch, batch, loss: bar(1, f"epoch {epoch + 1}/{plan.epochs}  loss {loss:.3f}"),
            identity=identity_of(settings),
        )


def joined(sets: Sequence[PuzzleDataset], plan: Plan) -> PuzzleSource:
    """Several puzzle sets as one: a batch is of one of them, unless labels alone teach.

    Args:
        sets: at least one.
        plan: of the training.
    """
    if not plan.answers:
        return MixedPuzzles(tuple(sets), plan.batch_size)
    return sets[0] if len(sets) == 1 else JoinedPuzzles(tuple(sets), plan.batch_size)


def train_solver(
    solver: Solver,
    sets: Sequence[PuzzleDataset],
    plan: Plan,
    folder: Path | None,
    *,
    device: str = "cpu",
    keep: int = 2,
    protocol: str = "",
    watch: Callable[[int, int, float], None] | None = None,
    identity: str = "",
) -> Outcome:
    """Train perception and learner; the work behind ``reasoning.fit`` and ``python -m reasoning.train``.

    Args:
        solver: to be trained; its recipe goes into the header of the weights.
        sets: the training puzzles; several are trained on together.
        plan: how long and how fast.
        folder: of checkpoints, metrics and weights, where an interrupted training goes on; None: nothing is written.
        device: where to compute.
        keep: how many checkpoints.
        protocol: what it is trained on, in a sentence.
        watch: called after each step with (epoch, batch, loss).
        identity: of the run; checkpoints of another one are refused.

    Returns:
        What was done.

    Raises:
        StoppedError: SIGTERM came; the state is saved.
        VSAError: nothing to learn, a loss that is not finite, files that cannot be written.
    """
    from reasoning.training.engine import Trainer

    checkpoints = metrics = None
    if folder is not None:
        runs.prepare_folder(folder)
        checkpoints, metrics = CheckpointFolder(folder / "checkpoints", keep), folder / "metrics.jsonl"
    trainer = Trainer(solver, joined(sets, plan), plan, checkpoints, metrics, device, watch, identity)
    with _stopped_by_sigterm(trainer):
        outcome = trainer.run()
    if folder is not None and solver.recipe is not None:
        weights.write_weights(folder / weights.WEIGHTS, trainer.weights(), solver.recipe, protocol)
    return outcome


@contextmanager
def _stopped_by_sigterm(trainer: Trainer) -> Iterator[None]:
    """What queues send before they kill: the training saves and ends. Only the main thread can take signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: trainer.stop())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def identity_of(settings: RunSettings) -> str:
    """What tells a run's checkpoints from another's: its settings but for where it is, how it runs and how long."""
    apart = ("out", "overwrite", "epochs", "executor", "workers", "seeds", "abstain")
    kept = {key: value for key, value in schema.plain(settings).items() if key not in apart}
    if not settings.perception.labels:  # as runs were told apart before there was such a setting
        kept["perception"] = {key: value for key, value in kept["perception"].items() if key != "labels"}
    kept["dataset"] = {key: value for key, value in kept["dataset"].items() if key != "cache_dir"}
    return runs.fingerprint(kept)


def plan_of(settings: RunSettings) -> Plan:
    """How long and how fast a run trains, by what."""
    return Plan(
        settings.epochs,
        settings.batch_size,
        settings.lr,
        settings.weight_decay,
        settings.schedule,
        settings.seed,
        settings.checkpoints.every_seconds,
        settings.checkpoints.every_epochs,
        settings.perception.lr,
        labels=settings.perception.labels,
    )


def _evaluate(prepared: Prepared[TrainSettings]) -> dict[str, Metrics]:
    from reasoning.training.engine import evaluate

    settings, sets = prepared.settings, prepared.testing
    state, metrics = prepared.solver.state_dict(), {}
    with screen.progress("evaluating", sum(map(len, sets.values()))) as bar:
        for name, puzzles in sets.items():
            # Made anew, as a benchmark makes it: noisy arrays remember what was read from them.
            solver = prepared.recipe.solver(training=True)
            load_weights(solver, {key: state[key] for key in solver.state_dict()}, "evaluate")
            watch = partial(_advance, bar, name)
            metrics[name] = evaluate(
                solver, puzzles, settings.test_batch_size, settings.device, watch, settings.abstain
            )
    return metrics


def _advance(bar: screen.Bar, name: str, puzzles: int) -> None:
    bar(puzzles, report.short_name(name))


def _finish(folder: Path, solver: Solver, outcome: Outcome, metrics: Mapping[str, Metrics]) -> None:
    rules = {"learned": solver.learner.describe(), "puzzles": {name: entry.detail() for name, entry in metrics.items()}}
    runs.finish_record(
        folder,
        {"results.json": {name: entry.results() for name, entry in metrics.items()}, "rules.json": rules},
        steps=outcome.steps,
        seconds={"training": round(outcome.seconds, 2), "this process": round(time.process_time(), 2)},
        memory_mb=runs.peak_memory_mb(),
    )


def read_metrics(folder: Path) -> dict[str, Metrics]:
    """The counts of a finished run.

    Args:
        folder: the run's.

    Returns:
        puzzle set -> metrics.

    Raises:
        CorruptFileError: its files are not those of a finished run.
    """
    from reasoning.outcome.metrics import Metrics

    results, rules = runs.read_result(folder, "results.json"), runs.read_result(folder, "rules.json")
    with taking_apart(f"the results in {folder}"):
        return {
            name: Metrics.from_json(dict(entry), list(rules["puzzles"][name]), folder)
            for name, entry in results.items()
        }


def show(folder: Path, settings: TrainSettings) -> None:
    """The tables and the learned rules of a finished run, on the screen.

    Args:
        folder: the run's.
        settings: the run's.

    Raises:
        CorruptFileError: its files are not those of a finished run.
    """
    rules, record = runs.read_result(folder, "rules.json"), runs.read_record(folder / runs.RECORD)
    metrics = read_metrics(folder)
    with taking_apart(f"the results in {folder}"):
        learned = report.rules_in_words("The rules learned", [str(rule) for rule in rules["learned"]])
        took = f"trained in {record['seconds']['training']:.0f} s, {record['memory_mb']:.0f} MB"
    screen.say()
    label = f"{settings.model.name} (this run)"
    beside = report.references(settings.model.name, settings.dataset.name)
    screen.show(report.answers_table({label: metrics}, beside, abstain=settings.abstain))
    screen.say()
    screen.show(report.rules_table(metrics))
    screen.say(f"\n{learned}")
    screen.say(f"\n{took}; run folder {folder}")


def protocol(settings: RunSettings) -> str:
    """In a sentence: what is trained on, what is tested on."""

    def spell(chosen: str | tuple[str, ...] | None) -> str:
        return chosen if isinstance(chosen, str) else ", ".join(chosen or ("all",))

    data = settings.dataset
    count = "every puzzle" if data.n is None else f"{data.n} puzzles"
    tested = "every puzzle" if data.test_n is None else f"{data.test_n} puzzles of each"
    without = "" if data.holdout is None else f" without {data.holdout}"
    only = "" if data.holdout is None else f" with {data.holdout}"
    trained = "" if data.maxval is None else f" (range {data.maxval})"
    ranges = "" if data.test_maxval is None else f" (range {', '.join(map(str, data.test_maxval))})"
    return (
        f"one model trained on {spell(settings.constellation)} of {data.name}{trained}, "
        f"{count}{without} of split train (index mod 10 in 0-5), "
        f"tested on {spell(settings.test_constellation)}{ranges}, {tested}{only}, split test (8-9)"
    )

"""One training run from its settings to its results: the work behind ``python -m reasoning.train``."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from reasoning import build, report, runs, schema, weights
from reasoning.checkpoints import CheckpointFolder, write_tensors
from reasoning.joined import JoinedPuzzles
from reasoning.settings import TrainSettings
from vsa.errors import CorruptFileError, SettingsError

if TYPE_CHECKING:
    from datasets.loaders import PuzzleDataset
    from reasoning.engine import Outcome
    from reasoning.metrics import Metrics
    from reasoning.solver import Solver

__all__ = ["Prepared", "prepare", "protocol", "read_metrics", "run", "show"]


@dataclass(frozen=True)
class Prepared:
    """Everything a run needs, made before its folder is: what is wrong shows before anything is written."""

    settings: TrainSettings
    solver: Solver
    training: Mapping[str, PuzzleDataset]
    testing: Mapping[str, PuzzleDataset]


def prepare(settings: TrainSettings) -> Prepared:
    """Load (or generate) the puzzles and construct the untrained solver.

    Args:
        settings: of the run.

    Returns:
        What :func:`run` takes.

    Raises:
        VSAError: whatever is wrong with names, options or files.
    """
    import torch

    from reasoning import learners

    if not learners.get(settings.model.name).learns:
        raise SettingsError(
            f"+model={settings.model.name}", received="python -m reasoning.train", expected="a model that learns",
            hint=f"python -m reasoning.benchmark +model={settings.model.name} evaluates it",
        )  # fmt: skip
    torch.set_num_threads(settings.threads)
    if torch.device(settings.device).type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts; without it matmuls vary
    torch.use_deterministic_algorithms(True)
    data = settings.dataset
    build_solver = partial(
        build.solver, settings.model, settings.algebra, settings.backend, settings.perception,
        mode=settings.model.mode or "learned", seed=settings.seed,
    )  # fmt: skip
    if data.name != "files":
        build_solver(columns=data.columns)  # a mistake in the model's settings shows before puzzles are generated
    training = build.puzzle_sets(data, settings.constellation or "all", "train", data.n, training=True)
    testing = build.ranges(data, settings.test_constellation)
    columns = build.columns({**{f"{name} (train)": part for name, part in training.items()}, **testing})
    for part in (*training.values(), *testing.values()):
        build.try_out(build_solver(columns=columns), part)
    return Prepared(settings, build_solver(columns=columns), training, testing)


def run(folder: Path, prepared: Prepared) -> dict[str, Metrics]:
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


def _train(folder: Path, prepared: Prepared) -> Outcome:
    from reasoning.engine import Trainer
    from reasoning.plan import Plan

    settings, sets = prepared.settings, prepared.training
    puzzles = next(iter(sets.values())) if len(sets) == 1 else JoinedPuzzles(tuple(sets.values()), settings.batch_size)
    plan = Plan(
        settings.epochs, settings.batch_size, settings.lr, settings.weight_decay, settings.schedule, settings.seed,
        settings.checkpoints.every_seconds, settings.checkpoints.every_epochs,
    )  # fmt: skip
    checkpoints = CheckpointFolder(folder / "checkpoints", settings.checkpoints.keep)
    trainer = Trainer(prepared.solver, puzzles, plan, checkpoints, folder / "metrics.jsonl", settings.device)
    newest = checkpoints.newest()
    done = newest.step if newest else 0
    names = ", ".join(report.short_name(name) for name in sets)
    report.say(
        f"training {settings.model.name} on {sum(map(len, sets.values())):,} puzzles of {names}; run folder {folder}"
    )
    with report.progress("training", plan.epochs * trainer.batches_per_epoch, done) as bar:
        trainer.watch = lambda epoch, batch, loss: bar(1, f"epoch {epoch + 1}/{plan.epochs}  loss {loss:.3f}")
        outcome = trainer.run()
    header = {"model": schema.plain(settings.model), "algebra": schema.plain(settings.algebra), "seed": settings.seed,
              "columns": build.columns(sets), "protocol": protocol(settings)}  # fmt: skip
    write_tensors(folder / weights.WEIGHTS, trainer.weights(), header)
    return outcome


def _evaluate(prepared: Prepared) -> dict[str, Metrics]:
    from reasoning.engine import evaluate

    settings, sets = prepared.settings, prepared.testing
    metrics = {}
    with report.progress("evaluating", sum(map(len, sets.values()))) as bar:
        for name, puzzles in sets.items():
            metrics[name] = evaluate(
                prepared.solver, puzzles, settings.test_batch_size, settings.device, partial(_advance, bar, name)
            )
    return metrics


def _advance(bar: report.Bar, name: str, puzzles: int) -> None:
    bar(puzzles, report.short_name(name))


def _finish(folder: Path, solver: Solver, outcome: Outcome, metrics: Mapping[str, Metrics]) -> None:
    runs.write_json(folder / "results.json", {name: entry.results() for name, entry in metrics.items()})
    rules = {"learned": solver.learner.describe(), "puzzles": {name: entry.detail() for name, entry in metrics.items()}}
    runs.write_json(folder / "rules.json", rules)
    record = runs.read_json(folder / "run.json")
    record.update(
        status="finished",
        steps=outcome.steps,
        seconds={"training": round(outcome.seconds, 2), "this process": round(time.process_time(), 2)},
        memory_mb=runs.peak_memory_mb(),
    )
    runs.write_json(folder / "run.json", record)


def read_metrics(folder: Path) -> dict[str, Metrics]:
    """The counts of a finished run.

    Args:
        folder: the run's.

    Returns:
        puzzle set -> metrics.

    Raises:
        CorruptFileError: its files are not those of a finished run.
    """
    from reasoning.metrics import Metrics

    results, rules = runs.read_json(folder / "results.json"), runs.read_json(folder / "rules.json")
    try:
        return {name: Metrics.from_json(entry["answers"], rules["puzzles"][name]) for name, entry in results.items()}
    except (KeyError, TypeError) as error:
        raise CorruptFileError(f"read the results in {folder}", received=f"no {error}") from error


def show(folder: Path, settings: TrainSettings) -> None:
    """The tables and the learned rules of a finished run, on the screen.

    Args:
        folder: the run's.
        settings: the run's.

    Raises:
        CorruptFileError: its files are not those of a finished run.
    """
    rules, record = runs.read_json(folder / "rules.json"), runs.read_json(folder / "run.json")
    metrics = read_metrics(folder)
    try:
        learned, seconds = rules["learned"], record["seconds"]["training"]
    except (KeyError, TypeError) as error:
        raise CorruptFileError(f"read the results in {folder}", received=f"no {error}") from error
    report.say()
    label = f"{settings.model.name} (this run)"
    report.show(report.answers_table({label: metrics}, report.references(settings.model.name, settings.dataset.name)))
    report.say()
    report.show(report.rules_table(metrics))
    report.say("\nThe rules learned (x: the row's panels, c: the other rows', e: nothing):")
    for sentence in learned:
        report.say(f"  {sentence}")
    report.say(f"\ntrained in {seconds:.0f} s, {record['memory_mb']:.0f} MB; run folder {folder}")


def protocol(settings: TrainSettings) -> str:
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

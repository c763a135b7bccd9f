"""A benchmark from its settings to its tables: the work behind ``python -m reasoning.benchmark``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.layout import Layout
from reasoning.evaluation import cells
from reasoning.outcome.reliability import uncalibrated
from reasoning.prompting import answer_files
from reasoning.records import runs
from reasoning.setup import build
from reasoning.setup.jobs import Job, make_jobs
from reasoning.setup.settings import BenchmarkSettings, DatasetSettings
from reasoning.setup.sweeps import Point
from reasoning.tables import comparison
from reasoning.tables import plots as benchmark_plot
from reasoning.tables import tables as report
from reasoning.tables.curves import Mark
from vsa.commands import alone, schema, screen, sweep
from vsa.executors import execute

if TYPE_CHECKING:
    from datasets.loaders import PuzzleDataset

__all__ = ["MODULE", "PuzzleSets", "Task", "begin", "run"]

MODULE = "reasoning.benchmark"
Key = tuple[str, int]  # model, seed


def begin(asked: Sequence[tuple[Point, BenchmarkSettings]], overrides: Sequence[str]) -> None:
    """Settle on models, weights and folder, and run.

    Args:
        asked: the points of a sweep, each with its settings; one where nothing is swept.
        overrides: the command line.

    Raises:
        VSAError: whatever is wrong with models, weights, puzzles or folders.
    """
    settings = asked[0][1]
    sets = PuzzleSets(settings)
    tasks = []
    for point, at_point in asked:
        columns = partial(_columns, sets, at_point.dataset)
        jobs = make_jobs(at_point, point.arguments, columns)
        tasks += [Task(replace(job, point=point.name), at_point, point.values) for job in jobs]
    name = tasks[0].job.name if settings.compare is None and len(tasks) == 1 else "compare"
    out = Path(settings.out) if settings.out else runs.default_out(name, tasks[0].job.seed)
    run(out, settings, tasks, overrides, sets)


def _columns(sets: PuzzleSets, dataset: DatasetSettings) -> int:
    return build.columns(sets(dataset))


@dataclass(frozen=True)
class Task:
    """A job with the settings of its point of a sweep, and what was swept."""

    job: Job
    settings: BenchmarkSettings
    swept: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """Its place in the results."""
        return (self.job.name, self.job.seed)


class PuzzleSets:
    """The puzzle sets of a benchmark; those of files are read once, whatever asks for them."""

    def __init__(self, settings: BenchmarkSettings) -> None:
        self._settings = settings
        self._read: dict[DatasetSettings, Mapping[str, PuzzleDataset]] = {}

    def __call__(self, dataset: DatasetSettings) -> Mapping[str, PuzzleDataset]:
        if dataset not in self._read:
            found = build.puzzle_sets(dataset, self._settings.constellation, dataset.split, dataset.n)
            if dataset.path is None:  # made again in no time, or read from the cache
                return found
            self._read[dataset] = found
        return self._read[dataset]


def run(
    out: Path,
    settings: BenchmarkSettings,
    tasks: Sequence[Task],
    arguments: Sequence[str],
    sets: PuzzleSets | None = None,
) -> dict[Key, dict[str, cells.CellResult]]:
    """Compute all cells that are not there yet, write everything, show the tables.

    Args:
        out: folder; several jobs have ``out/<model>/<seed>`` each.
        settings: of the command, of its first point.
        tasks: models, seeds and points of a sweep.
        arguments: the command line, for run.json.
        sets: the puzzles, where some have been read already.

    Returns:
        (model, seed) -> puzzle set -> result.
    """
    with ExitStack() as held:
        fresh = not out.is_dir()
        if not fresh:
            held.enter_context(alone(out))
        work = _check(out, settings, tasks, sets or PuzzleSets(settings))
        for folder in sorted({out, *(folder.parent for folder in work.folders.values())} - {out.parent}):
            runs.prepare_folder(folder, inner=folder != out)
        if fresh:
            held.enter_context(alone(out))
            _match(out, settings, work)  # again: another program may have been faster
        sweep(out)  # where the tables of several are
        _begin(tasks, arguments, work)
        return _compute(out, settings, tasks, work)


@dataclass(frozen=True)
class Work:
    """What a benchmark is to compute, by (model, seed).

    Attributes:
        several: whether there are several models or seeds, each with a folder of its own.
        folders: where results go.
        wanted: the cells.
        marks: what their results are known again by.
        done: results that are there already.
    """

    several: bool
    folders: Mapping[Key, Path]
    wanted: Mapping[Key, Sequence[cells.Evaluation]]
    marks: Mapping[Key, Mapping[str, Mapping[str, str]]]
    done: dict[Key, dict[str, cells.CellResult]]


def _check(out: Path, settings: BenchmarkSettings, tasks: Sequence[Task], sets: PuzzleSets) -> Work:
    """Everything that can be wrong is found here, before anything is written."""
    several = settings.compare is not None or settings.seeds is not None or len(tasks) > 1
    folders: dict[Key, Path] = {}
    wanted: dict[Key, Sequence[cells.Evaluation]] = {}
    marks: dict[Key, dict[str, dict[str, str]]] = {}
    for task in tasks:
        key, job = task.key, task.job
        folders[key] = out / job.name / str(job.seed) if several else out
        wanted[key] = _cells(task.settings, job, sets)
        marks[key] = {cell.name: cell.marks() for cell in wanted[key]}
    _check_certainty(settings, wanted.values())
    work = Work(several, folders, wanted, marks, {})
    _match(out, settings, work)
    return work


def _check_certainty(settings: BenchmarkSettings, wanted: Iterable[Sequence[cells.Evaluation]]) -> None:
    """Refuse to withhold, or to draw, by a certainty that no learner tells: all must where answers are withheld."""
    if settings.abstain is None and settings.reliability is None:
        return
    made = [part[0].recipe for part in wanted if part and isinstance(part[0], cells.Cell)]
    silent = [learner for recipe in made if not (learner := recipe.solver().learner).calibrated]
    if silent and settings.abstain is not None:
        raise uncalibrated(f"abstain={settings.abstain}", silent[0])
    if silent and len(silent) == len(made):
        raise uncalibrated(f"reliability={settings.reliability}", silent[0])


def _match(out: Path, settings: BenchmarkSettings, work: Work) -> None:
    """Find the results that are there already; refuse folders that hold anything else."""
    if work.several and out.is_dir() and not settings.overwrite:
        comparison.check_folder(out)
    for key, folder in work.folders.items():
        work.done[key] = cells.CellStore(folder, settings.overwrite).match(work.marks[key])


def _begin(tasks: Sequence[Task], arguments: Sequence[str], work: Work) -> None:
    """Make the folders, each with its settings and its record."""
    said: set[str] = set()
    for task in tasks:
        key, job, settings = task.key, task.job, task.settings
        job.say_differences(said)
        sweep(runs.prepare_folder(work.folders[key], inner=work.several))
        cells.CellStore(work.folders[key], settings.overwrite).clear(keep=work.done[key])
        answered = {} if job.answers is None else {"answered": answer_files.counts(work.wanted[key])}
        record = {
            "status": "running",
            "model": job.model.name,
            "mode": job.mode,
            "seed": job.seed,
            "decoder": job.decoder,
            "checkpoint": job.weights,
            "recipe": _header(job, work.wanted[key]),
            "protocol": _protocol(settings, job),
            "backend": build.backend_words(job.backend),
            **({"swept": dict(task.swept)} if task.swept else {}),
            **({} if settings.abstain is None else {"abstain": settings.abstain}),
            **({} if job.answers is None else {"answers": job.answers, **answered}),
            **runs.environment(arguments, MODULE, _plugins(work.wanted[key])),
        }
        runs.begin_record(work.folders[key], record, schema.plain(settings))


def _compute(
    out: Path, settings: BenchmarkSettings, tasks: Sequence[Task], work: Work
) -> dict[Key, dict[str, cells.CellResult]]:
    """Compute what is missing, write and show everything."""
    folders, wanted, marks, done = work.folders, work.wanted, work.marks, work.done
    missing = [(key, cell) for key, part in wanted.items() for cell in part if cell.name not in done[key]]
    reused = sum(map(len, wanted.values())) - len(missing)
    if reused:
        screen.say(
            f"{reused} of {sum(map(len, wanted.values()))} results are there already (same settings, code, data)"
        )
    with screen.progress("evaluating", len(missing)) as bar:
        for number, result in execute(
            settings.executor, cells.compute, [cell for _, cell in missing], settings.workers
        ):
            key, cell = missing[number]
            cells.CellStore(folders[key], settings.overwrite).save(cell.name, marks[key][cell.name], result)
            done[key][cell.name] = result
            bar(1, f"{key[0]} {report.short_name(cell.name)}")
    for key, job in ((task.key, task.job) for task in tasks):
        order = [cell.name for cell in wanted[key]]
        done[key] = {name: done[key][name] for name in (*order, *sorted(set(done[key]) - set(order)))}
        _write(folders[key], job, done[key])
    _show(settings, tasks, done)
    if work.several:
        metrics = {key: {name: result.metrics for name, result in part.items()} for key, part in done.items()}
        solved = [task.key for task in tasks if task.job.answers is None]
        costs = {key: {name: _cost(result) for name, result in done[key].items()} for key in solved}
        comparison.write_tables(out, metrics, costs, {task.key: task.swept for task in tasks if task.job.point})
    screen.say(f"\nresults in {out}")
    return done


def _cells(settings: BenchmarkSettings, job: Job, sets: PuzzleSets) -> Sequence[cells.Evaluation]:
    if job.answers is not None:
        return answer_files.answer_sets(job.answers, str(settings.prompts))
    dataset: DatasetSettings = settings.dataset
    if settings.seeds is not None and dataset.seed == settings.seed:  # it follows seed by default, so each of the seeds
        dataset = replace(dataset, seed=job.seed)
    found: list[cells.Cell] = []
    for name, puzzles in sets(dataset).items():
        recipe = job.recipe(Layout.of(puzzles.arrays))
        if not found:
            build.try_out(recipe.solver(), puzzles)
        batch, device, threads = settings.test_batch_size, settings.device, settings.threads
        found.append(cells.Cell(recipe, name, puzzles, batch, device, threads, settings.abstain))
    return found


def _header(job: Job, wanted: Sequence[cells.Evaluation]) -> dict[str, Any] | None:
    """What shapes the results; the algebra as it was made for these puzzles."""
    made = [cell.recipe.algebra for cell in wanted if isinstance(cell, cells.Cell)]
    header = job.header()
    return header if header is None or not made else {**header, "algebra": schema.plain(made[0])}


def _plugins(wanted: Sequence[cells.Evaluation]) -> dict[str, Any]:
    return wanted[0].recipe.plugins() if wanted and isinstance(wanted[0], cells.Cell) else {}


def _cost(result: cells.CellResult) -> dict[str, Any]:
    cost: dict[str, Any] = {"seconds_per_1000": round(result.seconds_per_1000, 4), "memory_mb": result.memory_mb}
    return cost if result.hardware is None else {**cost, "hardware": dict(result.hardware)}


def _write(folder: Path, job: Job, results: Mapping[str, cells.CellResult]) -> None:
    described = next(iter(results.values())).described if job.answers is None else ()
    detail = {name: result.metrics.detail() for name, result in results.items()}
    changes: dict[str, Any] = {
        "seconds": {name: result.seconds for name, result in results.items()},
        "memory_mb": {name: result.memory_mb for name, result in results.items()},
    }
    if any(result.hardware for result in results.values()):
        changes["hardware"] = {name: result.hardware for name, result in results.items()}
    contents = {
        "results.json": {name: result.metrics.results() for name, result in results.items()},
        "rules.json": {"learned": list(described), "puzzles": detail},
    }
    runs.finish_record(folder, contents, **changes)


def _show(settings: BenchmarkSettings, tasks: Sequence[Task], done: Mapping[Key, Mapping[str, Any]]) -> None:
    swept = any(task.job.point for task in tasks)
    labels = {task.key: task.job.label if swept else f"{task.job.name}, {task.job.mode}" for task in tasks}
    if settings.seeds:
        labels = {key: f"{label}, seed {key[1]}" for key, label in labels.items()}
    rows = {label: {name: result.metrics for name, result in done[key].items()} for key, label in labels.items()}
    screen.say()
    beside = [] if swept else _beside(settings, [task.job for task in tasks])
    screen.show(report.answers_table(rows, beside, abstain=settings.abstain))
    if settings.plot is not None:
        marks = [Mark(replace(task.job, point="").name, task.swept) for task in tasks]
        benchmark_plot.write_plot(settings.plot, rows, marks if swept else None)
    if settings.reliability is not None:
        benchmark_plot.write_reliability(settings.reliability, rows)
    ours = {labels[task.key]: task for task in tasks if task.job.answers is None}
    if ours:
        screen.say()
        results = {label: done[task.key] for label, task in ours.items()}
        took = {label: {name: one.seconds_per_1000 for name, one in part.items()} for label, part in results.items()}
        memory = {label: max(one.memory_mb for one in part.values()) for label, part in results.items()}
        screen.show(report.costs_table(took, memory))
        for label, task in ours.items():
            backend = build.backend_words(task.job.backend)
            words = report.hardware_words(label, backend, results[label].values())
            if words:
                screen.say(f"\n{words}")
    if swept:
        screen.say()
        screen.show(report.rules_by_set_table({label: rows[label] for label in ours}))
    else:
        for label, task in ours.items():
            if task.job.decoder is None or len(tasks) == 1:  # decoding changes answers, not rules
                screen.say()
                title = f"Rules named, % (and not excluded by the context, %): {label}"
                screen.show(report.rules_table(rows[label], title))
    first: dict[str, Task] = {}
    for task in ours.values():
        first.setdefault(task.job.model.name, task)
    for model, task in first.items():
        described = next(iter(done[task.key].values())).described
        screen.say("\n" + report.rules_in_words(f"The rules of {model}", described))
    for task in (task for task in tasks if task.job.answers):
        screen.say(f"\nThe answers of {task.job.model.name}:")
        for name, result in done[task.key].items():
            screen.say(f"  {report.short_name(name)}: {' '.join(result.described)}")


def _beside(settings: BenchmarkSettings, jobs: Sequence[Job]) -> list[report.Reference]:
    """Figures of others for these models and puzzles."""
    beside = {
        reference.name: reference
        for job in jobs
        for reference in report.references("language_model" if job.answers else job.model.name, settings.dataset.name)
    }
    return report.at_setting(list(beside.values()), settings.dataset, jobs[0].perception.perception.options)


def _protocol(settings: BenchmarkSettings, job: Job) -> str:
    data = settings.dataset
    count = "every puzzle" if data.n is None else f"{data.n} puzzles each"
    split = data.split or ("test" if data.kind.made else "all")
    count += "" if data.holdout is None else f" with {data.holdout}"
    if job.answers is not None:
        asked = answer_files.prompt_settings(settings)
        origin = f"{asked.form} form, properties in {asked.order} order"
    else:
        origin = f"weights {job.weights}" if job.weights else "rules written by hand"
    return f"{job.mode} ({origin}), {data.name}, {count}, split {split} (by index mod 10)"

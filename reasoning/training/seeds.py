"""``seeds=[0,1,2]``: the same training with several seeds, and a table with mean and standard deviation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reasoning.records import runs
from reasoning.setup import commands
from reasoning.setup.restoring import completed
from reasoning.setup.settings import TrainSettings, plugins
from reasoning.tables import comparison
from reasoning.tables import tables as report
from reasoning.training import run as training
from reasoning.training.start import Resumed, train
from vsa.commands import alone, named_keys, schema, screen, sweep
from vsa.commands.files import taking_apart
from vsa.errors import SettingsError
from vsa.executors import check, execute

__all__ = ["SeedRun", "resume", "run", "train_one"]

_OF_THE_SWEEP = ("seeds", "seed", "executor", "workers", "out")


@dataclass(frozen=True)
class SeedRun:
    """One of the runs.

    Attributes:
        folder: ``out/<seed>``.
        settings: of the run.
        arguments: the command line that would have started it alone.
    """

    folder: Path
    settings: TrainSettings
    arguments: tuple[str, ...]


def run(out: Path, settings: TrainSettings, arguments: list[str]) -> None:
    """Train with every seed, those that are finished already left out, and write the table.

    Args:
        out: the folder; ``out/<seed>`` are ordinary run folders.
        settings: with seeds.
        arguments: the command line.

    Raises:
        VSAError: whatever is wrong with settings, folders or files.
    """
    check(settings.executor)
    if "seed" in named_keys(arguments):
        raise SettingsError(
            f"seed={settings.seed}", received=f"seeds={list(settings.seeds or ())} as well", expected="one of the two"
        )
    chosen = settings.seeds or ()
    jobs = [_run(out, seed, arguments) for seed in chosen]
    _check_folder(out, settings)
    training.prepare(jobs[0].settings)  # what is wrong shows before anything is written; its puzzles are cached
    with alone(runs.prepare_folder(out)):
        sweep(out)
        _check_folder(out, settings)  # again: another program may have been faster
        record = {"status": "running", "model": settings.model.name, "seeds": list(chosen)}
        environment = runs.environment(arguments, "reasoning.train", plugins(settings))
        runs.begin_record(out, {**record, **environment}, schema.plain(settings))
        _train(out, settings, jobs)


def _train(out: Path, settings: TrainSettings, jobs: list[SeedRun]) -> None:
    chosen = settings.seeds or ()
    name = settings.model.name
    screen.say(f"training {name} with seeds {', '.join(map(str, chosen))}; runs in {out}")
    with screen.progress("training", len(jobs)) as bar:
        for number, seconds in execute(settings.executor, train_one, jobs, settings.workers):
            bar(1, f"seed {chosen[number]}, trained in {seconds:.0f} s")
    metrics = {(name, seed): training.read_metrics(job.folder) for seed, job in zip(chosen, jobs, strict=True)}
    comparison.write_tables(out, metrics)
    rows = {f"{name}, seed {seed}": part for (_, seed), part in metrics.items()}
    (entry,) = comparison.summary(metrics)
    summary = [_line(f"{name}, {title}", name, entry[kind]) for kind, title in (("mean", "mean"), ("std", "deviation"))]
    beside = report.references(name, settings.dataset.name)
    screen.say()
    screen.show(report.answers_table(rows, [*summary, *beside], abstain=settings.abstain))
    runs.finish_record(out, {})
    screen.say(f"\nruns in {out}")


def resume(stopped: Resumed[TrainSettings, training.Prepared[TrainSettings]]) -> None:
    """Go on with the runs of several seeds: those that are finished are kept.

    Args:
        stopped: the folder of the runs.

    Raises:
        VSAError: whatever is wrong with folders or files.
    """
    if stopped.more:
        first = stopped.folder / str((stopped.settings.seeds or (0,))[0])
        raise SettingsError(
            "setting more_epochs",
            received="the runs of several seeds",
            expected=f"resume={first} more_epochs={stopped.more}, seed by seed",
        )
    with taking_apart(stopped.folder / runs.RECORD):
        before = named_keys([str(argument) for argument in stopped.record["overrides"]])
    kept = [argument for key, argument in before.items() if key != "dataset.cache_dir" or key in stopped.named]
    run(stopped.folder, stopped.settings, kept)


def train_one(job: SeedRun) -> float:
    """One run, without a word. A function of the module, so that other processes can import it.

    Args:
        job: the run; one that was interrupted goes on.

    Returns:
        Seconds of training.
    """
    with screen.silence():
        train(job.folder, job.settings, list(job.arguments), work=training, go_on=True)
    return float(runs.read_record(job.folder / runs.RECORD)["seconds"]["training"])


def _run(out: Path, seed: int, arguments: list[str]) -> SeedRun:
    """The run with one seed: composed anew, so that all that follows the seed does."""
    from reasoning.setup.training_settings import parse

    kept = [argument for key, argument in named_keys(arguments).items() if key not in _OF_THE_SWEEP]
    folder = out / str(seed)
    own = (*kept, f"seed={seed}", "out='{}'".format(str(folder).replace("'", r"\'")))
    return SeedRun(folder, parse(commands.compose_settings("train", completed(own)), commands.said(own)), own)


def _check_folder(out: Path, settings: TrainSettings) -> None:
    """Refuse a folder that holds anything but runs by seed and their table."""
    if not out.exists() or settings.overwrite:
        return
    names = runs.contents(out)
    own = (*comparison.TABLES, runs.SETTINGS, runs.RECORD)
    if runs.SETTINGS in names and runs.read_record(out / runs.RECORD).get("seeds") is None:
        raise SettingsError(f"out={out}", received="the folder of a single run", expected="another folder")
    foreign = [name for name in names if not name.isdigit() and name not in own]
    if foreign:
        raise SettingsError(
            f"out={out}",
            received=f"a folder that holds {foreign[0]}, which is no run of a seed",
            hint="choose another, or say overwrite=true",
        )


def _line(title: str, model: str, values: Mapping[str, float | None]) -> report.Reference:
    known = {name: value for name, value in values.items() if value is not None}
    return report.Reference(title, model, "learned", "", "", "", known)

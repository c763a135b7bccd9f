"""Tables over several models and seeds: ``out/table.{json,csv,tex}``."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reasoning.outcome.metrics import Metrics
from reasoning.records import runs
from reasoning.tables import tables as report
from vsa.commands import is_stray, write_whole
from vsa.errors import SettingsError

__all__ = ["TABLES", "check_folder", "summary", "write_tables"]

TABLES = ("table.json", "table.csv", "table.tex")

Runs = Mapping[tuple[str, int], Mapping[str, Metrics]]


def check_folder(out: Path) -> None:
    """Refuse a folder that holds anything but an earlier comparison.

    Args:
        out: exists.

    Raises:
        SettingsError: there is something else in it.
    """
    for path in sorted(out.iterdir()):
        if path.name in TABLES or is_stray(path.name):
            continue
        if not path.is_dir() or not all(_is_part(part) for part in path.iterdir()):
            raise SettingsError(
                f"out={out}",
                received=f"a folder that holds {path.name}, which is no part of a comparison",
                hint="choose another, or say overwrite=true",
            )


def _is_part(folder: Path) -> bool:
    """Whether a folder is of one model and seed, or was to become one when its program was killed."""
    begun = folder.name.isdigit() and folder.is_dir() and not runs.contents(folder)
    return begun or (folder / "cells").is_dir()


def summary(results: Runs) -> list[dict[str, Any]]:
    """Mean and standard deviation over the seeds of each model, in percent.

    Args:
        results: (model, seed) -> puzzle set -> metrics.

    Returns:
        One entry per model: seeds, and for each puzzle set and their average the mean and the sample standard
        deviation (None with one seed, or where a set is missing).
    """
    entries = []
    for model in dict.fromkeys(name for name, _ in results):
        parts = {seed: part for (name, seed), part in results.items() if name == model}
        columns: dict[str, list[float | None]] = {
            name: [part[name].answers.percent if name in part else None for part in parts.values()]
            for name in _sets(results)
        }
        columns[report.AVERAGE] = [_average(part, _sets(results)) for part in parts.values()]
        entry: dict[str, Any] = {"model": model, "seeds": list(parts), "mean": {}, "std": {}}
        for name, values in columns.items():
            known = [value for value in values if value is not None]
            whole = len(known) == len(values)
            entry["mean"][name] = statistics.fmean(known) if whole else None
            entry["std"][name] = statistics.stdev(known) if whole and len(known) > 1 else None
        entries.append(entry)
    return entries


def write_tables(out: Path, results: Runs, costs: Mapping[tuple[str, int], Mapping[str, Any]] | None = None) -> None:
    """Write the comparison as JSON (counts), CSV and LaTeX (percent).

    Args:
        out: the folder.
        results: (model, seed) -> puzzle set -> metrics.
        costs: (model, seed) -> puzzle set -> what its evaluation took; goes into the JSON as it is.

    Raises:
        WriteError: a file could not be written.
    """
    sets = _sets(results)
    entries = summary(results)
    rows = [
        {
            "model": model,
            "seed": seed,
            "results": {name: entry.results() for name, entry in part.items()},
            "costs": (costs or {}).get((model, seed), {}),
        }
        for (model, seed), part in results.items()
    ]
    runs.write_json(out / "table.json", {"puzzles": sets, "runs": rows, "summary": entries})

    header = ["model", "seed", *sets, report.AVERAGE]
    table: list[list[Any]] = []
    for (model, seed), part in results.items():
        values = [part[name].answers.percent if name in part else None for name in sets]
        table.append([model, seed, *values, _average(part, sets)])
    for entry in entries:
        for kind in ("mean", "std"):
            table.append([entry["model"], kind, *(entry[kind][name] for name in (*sets, report.AVERAGE))])
    rounded = [[round(cell, 4) if isinstance(cell, float) else cell for cell in row] for row in table]
    write_whole(out / "table.csv", report.to_csv(header, rounded).encode())

    short = ["", *map(report.short_name, sets), report.AVERAGE]
    lines = []
    for entry in entries:
        names = (*sets, report.AVERAGE)
        lines.append([entry["model"], *(_spread(entry["mean"][name], entry["std"][name]) for name in names)])
    count = len({seed for _, seed in results})
    caption = "Answers right in %" + (f", mean and standard deviation over {count} seeds" if count > 1 else "")
    write_whole(out / "table.tex", report.to_latex(short, lines, caption).encode())


def _spread(mean: float | None, std: float | None) -> str | None:
    if mean is None:
        return None
    return f"{mean:.1f}" + ("" if std is None else f" ± {std:.1f}")


def _sets(results: Runs) -> list[str]:
    return list(dict.fromkeys(name for part in results.values() for name in part))


def _average(part: Mapping[str, Metrics], sets: Sequence[str]) -> float | None:
    values = [part[name].answers.percent if name in part else None for name in sets]
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None

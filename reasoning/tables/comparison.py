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
from vsa.statistics import wilson

__all__ = ["TABLES", "check_folder", "measures", "summary", "write_tables"]

ANSWERS = "answers"
_ENDS = ("answers, low", "answers, high")  # which have no average
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


def measures(metrics: Metrics) -> dict[str, float | None]:
    """What is compared of one puzzle set, in percent.

    Args:
        metrics: of the set.

    Returns:
        Answers right with the ends of their 95 % interval (Wilson's), right answers to the puzzles of which one answer
        alone can be defended, answers that tie with another; where they are known the calibration error, and answers
        that were not withheld and how many of them are right; rules named, and rules not excluded by the context, of
        all attributes and of each.
    """
    low, high = wilson(metrics.answers.correct, metrics.answers.total or 1)
    found = {ANSWERS: metrics.answers.percent, _ENDS[0]: 100 * low, _ENDS[1]: 100 * high}
    found |= {"answers, one defensible": metrics.unambiguous.percent, "answers tied": metrics.tied.percent}
    if metrics.certainty.error is not None:
        found["calibration error"] = 100 * metrics.certainty.error
    if metrics.answered is not None and metrics.given is not None:
        found |= {"answered": metrics.given.percent, "answered right": metrics.answered.percent}
    for name, tally in {"rules": metrics.rule, **metrics.by_slot()}.items():
        if tally.total:
            found[f"{name} named"] = 100 * tally.named / tally.total
            found[f"{name} consistent"] = 100 * tally.consistent / tally.total
    return found


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
        deviation of answers right (None with one seed, or where a set is missing); ``measures``: the same of every
        other measure.
    """
    entries = []
    every = {key: {name: measures(metrics) for name, metrics in part.items()} for key, part in results.items()}
    sets = _sets(results)
    for model in dict.fromkeys(name for name, _ in results):
        parts = [part for (name, _), part in every.items() if name == model]
        kinds = dict.fromkeys(kind for part in parts for found in part.values() for kind in found)
        spread = {kind: _over_seeds([_columns(part, sets, kind) for part in parts]) for kind in kinds}
        answers = spread.pop(ANSWERS, _over_seeds([_columns(part, sets, ANSWERS) for part in parts]))
        seeds = [seed for name, seed in results if name == model]
        entries.append({"model": model, "seeds": seeds, **answers, "measures": spread})
    return entries


def write_tables(
    out: Path,
    results: Runs,
    costs: Mapping[tuple[str, int], Mapping[str, Any]] | None = None,
    swept: Mapping[tuple[str, int], Mapping[str, Any]] | None = None,
) -> None:
    """Write the comparison as JSON (counts), CSV (percent) and LaTeX (answers right in percent).

    Args:
        out: the folder.
        results: (model, seed) -> puzzle set -> metrics.
        costs: (model, seed) -> puzzle set -> what its evaluation took; goes into the JSON as it is.
        swept: (model, seed) -> swept key -> value; goes into the JSON, and into columns of the CSV.

    Raises:
        WriteError: a file could not be written.
    """
    sets = _sets(results)
    entries = summary(results)
    swept = swept or {}
    rows = [
        {
            "model": model,
            "seed": seed,
            **({"swept": dict(swept[model, seed])} if swept.get((model, seed)) else {}),
            "results": {name: entry.results() for name, entry in part.items()},
            "costs": (costs or {}).get((model, seed), {}),
        }
        for (model, seed), part in results.items()
    ]
    runs.write_json(out / "table.json", {"puzzles": sets, "runs": rows, "summary": entries})
    write_whole(out / "table.csv", _csv(results, sets, entries, swept).encode())

    short = ["", *map(report.short_name, sets), report.AVERAGE]
    lines = []
    for entry in entries:
        names = (*sets, report.AVERAGE)
        lines.append([entry["model"], *(_spread(entry["mean"][name], entry["std"][name]) for name in names)])
    count = len({seed for _, seed in results})
    caption = "Answers right in %" + (f", mean and standard deviation over {count} seeds" if count > 1 else "")
    write_whole(out / "table.tex", report.to_latex(short, lines, caption).encode())


def _csv(
    results: Runs,
    sets: Sequence[str],
    entries: Sequence[Mapping[str, Any]],
    swept: Mapping[tuple[str, int], Mapping[str, Any]],
) -> str:
    """A line for each model, seed and measure, then their means and deviations."""
    keys = list(dict.fromkeys(key for values in swept.values() for key in values if key != "model"))
    at = {model: [swept.get((model, seed), {}).get(key) for key in keys] for model, seed in results}
    lines: list[list[Any]] = []
    for (model, seed), part in results.items():
        found = {name: measures(metrics) for name, metrics in part.items()}
        for kind in dict.fromkeys(kind for one in found.values() for kind in one):
            lines.append([model, *at[model], seed, kind, *_columns(found, sets, kind).values()])
    for entry in entries:
        model = entry["model"]
        for over in ("mean", "std"):
            spread = {ANSWERS: entry, **entry["measures"]}
            lines += [[model, *at[model], over, kind, *one[over].values()] for kind, one in spread.items()]
    rounded = [[round(cell, 4) if isinstance(cell, float) else cell for cell in line] for line in lines]
    return report.to_csv(["model", *keys, "seed", "measure", *sets, report.AVERAGE], rounded)


def _columns(part: Mapping[str, Mapping[str, float | None]], sets: Sequence[str], kind: str) -> dict[str, float | None]:
    """One measure of each puzzle set and its average, which ends of intervals have none of."""
    values = {name: part[name].get(kind) if name in part else None for name in sets}
    known = [value for value in values.values() if value is not None]
    whole = bool(known) and len(known) == len(values) and kind not in _ENDS
    return {**values, report.AVERAGE: statistics.fmean(known) if whole else None}


def _over_seeds(parts: Sequence[Mapping[str, float | None]]) -> dict[str, dict[str, float | None]]:
    """Mean and deviation of each column; None where a seed has no value, and a deviation needs two."""
    found: dict[str, dict[str, float | None]] = {"mean": {}, "std": {}}
    for name in parts[0]:
        known = [value for part in parts if (value := part[name]) is not None]
        whole = bool(known) and len(known) == len(parts)
        found["mean"][name] = statistics.fmean(known) if whole else None
        found["std"][name] = statistics.stdev(known) if whole and len(known) > 1 else None
    return found


def _spread(mean: float | None, std: float | None) -> str | None:
    if mean is None:
        return None
    return f"{mean:.1f}" + ("" if std is None else f" ± {std:.1f}")


def _sets(results: Runs) -> list[str]:
    return list(dict.fromkeys(name for part in results.values() for name in part))

"""Tables of results: for the screen, as CSV and as LaTeX, beside the numbers of others."""

from __future__ import annotations

import csv
import io
import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from reasoning.outcome.metrics import Metrics, RuleTally, Tally, total
from vsa.commands import Grid, reference_file
from vsa.errors import CorruptFileError
from vsa.statistics import wilson

if TYPE_CHECKING:
    from reasoning.evaluation.cells import CellResult
    from reasoning.setup.settings import DatasetSettings

__all__ = [
    "AVERAGE",
    "Reference",
    "answers_table",
    "at_setting",
    "costs_table",
    "hardware_words",
    "references",
    "rules_by_set_table",
    "rules_in_words",
    "rules_table",
    "short_name",
    "to_csv",
    "to_latex",
]

AVERAGE = "average"


@dataclass(frozen=True)
class Reference:
    """Published or measured numbers to stand beside ours: percent by constellation (or other column)."""

    name: str
    model: str
    mode: str
    dataset: str
    conditions: str
    source: str
    answers: Mapping[str, float]


def references(model: str | None = None, dataset: str | None = None, path: Path | None = None) -> list[Reference]:
    """The entries of ``benchmarks/reference.yaml``.

    Args:
        model: only those that are shown beside this model (an entry lists the models it is shown ``beside``).
        dataset: only those of this dataset.
        path: the file. Default: ours. Where it is missing there are no entries.

    Returns:
        The entries, in the file's order.

    Raises:
        CorruptFileError: the file cannot be understood.
    """
    path = reference_file() if path is None else path
    if not path.is_file():
        return []
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))["entries"]
        found = []
        for entry in entries:
            if (model is None or model in entry["beside"]) and (dataset is None or entry["dataset"] == dataset):
                found.append(Reference(**{name: entry[name] for name in Reference.__dataclass_fields__}))
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise CorruptFileError(f"read {path}", received=f"{type(error).__name__}: {error}") from error
    return found


def at_setting(
    entries: Sequence[Reference], dataset: DatasetSettings, perception: Mapping[str, Any]
) -> list[Reference]:
    """References as columns of this benchmark: those of I-RAVEN-X are by range, confounders and stress.

    Args:
        entries: as the file has them.
        dataset: of the benchmark.
        perception: options of the front-end.

    Returns:
        The entries, those of I-RAVEN-X with the figure of the setting at hand; entries without one are left out.
    """
    if not dataset.kind.ranged:
        return list(entries)
    confounded = bool(dataset.confounders and perception.get("confounders", True))
    stress = perception.get("stress", "none") if perception.get("p_left", 1.0) < 1.0 else "none"
    smoothed = stress == "published"
    usual = dataset.columns == 10 and dataset.confounders in (0, 10)
    usual = usual and stress != "calibrated" and (not smoothed or perception["p_left"] == 0.51)
    suffix = {(False, False): "", (True, False): "_confounded", (False, True): "_smoothed", (True, True): "_both"}
    column = f"range{dataset.maxval}{suffix[confounded, smoothed]}" if usual else ""
    return [
        replace(entry, answers={"center_single": entry.answers[column]}) for entry in entries if column in entry.answers
    ]


def short_name(puzzle_set: str) -> str:
    """The short name of a constellation; anything else as it is."""
    from datasets.constellations import CONSTELLATIONS

    return CONSTELLATIONS[puzzle_set].short if puzzle_set in CONSTELLATIONS else puzzle_set


def answers_table(
    rows: Mapping[str, Mapping[str, Metrics]],
    beside: Sequence[Reference],
    title: str = "Answers right, % (± half of the 95 % interval)",
    abstain: float | None = None,
) -> Grid:
    """Answers right per puzzle set, ours and others'.

    Args:
        rows: our models -> puzzle set -> metrics.
        beside: numbers of others.
        title: above the table.
        abstain: the certainty below which answers were withheld; None: none were.

    Returns:
        A table with a line for each model, and the mean over the puzzle sets as its last column. Where answers tie, or
        a second answer can be defended, further lines tell the share of ties, the answers right where one alone can be
        defended, and how many puzzles are not of that kind. Of a model that says how certain its answers are: how far
        that is from the truth, and where it abstains how often it answers, and how many of these answers are right.
    """
    title += "" if abstain is None else f", withheld below a certainty of {abstain}"
    sets = list(dict.fromkeys(name for row in rows.values() for name in row))
    grid = Grid(title, [*map(short_name, sets), *([AVERAGE] if len(sets) > 1 else [])], emphasis=[AVERAGE])
    for label, row in rows.items():
        tallies = [row[name].answers if name in row else None for name in sets]
        cells = [_with_half_width(tally) for tally in tallies]
        if len(sets) > 1:
            cells.append(_average(tallies))
        grid.add(label, cells, "green")
        withheld = any(metrics.answered is not None for metrics in row.values())
        for words, kind, shown in (
            ("- tied with another", "tied", any(metrics.tied.correct for metrics in row.values())),
            ("- one defensible answer", "unambiguous", any(metrics.ambiguous for metrics in row.values())),
            ("- answered", "given", withheld),
            ("- right of these", "answered", withheld),
        ):
            if shown:
                tallies = [getattr(row[name], kind) if name in row else None for name in sets]
                means = [_average(tallies)] if len(sets) > 1 else []
                grid.add(words, [cell.partition("\n")[0] for cell in (*map(_with_half_width, tallies), *means)], "dim")
        errors = [row[name].certainty.error if name in row else None for name in sets]
        if any(error is not None for error in errors):
            whole = len(sets) > 1 and None not in errors
            errors += [statistics.fmean(filter(None, errors)) if whole else None] if len(sets) > 1 else []
            grid.add("- calibration error", ["-" if error is None else f"{100 * error:.2f}" for error in errors], "dim")
    doubtful = {name: metrics.ambiguous for row in rows.values() for name, metrics in row.items()}
    if any(doubtful.values()):
        counts = [str(doubtful[name]) for name in sets]
        together = [str(sum(doubtful.values()))] if len(sets) > 1 else []
        grid.add("doubtful puzzles (count)", [*counts, *together], "dim")
    for reference in beside:
        values = [reference.answers.get(name) for name in sets]
        known = [value for value in values if value is not None]
        if known:
            mean = [statistics.fmean(known) if len(known) == len(values) else None] if len(sets) > 1 else []
            grid.add(reference.name, ["-" if value is None else f"{value:.2f}" for value in (*values, *mean)])
    return grid


def costs_table(
    seconds: Mapping[str, Mapping[str, float]], memory: Mapping[str, float], title: str = "Seconds for 1,000 puzzles"
) -> Grid:
    """What answering took.

    Args:
        seconds: row -> puzzle set -> seconds for 1,000 puzzles.
        memory: row -> peak memory of the process in MB.
        title: above the table.

    Returns:
        A table with a line for each row.
    """
    sets = list(dict.fromkeys(name for row in seconds.values() for name in row))
    names = [short_name(name) for name in sets]
    grid = Grid(title, [*names, "peak memory"])
    for label, row in seconds.items():
        took = [f"{row[name]:.3g}" if name in row else "-" for name in sets]
        grid.add(label, [*took, f"{memory[label]:.0f} MB"])
    return grid


def rules_in_words(title: str, described: Sequence[str]) -> str:
    """What a learner says of its rules, below a title that explains the letters of formulas where there are some.

    Args:
        title: without a colon.
        described: of :meth:`Learner.describe`.

    Returns:
        Lines.
    """
    formulas = any(re.search(r"= .*\b[xce]\d*\b", sentence) for sentence in described)
    legend = " (x: the row's panels, c: the other rows', e: nothing)" if formulas else ""
    return "\n".join((f"{title}{legend}:", *(f"  {sentence}" for sentence in described)))


def hardware_words(label: str, backend: str, results: Iterable[CellResult]) -> str:
    """What ran on modelled hardware, and what it would have cost there.

    Args:
        label: the row.
        backend: in words.
        results: of all puzzle sets.

    Returns:
        A sentence; nothing for a backend without costs.
    """
    known = [(result.hardware, result.metrics.answers.total) for result in results if result.hardware]
    if not known:
        return ""
    puzzles = sum(total for _, total in known)
    energy, digital, latency = (
        1e6 * sum(hardware[name] for hardware, _ in known) / puzzles
        for name in ("energy_joules", "digital_joules", "latency_seconds")
    )
    analog = ", ".join(dict.fromkeys(name for hardware, _ in known for name in hardware["analog"]))
    return (
        f"{label}: {analog} on {backend}, all else digital; {energy:.3g} uJ and {latency:.3g} us per puzzle, "
        "programming included "
        f"({digital:.3g} uJ for the same products on a digital processor)"
    )


def rules_table(
    metrics: Mapping[str, Metrics], title: str = "Rules named, % (and not excluded by the context, %)"
) -> Grid:
    """Rule accuracy per puzzle set and attribute.

    Args:
        metrics: puzzle set -> metrics.
        title: above the table.

    Returns:
        A table; "99.0 (100.0)" is: the generator's rule named in 99.0 %, a rule that fits the context in 100.0 %.
    """
    slots = list(total(metrics.values()).by_slot())
    grid = Grid(title, slots)
    for name, entry in metrics.items():
        found = entry.by_slot()
        grid.add(short_name(name), [_named(found.get(slot)) for slot in slots])
    return grid


def rules_by_set_table(
    rows: Mapping[str, Mapping[str, Metrics]], title: str = "Rules named, % (and not excluded by the context, %)"
) -> Grid:
    """Rule accuracy per puzzle set, all attributes together.

    Args:
        rows: label -> puzzle set -> metrics.
        title: above the table.

    Returns:
        A table with a line for each row.
    """
    sets = list(dict.fromkeys(name for row in rows.values() for name in row))
    grid = Grid(title, list(map(short_name, sets)))
    for label, row in rows.items():
        grid.add(label, [_named(row[name].rule) if name in row else "-" for name in sets])
    return grid


def to_csv(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table as CSV.

    Args:
        header: column names.
        rows: values; None is an empty cell.

    Returns:
        The text.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([["" if value is None else value for value in row] for row in rows])
    return text.getvalue()


def to_latex(header: Sequence[str], rows: Sequence[Sequence[Any]], caption: str) -> str:
    """A table as LaTeX (booktabs).

    Args:
        header: column names.
        rows: values; None is a dash, floats get one digit.
        caption: of the table.

    Returns:
        The text.
    """

    def cell(value: Any) -> str:
        text = "--" if value is None else f"{value:.1f}" if isinstance(value, float) else str(value)
        for sign in "&%_#$":
            text = text.replace(sign, "\\" + sign)
        return text

    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{cell(caption)}}}",
        rf"  \begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
        r"    \toprule",
        "    " + " & ".join(map(cell, header)) + r" \\",
        r"    \midrule",
        *("    " + " & ".join(map(cell, row)) + r" \\" for row in rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _named(tally: RuleTally | None) -> str:
    if tally is None or not tally.total:
        return "-"
    return f"{100 * tally.named / tally.total:.1f} ({100 * tally.consistent / tally.total:.1f})"


def _with_half_width(tally: Tally | None) -> str:
    """A share in percent, and below it half of its 95 % interval (Wilson's)."""
    if tally is None or tally.percent is None:
        return "-"
    low, high = wilson(tally.correct, tally.total)
    return f"{tally.percent:.2f}\n±{50 * (high - low):.2f}"


def _average(tallies: Sequence[Tally | None]) -> str:
    """The mean of all shares, and below it half of its 95 % interval: halves add up as independent errors do."""
    known = [tally for tally in tallies if tally is not None and tally.total]
    if len(known) < len(tallies):
        return "-"
    ends = [wilson(tally.correct, tally.total) for tally in known]
    half = math.sqrt(sum((high - low) ** 2 for low, high in ends)) / (2 * len(ends))
    return f"{statistics.fmean(tally.percent or 0.0 for tally in known):.2f}\n±{100 * half:.2f}"

"""A sweep as a picture: answers right and rules named over the swept value."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reasoning.outcome.metrics import Metrics, Tally, total
from reasoning.tables import tables as report
from vsa.statistics import wilson

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Mark", "draw_curves"]

_WIDE = 50  # times the smallest value: then the axis is logarithmic


@dataclass(frozen=True)
class Mark:
    """Where in a sweep a row stands: its model (with mode and decoder, where these differ), and swept key -> value."""

    model: str
    swept: Mapping[str, Any]


def draw_curves(
    figure: Any, rows: Mapping[str, Mapping[str, Metrics]], marks: Sequence[Mark], chance: float
) -> Figure | None:
    """Draw a sweep.

    Args:
        figure: makes a matplotlib figure of its options.
        rows: label -> puzzle set -> metrics.
        marks: one for each row. Rows that differ in nothing but the seed are added up.
        chance: answers right by guessing, in percent.

    Returns:
        A line of two panels, answers and rules, for each combination of what is not on the axis: a curve for each
        puzzle set with its 95 % intervals, and their mean. None where nothing but models is swept.
    """
    values: dict[str, list[Any]] = {}
    for mark in marks:
        for key, value in mark.swept.items():
            if key != "model" and value not in values.setdefault(key, []):
                values[key].append(value)
    if not values:
        return None
    axis = max(values, key=lambda key: len(values[key]))
    groups: dict[str, dict[Any, list[Mapping[str, Metrics]]]] = {}
    for row, mark in zip(rows.values(), marks, strict=True):
        others = [
            f"{key.rpartition('.')[2]}={value}" for key, value in mark.swept.items() if key not in (axis, "model")
        ]
        groups.setdefault(", ".join([mark.model, *others]), {}).setdefault(mark.swept[axis], []).append(row)
    drawn: Figure = figure(figsize=(9.0, 0.6 + 2.7 * len(groups)), layout="constrained")
    panels = drawn.subplots(len(groups), 2, squeeze=False, sharey=True)
    for line, (name, group) in zip(panels, groups.items(), strict=True):
        found = {value: _summed(parts) for value, parts in group.items()}
        _panel(line[0], found, lambda metrics: metrics.answers, f"answers right, %: {name}")
        _panel(line[1], found, lambda metrics: Tally(metrics.rule.named, metrics.rule.total), f"rules named, %: {name}")
        line[0].axhline(chance, color="gray", linewidth=0.8, linestyle=":")
        for panel in line:
            panel.set_ylim(-3, 103)
    for panel in panels[-1]:
        panel.set_xlabel(axis)
    handles, labels = panels[0][0].get_legend_handles_labels()
    drawn.legend(handles, labels, fontsize=7, loc="outside upper center", ncols=min(4, len(labels)))
    return drawn


def _summed(parts: Sequence[Mapping[str, Metrics]]) -> dict[str, Metrics]:
    """Over seeds."""
    return {name: total(part[name] for part in parts if name in part) for part in parts for name in part}


def _panel(axes: Axes, found: Mapping[Any, Mapping[str, Metrics]], tally_of: Any, title: str) -> None:
    places = _places(axes, list(found))
    sets = list(dict.fromkeys(name for part in found.values() for name in part))
    for name in sets:
        points = [(places[value], tally_of(part[name])) for value, part in found.items() if name in part]
        counted = [(place, tally) for place, tally in points if tally.total]
        shares = [tally.percent for _, tally in counted]
        ends = [wilson(tally.correct, tally.total) for _, tally in counted]
        errors = [
            [max(0.0, share - 100 * low) for share, (low, _) in zip(shares, ends, strict=True)],
            [max(0.0, 100 * high - share) for share, (_, high) in zip(shares, ends, strict=True)],
        ]
        across = [place for place, _ in counted]
        axes.errorbar(across, shares, yerr=errors, label=report.short_name(name), marker=".", linewidth=0.9, capsize=2)
    if len(sets) > 1:
        means = {
            places[value]: statistics.fmean(tally_of(part[name]).percent or 0.0 for name in sets)
            for value, part in found.items()
            if all(name in part and tally_of(part[name]).total for name in sets)
        }
        axes.plot(list(means), list(means.values()), color="black", linewidth=1.8, label=report.AVERAGE)
    axes.set_title(title, fontsize=8)
    axes.grid(alpha=0.3)


def _places(axes: Axes, values: Sequence[Any]) -> dict[Any, float]:
    """Where each value stands: numbers where they are, over a wide range by their logarithm, words side by side."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if not numbers:
        axes.set_xticks(range(len(values)), [str(value) for value in values], fontsize=8)
        return {value: place for place, value in enumerate(values)}
    if min(values) > 0 and max(values) / min(values) >= _WIDE:
        axes.set_xscale("log")
    axes.set_xticks(values, [f"{value:,}" for value in values], fontsize=8)
    axes.set_xticks([], minor=True)
    return {value: float(value) for value in values}

"""Certainty as a picture: how often answers are right that were said to be right with a certain probability."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reasoning.outcome.metrics import Metrics, total
from reasoning.outcome.reliability import BINS
from reasoning.tables import tables as report
from vsa.statistics import wilson

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_reliability"]

_ACROSS = 4  # panels
_SUM = "all together"
_JOINED = 10  # answers from which on a bin's point is joined with its neighbours
_FLOOR = 0.28  # of a panel's height, for the shares of answers below its curves


def draw_reliability(figure: Any, rows: Mapping[str, Mapping[str, Metrics]]) -> Figure:
    """Draw certainty against accuracy.

    Args:
        figure: makes a matplotlib figure of its options.
        rows: label -> puzzle set -> metrics; rows that do not say how certain they are are left out.

    Returns:
        A panel for each puzzle set, and one for all together: for each row a point where a bin holds answers (mean
        certainty across, share of right answers up, with its 95 % interval; points of many answers are large, those of
        ten and more are joined) and, below, how many answers are in it. On the diagonal certainty is what it says.
    """
    known = {label: row for label, row in rows.items() if any(one.certainty.count for one in row.values())}
    sets = list(dict.fromkeys(name for row in known.values() for name in row))
    panels = {
        report.short_name(name): {label: row[name] for label, row in known.items() if name in row} for name in sets
    }
    if len(sets) > 1:
        panels[_SUM] = {label: total(row.values()) for label, row in known.items()}
    across = min(_ACROSS, len(panels))
    down = math.ceil(len(panels) / across)
    size = (max(5.0, 3.1 * across), 3.6 * down + 0.3 * len(known))
    drawn: Figure = figure(figsize=size, layout="constrained")
    every = drawn.subplots(down, across, squeeze=False, sharex=True, sharey=True).flatten()
    for axes, (name, found) in zip(every, panels.items(), strict=False):
        _panel(axes, name, {label: found[label] for label in known if label in found}, list(known))
    for axes in every[len(panels) :]:
        axes.set_axis_off()
    for place, axes in enumerate(every[: len(panels)]):
        axes.tick_params(labelbottom=place + across >= len(panels))
    drawn.supxlabel("certainty of the answer, %", fontsize=9)
    drawn.supylabel("answers right, %  (bars: share of the answers, log scale)", fontsize=9)
    handles = {label: handle for axes in every for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    drawn.legend(handles.values(), handles.keys(), fontsize=8, loc="outside upper center", ncols=min(2, len(handles)))
    return drawn


def _panel(axes: Axes, title: str, found: Mapping[str, Metrics], labels: list[str]) -> None:
    axes.plot([0, 100], [0, 100], color="gray", linewidth=0.8, linestyle=":")
    errors = []
    for label, metrics in found.items():
        certainty, color = metrics.certainty, f"C{labels.index(label) % 10}"
        if certainty.error is None:
            continue
        errors.append(f"{100 * certainty.error:.2f}")
        bins = certainty.bins()
        across = [100 * mean for mean, _, _ in bins]
        shares = [100 * right / count for _, right, count in bins]
        ends = [wilson(right, count) for _, right, count in bins]
        bars = [
            [max(0.0, share - 100 * low) for share, (low, _) in zip(shares, ends, strict=True)],
            [max(0.0, 100 * high - share) for share, (_, high) in zip(shares, ends, strict=True)],
        ]
        axes.errorbar(across, shares, bars, color=color, fmt="none", linewidth=0.7, alpha=0.6)
        sizes = [4 + 60 * count / certainty.count for _, _, count in bins]
        axes.scatter(across, shares, sizes, color=color, label=label, zorder=3)
        many = [place for place, (_, _, count) in enumerate(bins) if count >= _JOINED]
        axes.plot([across[place] for place in many], [shares[place] for place in many], color=color, linewidth=1.0)
        _shares(axes.inset_axes((0, 0, 1, _FLOOR)), certainty.total, color, labels.index(label), len(labels))
    axes.set(xlim=(0, 100), ylim=(-100 * _FLOOR / (1 - _FLOOR), 103))
    axes.set_yticks(range(0, 101, 20))
    axes.set_xticks(range(0, 101, 20))
    axes.set_title(f"{title}: calibration error {', '.join(errors)}", fontsize=8)
    axes.grid(alpha=0.3)


def _shares(axes: Axes, counts: tuple[int, ...], color: str, place: int, several: int) -> None:
    """Bars of the shares of answers in the bins: from one in ten thousand to all of them."""
    width = 100 / BINS
    heights = [max(0.0, 4 + math.log10(count / sum(counts))) if count else 0.0 for count in counts]
    left = [width * (k + (place + 0.5) / several) for k in range(BINS)]
    axes.bar(left, heights, width / several * 0.9, color=color, alpha=0.35)
    axes.set(xlim=(0, 100), ylim=(0, 4.6))
    axes.set_axis_off()

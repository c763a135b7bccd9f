"""A benchmark as a picture: answers right for each puzzle set, and rules named beside rules consistent."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reasoning.outcome.metrics import Metrics, total
from reasoning.tables import curves
from reasoning.tables import tables as report
from reasoning.tables.reliability import draw_reliability
from vsa.commands import write_whole
from vsa.errors import SettingsError, VSAError
from vsa.statistics import wilson

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["check_plot", "draw", "write_plot", "write_reliability"]

CHANCE = 12.5  # % of answers right by guessing among eight
PICTURES = (".png", ".pdf", ".svg")


def check_plot(path: str, setting: str = "plot") -> None:
    """Refuse what could not be written in the end.

    Args:
        path: of the picture.
        setting: that names it, for messages.

    Raises:
        SettingsError: no picture's name, or a folder that is not there.
        VSAError: matplotlib is not installed.
    """
    place = Path(path).expanduser()
    if place.suffix.lower() not in PICTURES or place.is_dir():
        expected = f"a file's name that ends in {', '.join(PICTURES)}"
        raise SettingsError(f"setting {setting}", received=path, expected=expected)
    if not place.parent.is_dir():
        expected = f"a file in a folder that exists ({place.parent})"
        raise SettingsError(f"setting {setting}", received=path, expected=expected)
    _figure()


def write_plot(
    path: str, rows: Mapping[str, Mapping[str, Metrics]], marks: Sequence[curves.Mark] | None = None
) -> None:
    """Draw and write.

    Args:
        path: of the picture.
        rows: label -> puzzle set -> metrics.
        marks: of a sweep, one for each row: curves over the swept value.

    Raises:
        WriteError: it could not be written.
    """
    figure = curves.draw_curves(_figure(), rows, marks, CHANCE) if marks else None
    _write(path, figure or draw(rows))


def write_reliability(path: str, rows: Mapping[str, Mapping[str, Metrics]]) -> None:
    """Draw certainty against answers right, and write.

    Args:
        path: of the picture.
        rows: label -> puzzle set -> metrics; at least one says how certain its answers are.

    Raises:
        WriteError: it could not be written.
    """
    _write(path, draw_reliability(_figure(), rows))


def _write(path: str, figure: Figure) -> None:
    place, content = Path(path).expanduser(), io.BytesIO()
    figure.savefig(content, format=place.suffix[1:].lower(), dpi=110)
    write_whole(place, content.getvalue())


def draw(rows: Mapping[str, Mapping[str, Metrics]]) -> Figure:
    """The picture.

    Args:
        rows: label -> puzzle set -> metrics.

    Returns:
        A matplotlib figure: bars of answers right with their 95 % intervals; for each row a table of rules named and,
        in brackets, not excluded by the context, by puzzle set and attribute.
    """
    sets = list(dict.fromkeys(name for row in rows.values() for name in row))
    ruled = {label: row for label, row in rows.items() if any(metrics.rules for metrics in row.values())}
    figure = _figure()(figsize=(max(6.0, 1.1 * len(sets) + 2), 3.0 + 2.0 * len(ruled)), layout="constrained")
    every = figure.subplots(1 + len(ruled), 1, squeeze=False)[:, 0]
    _bars(every[0], rows, sets)
    for axes, (label, row) in zip(every[1:], ruled.items(), strict=True):
        _rules(axes, label, row, sets)
    return figure


def _bars(axes: Any, rows: Mapping[str, Mapping[str, Metrics]], sets: list[str]) -> None:
    width = 0.8 / len(rows)
    for number, (label, row) in enumerate(rows.items()):
        places, heights, errors = [], [], []
        for place, name in enumerate(sets):
            tally = row[name].answers if name in row else None
            if tally is not None and tally.percent is not None:
                places.append(place + (number - (len(rows) - 1) / 2) * width)
                heights.append(tally.percent)
                errors.append(_interval(tally.correct, tally.total))
        low, high = [error[0] for error in errors], [error[1] for error in errors]
        axes.bar(places, heights, width, yerr=[low, high], label=label, error_kw={"linewidth": 0.8})
    axes.axhline(CHANCE, color="gray", linewidth=0.8, linestyle=":")
    axes.set_xticks(range(len(sets)), [report.short_name(name) for name in sets], rotation=20, ha="right")
    axes.set(ylabel="answers right, %", ylim=(0, 105))
    axes.legend(fontsize=7, loc="lower left")


def _rules(axes: Any, label: str, row: Mapping[str, Metrics], sets: list[str]) -> None:
    slots = list(total(row.values()).by_slot())
    shares = [[math.nan] * len(sets) for _ in slots]
    axes.set_title(f"rules named (not excluded by the context), %: {label}", fontsize=8)
    for column, name in enumerate(sets):
        found = row[name].by_slot() if name in row else {}
        for line, slot in enumerate(slots):
            if slot in found:
                tally = found[slot]
                shares[line][column] = 100 * tally.named / tally.total
                text = f"{100 * tally.named / tally.total:.1f} ({100 * tally.consistent / tally.total:.1f})"
                dark = shares[line][column] > 60
                axes.text(column, line, text, ha="center", va="center", fontsize=7, color="white" if dark else "black")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    axes.set_xticks(range(len(sets)), [report.short_name(name) for name in sets], fontsize=7)
    axes.set_yticks(range(len(slots)), slots, fontsize=7)


def _interval(correct: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval around a share, in percent below and above it."""
    low, high = wilson(correct, count)
    return max(0.0, 100 * (correct / count - low)), max(0.0, 100 * (high - correct / count))


def _figure() -> Any:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise VSAError(
            "plot", received="no matplotlib", expected="it installed", hint="pip install -e '.[plots]'"
        ) from error

    def make(**options: Any) -> Figure:
        figure = Figure(**options)
        FigureCanvasAgg(figure)
        return figure

    return make

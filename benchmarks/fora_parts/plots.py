"""Plots of the parts that have one; none where matplotlib is not installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def draw(part: str, rows: Sequence[Row], out: Path) -> None:
    """Draw what belongs to a part.

    Args:
        part: its name.
        rows: of its record.
        out: the folder.
    """
    made = {"stress": ("reliability", _reliability), "dims": ("dims", _dims), "scale": ("scale", _scale)}.get(part)
    if made is None:
        return
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        print(f"no plot of {part}: pip install -e '.[plots]'")
        return
    name, content = made
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    content(figure, rows)
    figure.savefig(out / f"{name}.png", dpi=110)


def _reliability(figure: Any, rows: Sequence[Row]) -> None:
    """Accuracy over confidence: rows of ten, single entities, grids; pooled over p_left."""
    kinds = {
        "rows of ten, range 1000": lambda row: row["set"] == "rows of ten",
        "single entities": lambda row: row["set"] not in ("rows of ten", "2x2", "3x3", "out_in_grid"),
        "grids": lambda row: row["set"] in ("2x2", "3x3", "out_in_grid"),
    }
    every = figure.subplots(1, len(kinds), sharey=True)
    for axes, (title, chosen) in zip(every, kinds.items(), strict=True):
        some = [row for row in rows if chosen(row)]
        for label, pick in (("FORA", lambda row: row), ("symbolic", lambda row: row["by_symbolic"])):
            points = [point for row in some for point in pick(row)["reliability"]]
            bins: dict[int, list[list[float]]] = {}
            for point in points:
                bins.setdefault(min(14, int(15 * point[1])), []).append(point)
            at, height = [], []
            for _, held in sorted(bins.items()):
                size = sum(point[0] for point in held)
                if size >= 10:
                    at.append(sum(point[0] * point[1] for point in held) / size)
                    height.append(sum(point[0] * point[2] for point in held) / size)
            axes.plot(at, height, "o-", markersize=3, label=label)
        axes.plot([0, 1], [0, 1], color="gray", linestyle=":", linewidth=0.8)
        axes.set(title=title, xlabel="confidence", xlim=(0, 1), ylim=(0, 1.02))
    every[0].set_ylabel("share of answers right")
    every[0].legend(fontsize=8)


def _dims(figure: Any, rows: Sequence[Row]) -> None:
    """Accuracy over D."""
    shown = {
        "seven": "average of seven",
        "center_at_.7": "center at .7",
        "ten_at_1.0": "rows of ten, range 100",
        "ten_at_0.51": "rows of ten at .51",
    }
    every = figure.subplots(1, len(shown))
    labels = list(dict.fromkeys(row["algebra"] for row in rows if "algebra" in row and row["dim"]))
    for axes, (name, title) in zip(every, shown.items(), strict=True):
        for label in labels:
            some = [row for row in rows if row.get("algebra") == label and row.get(name) is not None]
            axes.plot([row["dim"] for row in some], [row[name] for row in some], "o-", markersize=3, label=label)
        for row in rows:
            if row.get("algebra") == "symbolic" and name in row:
                axes.axhline(row[name], color="gray", linewidth=0.8, linestyle=":")
        axes.set_xscale("log", base=2)
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("D", fontsize=8)
        axes.tick_params(labelsize=7)
    every[0].set_ylabel("answers right, %")
    every[0].legend(fontsize=6)


def _scale(figure: Any, rows: Sequence[Row]) -> None:
    """CPU-seconds and accuracy over columns, range and confounders."""
    kinds = {
        "columns": lambda row: row["maxval"] == 1000 and not row["confounders"],
        "maxval": lambda row: row["columns"] == 10 and not row["confounders"],
        "confounders": lambda row: row["columns"] == 10 and row["maxval"] == 100,
    }
    names = {"maxval": "range"}
    every = figure.subplots(2, len(kinds), sharex="col")
    for column, (name, chosen) in enumerate(kinds.items()):
        for p_left in (1.0, 0.51):
            for length in sorted({row["length"] for row in rows if chosen(row)}):
                some = [row for row in rows if chosen(row) and "fora" in row and row["p_left"] == p_left]
                some = [row for row in some if row["length"] == length]
                some.sort(key=lambda row, name=name: row[name])
                if some:
                    at = [row[name] for row in some]
                    label = f"p_left {p_left}, D {length}"
                    every[0][column].plot(at, [row["fora"] for row in some], "o-", markersize=3, label=label)
                    every[1][column].plot(at, [row["cpu_seconds_per_1000"] for row in some], "o-", markersize=3)
        every[1][column].set(xscale="log", yscale="log", xlabel=names.get(name, name))
        every[0][column].legend(fontsize=5)
    every[0][0].set_ylabel("right, %")
    every[1][0].set_ylabel("CPU-s per 1,000")

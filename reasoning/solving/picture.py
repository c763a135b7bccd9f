"""The picture of a solution: the matrix with the answer filled in, the rules, and why the others are wrong."""

from __future__ import annotations

import io
import textwrap
from typing import TYPE_CHECKING, Any

from reasoning.outcome.digits import two_digits
from reasoning.outcome.expectation import people
from reasoning.outcome.explanation_plot import figure_of, show_panel
from reasoning.scene import CANDIDATES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from reasoning.solving.solution import Solution

__all__ = ["draw", "picture"]

_CHOSEN, _INK = "#1f5fbf", "#000000"
_WIDE, _NARROW = 62, 30  # letters in a line
_DPI = 110


def draw(solution: Solution) -> Figure:
    """Draw a solution.

    Args:
        solution: what to draw.

    Returns:
        A figure that no window and no global state knows of.

    Raises:
        VSAError: matplotlib is not installed.
    """
    figure = figure_of(13, 10.5)
    top, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(1, 1.15)).flat
    left, right = top.subfigures(1, 2, squeeze=False, width_ratios=(1, 1.35)).flat
    figure.suptitle(f"{solution.puzzle.name}\n{solution.verdict}", fontsize=13)
    matrix = [*solution.puzzle.context, solution.puzzle.candidates[solution.answer]]
    for axes, panel in zip(left.subplots(3, 3).flat, matrix, strict=True):
        show_panel(axes, panel)
    _mark(left.axes[-1])
    _words(right.subplots(), solution)
    for k, axes in enumerate(below.subplots(2, CANDIDATES // 2).flat):
        show_panel(axes, solution.puzzle.candidates[k])
        chosen = k == solution.answer
        share = "" if solution.probabilities is None else f" ({two_digits(solution.probabilities[k])})"
        axes.set_title(
            f"{people(k)}{': answer' if chosen else ''}{share}", fontsize=10, color=_CHOSEN if chosen else _INK
        )
        axes.set_xlabel(_wrong(solution, k), fontsize=8)
        if chosen:
            _mark(axes)
    return figure


def picture(solution: Solution, form: str) -> bytes:
    """The drawing as a file.

    Args:
        solution: what to draw.
        form: png or svg.

    Returns:
        The file; the same for the same solution.

    Raises:
        VSAError: matplotlib is not installed.
    """
    content = io.BytesIO()
    metadata = {"Date": None} if form == "svg" else None
    figure = draw(solution)
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "solution"}):
        figure.savefig(content, format=form, dpi=_DPI, metadata=metadata)
    return content.getvalue()


def _mark(axes: Any) -> None:
    for spine in axes.spines.values():
        spine.set(color=_CHOSEN, linewidth=3)


def _words(axes: Any, solution: Solution) -> None:
    """Rules and notes, line by line."""
    axes.set_axis_off()
    several = len(solution.puzzle.layouts) > 1
    lines = [f"layout {solution.layout} ({two_digits(solution.puzzle.probability)})", "", "rules:"]
    for entry, words in solution.rules():
        name = f"{entry.component} {entry.attribute}" if several else entry.attribute
        expected = "" if entry.expected is None else f"; expects {entry.expected}"
        lines += textwrap.wrap(f"{name}: {words}{expected}", _WIDE, initial_indent="  ", subsequent_indent="      ")
    for note in solution.notes:
        lines += ["", *textwrap.wrap(f"note: {note}", _WIDE)]
    axes.text(0, 1, "\n".join(lines), ha="left", va="top", fontsize=10, transform=axes.transAxes, parse_math=False)


def _wrong(solution: Solution, candidate: int) -> str:
    """Why it is wrong, below its panel."""
    if candidate == solution.answer:
        return "as expected" if not solution.wrong_because(candidate) else "the others fit less"
    faults = [fault.replace(", which should be", " should be") for fault in solution.wrong_because(candidate)]
    words = "; ".join(faults) or ("as good as the answer" if candidate in solution.explanation.tied else "fits less")
    return "\n".join(textwrap.wrap(words, _NARROW))

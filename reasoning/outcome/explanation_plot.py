"""The picture of an explanation: the puzzle's panels, the rules found, and how the candidates agree."""

from __future__ import annotations

import io
import textwrap
from typing import TYPE_CHECKING, Any

from datasets.panels import ROWS
from reasoning.outcome.digits import two_digits
from reasoning.outcome.expectation import people
from vsa.errors import VSAError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reasoning.outcome.explanation import Explanation

__all__ = ["draw", "figure_of", "mark", "pictures_of", "png", "show_panel"]

_RIGHT, _WRONG, _CHOSEN, _INK = "#0a7d35", "#c0202a", "#1f5fbf", "#000000"
_LABEL = 24  # letters of a rule's name in one line


def draw(explanation: Explanation) -> Figure:
    """Draw an explanation.

    Args:
        explanation: what to draw.

    Returns:
        A figure that no window and no global state knows of.

    Raises:
        VSAError: matplotlib is not installed.
    """
    wide = explanation.puzzle.columns > 4
    count = len(explanation.shown)
    below = 1.3 + 0.36 * count
    if wide:  # rows of many panels: the puzzle above, the reasons below
        figure = figure_of(15, 5.4 + below)
        top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=(5.4, below)).flat
        left, right = bottom.subfigures(1, 2, squeeze=False, width_ratios=(1.5, 1)).flat
    else:
        figure = figure_of(15, max(7.4, 2 * below))
        top, bottom = figure.subfigures(1, 2, squeeze=False, width_ratios=(1, 1.55)).flat
        left, right = bottom.subfigures(2, 1, squeeze=False).flat
    figure.suptitle(f"{explanation.title}\n{explanation.verdict}", fontsize=12)
    _panels(top, explanation)
    _rules(left.subplots(), explanation)
    _agreement(right.subplots(), explanation)
    return figure


def figure_of(width: float, height: float) -> Figure:
    """An empty figure that no window and no global state knows of.

    Args:
        width: inches.
        height: inches.

    Returns:
        The figure.

    Raises:
        VSAError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise VSAError(
            "Explanation.plot",
            received="no matplotlib",
            expected="it installed",
            hint="pip install 'vsa-reasoning[plots]'",
        ) from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def png(explanation: Explanation) -> bytes:
    """The drawing as a PNG file.

    Args:
        explanation: what to draw.

    Returns:
        The file.

    Raises:
        VSAError: matplotlib is not installed.
    """
    content = io.BytesIO()
    draw(explanation).savefig(content, format="png", dpi=110)
    return content.getvalue()


def _panels(figure: Any, explanation: Explanation) -> None:
    """The last three rows, the candidates below."""
    puzzle = explanation.puzzle
    pictures = pictures_of(explanation)
    context = len(puzzle.context)
    shown = list(range(context - (ROWS * puzzle.columns - 1), context))
    columns = puzzle.columns if puzzle.columns > 4 else 4
    places = figure.subplots(ROWS + (1 if columns >= 8 else 2), columns)
    for axes in places.flat:
        axes.set_axis_off()
    margin = (columns - puzzle.columns) // 2
    for k, panel in enumerate([*shown, None]):
        axes = places[k // puzzle.columns, margin + k % puzzle.columns]
        show_panel(axes, "?" if panel is None else pictures[panel])
    across = min(columns, 8)
    margin = (columns - across) // 2
    for k in range(len(puzzle.candidates)):
        axes = places[ROWS + k // across, margin + k % across]
        show_panel(axes, pictures[context + k])
        color, word = mark(explanation, k)
        axes.set_title(f"{people(k)}{word}", fontsize=9, color=color, pad=3)
        for spine in axes.spines.values():
            spine.set(color=color, linewidth=2.5 if color != _INK else 0.8)


def mark(explanation: Explanation, candidate: int) -> tuple[str, str]:
    """Color and word of a candidate.

    Args:
        explanation: of the puzzle.
        candidate: from 0.
    """
    if candidate == explanation.answer:
        return {None: (_CHOSEN, ": answer"), True: (_RIGHT, ": answer, right"), False: (_WRONG, ": answer, wrong")}[
            explanation.right
        ]
    return (_RIGHT, ": right") if candidate == explanation.target else (_INK, "")


def show_panel(axes: Axes, content: Any) -> None:
    """One panel.

    Args:
        axes: where.
        content: pixels, or text.
    """
    axes.set_axis_on()
    axes.set_xticks([])
    axes.set_yticks([])
    if isinstance(content, str):
        axes.set_box_aspect(1)
        axes.text(0.5, 0.5, content, ha="center", va="center", fontsize=24 if content == "?" else 9)
    else:
        axes.imshow(content, cmap="gray", vmin=0, vmax=255)


def pictures_of(explanation: Explanation) -> list[Any]:
    """Of every panel its pixels, or its values as text where there are none.

    Args:
        explanation: of a puzzle.
    """
    puzzle = explanation.puzzle
    pixels = puzzle.drawn()
    return [_values(panel) for panel in (*puzzle.context, *puzzle.candidates)] if pixels is None else list(pixels)


def _values(panel: Any) -> str:
    """Type, Size, Color of every entity, a line each; some confounders."""
    lines = []
    for entities in panel.components:
        for entity in entities:
            lines.append(f"{entity.type}  {entity.size}  {entity.color}")
            if entity.confounders:
                more = ".." if len(entity.confounders) > 3 else ""
                lines.append(f"({' '.join(map(str, entity.confounders[:3]))}{more})")
    return "\n".join(lines)


def _rules(axes: Axes, explanation: Explanation) -> None:
    """A line for each attribute."""
    axes.set_axis_off()
    axes.set_title("rules found in the complete rows", fontsize=10)
    head = ["attribute", "rule", "p", "runner-up", "p", "fits", "expects", "p"]
    rows = []
    for entry in explanation.shown:
        expected, claims = entry.expected, entry.governed and not entry.free
        second = entry.runner_up if claims else None
        rows.append(
            [
                f"{entry.component} {entry.attribute}",
                _wrap(f"{entry.headline()}; {entry.rule}" if claims else entry.says()),
                two_digits(entry.probability) if claims else "",
                "" if second is None else _wrap(second),
                ""
                if second is None or entry.runner_up_probability is None
                else two_digits(entry.runner_up_probability),
                two_digits(entry.confidence) if claims else "",
                "" if expected is None else _wrap(expected.words, 14),
                "" if expected is None or not expected.decided else two_digits(expected.probability),
            ]
        )
    widths = (0.17, 0.25, 0.06, 0.22, 0.06, 0.06, 0.13, 0.06)
    table = axes.table(rows, colLabels=head, colWidths=list(widths), cellLoc="left", loc="upper center", edges="B")
    table.auto_set_font_size(False)
    table.set_fontsize(8)
    heights = [1, *(max(cell.count("\n") + 1 for cell in row) for row in rows)]
    unit = min(0.075, 1 / (sum(heights) + 0.6 * len(heights)))
    for (row, _), cell in table.get_celld().items():
        cell.set_height(unit * (heights[row] + 0.6))
        cell.PAD = 0.03


def _agreement(axes: Axes, explanation: Explanation) -> None:
    """Candidates across, attributes down; the scores below."""
    shown = explanation.shown
    values = [[max(0.0, min(1.0, value)) for value in entry.agreement] for entry in shown]
    axes.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, entry in enumerate(shown):
        for column, value in enumerate(entry.agreement):
            dark = values[row][column] > 0.6
            axes.text(
                column, row, two_digits(value), ha="center", va="center", fontsize=8, color="white" if dark else "black"
            )
    axes.set_yticks(range(len(shown)), [f"{entry.component} {entry.attribute}" for entry in shown], fontsize=8)
    names = [f"{people(k)}\n{two_digits(score)}" for k, score in enumerate(explanation.scores)]
    axes.set_xticks(range(len(names)), names, fontsize=8)
    for k, label in enumerate(axes.get_xticklabels()):
        color, _ = mark(explanation, k)
        label.set_color(color)
        label.set_fontweight("bold" if color != _INK else "normal")
    hidden = len(explanation.attributes) - len(shown)
    more = f"; {hidden} more attributes are not shown" if hidden else ""
    axes.set_xlabel(f"candidate, and its score{more}", fontsize=8)
    axes.set_title("agreement of the candidates with what is expected", fontsize=10)


def _wrap(text: str, width: int = _LABEL) -> str:
    return "\n".join(textwrap.wrap(text, width)) or text

"""Puzzles for the eye: text for a terminal, a picture for a notebook, the rules in words with both."""

from __future__ import annotations

import base64
import html as escaping
import math
from typing import TYPE_CHECKING

from vsa.errors import VSAError

from ..attributes import ANGLE, ATTRIBUTES, COLOR, SIZE, TYPE
from ..constellations import CONSTELLATIONS, Box
from ..panels import ROWS
from ..puzzle_arrays import arrays_of
from ..rules.base import RULES
from .drawing import opencv
from .picture import page, png

if TYPE_CHECKING:
    from ..puzzle import Entity, Panel, Puzzle, RuleInstance

__all__ = ["html", "picture", "text"]

_CORNERS = {"triangle": 3, "square": 4, "pentagon": 5, "hexagon": 6}
_SIDE = 100  # of a drawn panel


def text(puzzle: Puzzle, *, answer: bool = False) -> str:
    """A puzzle for a terminal: matrix, candidates, rules.

    An entity is the first letter of its shape, its size and its color level (``P37``: a pentagon, size 3, color 7), or
    its three values in I-RAVEN-X. Of more than three rows the last three are shown.

    Candidates are counted from 1, as in prompts and explanations (``Puzzle.target`` from 0, as in the files).

    Args:
        puzzle: the puzzle.
        answer: whether the right candidate is marked.

    Returns:
        Lines without a newline at the end.
    """
    rows = _rows(puzzle)
    cells = [[_cell(puzzle, panel) for panel in row] for row in rows]
    cells[-1].append(_middle("?", len(cells[0][0])))
    answers = [_cell(puzzle, panel) for panel in puzzle.candidates]
    width = max(len(line) for row in (*cells, answers) for cell in row for line in cell)
    lines = [_title(puzzle)]
    for row in cells:
        lines += [_rule(width, len(row)), *_beside(row, width)]
    lines += [_rule(width, len(cells[0])), "candidates:"]
    # As many beside each other as the matrix is wide, so that nothing grows wider than it.
    step = min(8, max(4, len(cells[0])))
    for first in range(0, len(answers), step):
        names = [
            f"{k + 1}{' right' if answer and k == puzzle.target else ''}"
            for k in range(first, min(first + step, len(answers)))
        ]
        lines.append(" " + " ".join(f" {name:<{width}} " for name in names).rstrip())
        lines += _beside(answers[first : first + step], width)
    return "\n".join([*lines, "rules:", *(f"  {line}" for line in _rules(puzzle))])


def html(puzzle: Puzzle, *, answer: bool = False, pixels: bool = True) -> str:
    """A puzzle for a notebook: its picture, drawings where OpenCV is not installed, a table of values for I-RAVEN-X.

    Args:
        puzzle: the puzzle.
        answer: whether the right candidate is marked.
        pixels: whether the picture is that of the data sets; else vector drawings.

    Returns:
        HTML without scripts or references.
    """
    drawn = picture(puzzle, answer=answer) if pixels else None
    if drawn is None:
        body = _tables(puzzle, answer)
    else:
        body = f'<img alt="matrix and candidates" src="data:image/png;base64,{base64.b64encode(drawn).decode()}"/>'
    rules = "".join(f"<li>{escaping.escape(line)}</li>" for line in _rules(puzzle))
    return f"<div><p>{escaping.escape(_title(puzzle))}</p>{body}<ul>{rules}</ul></div>"


def picture(puzzle: Puzzle, *, answer: bool = False) -> bytes | None:
    """A puzzle as a PNG file.

    Args:
        puzzle: the puzzle.
        answer: whether the right candidate is marked.

    Returns:
        The file; None where the puzzle has no pixels or OpenCV is not installed.
    """
    try:
        if puzzle.pixels is None or not puzzle.pixels.held:
            opencv()
        from ..files.images import images_of  # here: puzzles that are made do without the readers

        images = images_of(arrays_of(puzzle))
    except VSAError:
        return None
    return png(page(images[0], puzzle.target if answer else None))


def _tables(puzzle: Puzzle, answer: bool) -> str:
    draw = _svg if puzzle.maxval is None else _values
    rows = [[draw(puzzle, panel) for panel in row] for row in _rows(puzzle)]
    rows[-1].append("<b>?</b>")
    matrix = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    answers = "".join(
        f"<td>{k + 1}{' <b>right</b>' if answer and k == puzzle.target else ''}<br/>{draw(puzzle, panel)}</td>"
        for k, panel in enumerate(puzzle.candidates)
    )
    return f"<table>{matrix}</table><table><tr>{answers}</tr></table>"


def _rows(puzzle: Puzzle) -> list[list[Panel]]:
    """The rows shown; the last lacks its last panel."""
    n = puzzle.columns
    rows = [list(puzzle.context[k : k + n]) for k in range(0, n * n - 1, n)]
    return rows[-ROWS:]


def _title(puzzle: Puzzle) -> str:
    title = f"puzzle {puzzle.index} of {puzzle.dataset}, {puzzle.constellation}"
    if puzzle.maxval is not None:
        title += f", values 0 to {puzzle.maxval}"
    if puzzle.columns > ROWS:
        title += f", rows {puzzle.columns - ROWS + 1} to {puzzle.columns} of {puzzle.columns}"
    return title


def _rules(puzzle: Puzzle) -> list[str]:
    layouts = CONSTELLATIONS[puzzle.constellation].components

    def fixed(rule: RuleInstance) -> bool:  # a single slot leaves number and position no choice
        return rule.attribute == "Number/Position" and layouts[rule.component].slots == 1

    lines = []
    for c, layout in enumerate(layouts):
        words = ", ".join(_words(puzzle, rule) for rule in puzzle.rules if rule.component == c and not fixed(rule))
        lines.append(f"{layout.name}: {words}" if len(layouts) > 1 else words)
    return lines


def _words(puzzle: Puzzle, rule: RuleInstance) -> str:
    """A rule in words; of one under which entities keep their values, whether the panels look so."""
    if rule.attribute not in ATTRIBUTES or not RULES.get(rule.name).keeps_values:
        return str(rule)
    panels = [
        sorted(entity.level(rule.attribute) or 0 for entity in panel.components[rule.component])
        for panel in puzzle.context
    ]
    rows = [panels[k : k + puzzle.columns] for k in range(0, len(panels), puzzle.columns)]
    if any(levels != row[0] for row in rows for levels in row):
        return f"{rule.attribute} varies freely"
    single = all(len(set(levels)) == 1 for levels in panels)
    return str(rule) if single else f"{rule.attribute} stays with its entities, which differ"


def _code(puzzle: Puzzle, entity: Entity) -> str:
    if puzzle.maxval is None:
        return f"{str(TYPE.values[entity.type])[0].upper()}{entity.size}{entity.color}"
    width = len(str(puzzle.maxval))
    return " ".join(f"{value:>{width}}" for value in (entity.type, entity.size, entity.color))


def _cell(puzzle: Puzzle, panel: Panel) -> list[str]:
    """The lines of one panel."""
    parts = []
    for layout, entities in zip(CONSTELLATIONS[puzzle.constellation].components, panel.components, strict=True):
        codes = {entity.slot: _code(puzzle, entity) for entity in entities}
        side = math.isqrt(layout.slots)
        slots = [codes.get(s, " . ") for s in range(layout.slots)]
        parts.append([" ".join(slots[k : k + side]) for k in range(0, layout.slots, side)])
    structure = CONSTELLATIONS[puzzle.constellation].structure
    if structure == "Left_Right":
        return [f"{parts[0][0]} | {parts[1][0]}"]
    if structure == "Out_In":
        return [*parts[0], *(f"({line})" for line in parts[1])]
    return [line for part in parts for line in part]


def _middle(mark: str, height: int) -> list[str]:
    lines = [""] * height
    lines[height // 2] = mark
    return lines


def _beside(cells: list[list[str]], width: int) -> list[str]:
    return ["|" + "|".join(f" {line:^{width}} " for line in lines) + "|" for lines in zip(*cells, strict=True)]


def _rule(width: int, count: int) -> str:
    return "+" + "+".join(["-" * (width + 2)] * count) + "+"


def _values(puzzle: Puzzle, panel: Panel) -> str:
    entity = panel.components[0][0]
    return f"{entity.type} {entity.size} {entity.color}"


def _svg(puzzle: Puzzle, panel: Panel) -> str:
    shapes = []
    for layout, entities in zip(CONSTELLATIONS[puzzle.constellation].components, panel.components, strict=True):
        shapes += [_shape(entity, layout.boxes[entity.slot]) for entity in entities]
    frame = f'<rect width="{_SIDE}" height="{_SIDE}" fill="#fff" stroke="#000"/>'
    return f'<svg width="{_SIDE}" height="{_SIDE}" viewBox="0 0 {_SIDE} {_SIDE}">{frame}{"".join(shapes)}</svg>'


def _shape(entity: Entity, box: Box) -> str:
    y, x, h, w = (value * _SIDE for value in box)
    radius = min(h, w) / 2 * float(SIZE.values[entity.size])
    grey = COLOR.values[entity.color]
    paint = f'fill="rgb({grey},{grey},{grey})" stroke="#000"'
    name = str(TYPE.values[entity.type])
    if name == "circle":
        return f'<circle cx="{x:g}" cy="{y:g}" r="{radius:.1f}" {paint}/>'
    turn = 0.0 if entity.angle is None else float(ANGLE.values[entity.angle])
    corners = _CORNERS[name]
    start = math.radians(turn) - math.pi / 2 + (math.pi / 4 if name == "square" else 0.0)
    points = []
    for k in range(corners):
        angle = start + 2 * math.pi * k / corners
        points.append(f"{x + radius * math.cos(angle):.1f},{y + radius * math.sin(angle):.1f}")
    return f'<polygon points="{" ".join(points)}" {paint}/>'

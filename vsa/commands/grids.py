"""Tables of numbers that stay readable in a narrow window: as they are, turned, or in pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.table import Table

__all__ = ["Grid"]

_EDGES = 3  # of a column: a blank on both sides, and a line
_LABEL = 24  # longer labels take several lines
_HEAD = 12  # so do heads of columns


@dataclass(frozen=True)
class Row:
    """A line of a table: what it is called, its cells, and how it looks."""

    label: str
    cells: tuple[str, ...]
    style: str | None = None


@dataclass
class Grid:
    """A table that rich prints as it is where it fits, else turned, else in pieces that repeat the labels.

    No number is ever cut. What stands behind a line break in a cell stands behind a blank where the table is turned.

    Args:
        title: above it.
        heads: of the columns, without that of the labels.
        emphasis: heads of columns that are printed bold.
    """

    title: str
    heads: Sequence[str]
    emphasis: Sequence[str] = ()
    rows: list[Row] = field(default_factory=list)

    def add(self, label: str, cells: Sequence[str], style: str | None = None) -> None:
        """Add a line.

        Args:
            label: of the line.
            cells: one for each head.
            style: of rich, such as "green".
        """
        self.rows.append(Row(label, tuple(cells), style))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        room = options.max_width
        here, turned = self._pieces(room), self.turned()._pieces(room)
        if len(here) > len(turned):
            yield from self.turned()._tables(turned)
        else:
            yield from self._tables(here)

    def turned(self) -> Grid:
        """The same numbers with lines and columns exchanged."""
        bold = [row.label for row in self.rows if row.style == "bold"]
        other = Grid(self.title, [row.label for row in self.rows], bold)
        for place, head in enumerate(self.heads):
            style = "bold" if head in self.emphasis else None
            other.add(head, [row.cells[place].replace("\n", " ") for row in self.rows], style)
        return other

    def _pieces(self, room: int) -> list[list[int]]:
        """Places of the columns that fit side by side: at least one in each piece."""
        pieces: list[list[int]] = []
        left = 0
        for place in range(len(self.heads)):
            width = self._width(place) + _EDGES
            if not pieces or width > left:
                pieces.append([])
                left = room - 1 - self._label_width() - _EDGES
            pieces[-1].append(place)
            left -= width
        return pieces or [[]]

    def _width(self, place: int) -> int:
        lines = [line for row in self.rows for line in row.cells[place].splitlines()]
        head = self.heads[place]
        words = head.replace("/", "/ ").split()
        return max(min(_length(head), _HEAD), *(min(_length(word), _LABEL) for word in words), *map(_length, lines), 1)

    def _label_width(self) -> int:
        return max(min(max((_length(row.label) for row in self.rows), default=1), _LABEL), 1)

    def _tables(self, pieces: Sequence[Sequence[int]]) -> Iterator[Table]:
        from rich.markup import escape
        from rich.table import Table

        for number, places in enumerate(pieces, 1):
            part = f"({number} of {len(pieces)})" if len(pieces) > 1 else ""
            table = Table(title=f"{self.title} {part}".strip() or None, title_justify="left", header_style="bold")
            table.add_column("", overflow="fold", width=self._label_width())
            for place in places:
                bold = "bold" if self.heads[place] in self.emphasis else None
                head, width = self.heads[place], self._width(place)
                head = head if _length(head) <= width else head.replace("/", "/\n")
                table.add_column(escape(head), justify="right", overflow="fold", width=width, style=bold)
            for row in self.rows:
                table.add_row(escape(row.label), *(escape(row.cells[place]) for place in places), style=row.style)
            yield table


def _length(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)

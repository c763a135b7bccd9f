"""What a command prints in a narrow terminal, as a picture.

python benchmarks/table_pictures.py --columns 60 --out FILE.png -- reasoning.benchmark +model=arlc out=DIR

Its tables come as they do there: turned or in pieces where they do not fit.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from rich.text import Text

POINTS = 9  # size of a letter


def printed(command: list[str], columns: int) -> list[str]:
    """The lines that a command prints in a terminal so wide."""
    terminal = {**os.environ, "COLUMNS": str(columns), "LINES": "60", "FORCE_COLOR": "1"}
    done = subprocess.run([sys.executable, "-m", *command], env=terminal, stdout=subprocess.PIPE, text=True, check=True)
    return Text.from_ansi(done.stdout).plain.strip("\n").splitlines()


def picture(lines: list[str], columns: int) -> Figure:
    """The lines in letters of one width, with a mark where the terminal ends."""
    across, down = 0.602 * POINTS / 72, 1.17 * POINTS / 72  # inches of a letter of DejaVu Sans Mono
    figure = Figure(figsize=(across * (columns + 2), down * (len(lines) + 2)))
    FigureCanvasAgg(figure)
    width, height = figure.get_size_inches()
    for number, line in enumerate(lines):
        place = (across / width, 1 - down * (number + 1.8) / height)
        figure.text(*place, line, family="DejaVu Sans Mono", size=POINTS, parse_math=False)
    end = across * (columns + 1) / width
    figure.add_artist(Line2D([end, end], [0, 1], color="0.8"))
    return figure


def main() -> None:
    """Run, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--columns", type=int, required=True)
    parser.add_argument("--lines", type=int, default=60, help="how many of the lines are drawn")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    lines = printed(arguments.command, arguments.columns)[: arguments.lines]
    picture(lines, arguments.columns).savefig(arguments.out, dpi=110)


if __name__ == "__main__":
    main()

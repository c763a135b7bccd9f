"""The short tables of docs/fora.md, between their marks: <!-- table: PART --> ... <!-- end -->."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fora_parts.report import PARTS, Row, grid, groups, mean

_MARKS = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_P_LEFT = (0.9, 0.7, 0.51)


def fill(path: Path, out: Path) -> None:
    """Write the tables into the page.

    Args:
        path: of the page; nothing happens where there is none.
        out: the folder with a record for each part.
    """
    if not path.is_file():
        return

    def table(found: re.Match[str]) -> str:
        record_path = out / f"{found[2]}.json"
        if not record_path.is_file():
            return found[0]
        record = json.loads(record_path.read_text(encoding="utf-8"))
        lines = SHORT.get(found[2], PARTS[found[2]][1])(record["rows"])
        kept = [line for line in lines if not line.startswith("![")]
        return f"{found[1]}`{record['command']}`\n\n" + "\n".join(kept) + f"\n{found[3]}"

    path.write_text(_MARKS.sub(table, path.read_text(encoding="utf-8")), encoding="utf-8")


def _answers(rows: list[Row]) -> list[str]:
    names = ("center", "2x2", "3x3", "left_right", "up_down", "out_in", "out_in_grid")
    made = [
        [
            *(data, learner, trained, len(group)),
            *(mean(group, name) for name in (*names, "average")),
            *(round(min(row["average"] for row in group), 2), mean(group, "rules_named")),
        ]
        for (data, learner, trained), group in groups(rows, "data_set", "learner", "trained").items()
    ]
    head = ["puzzles", "learner", "trained on", "seeds", *names, "average", "worst seed", "rules named"]
    return grid(head, made)


def _stress(rows: list[Row]) -> list[str]:
    ten = [row for row in rows if row["set"] == "rows of ten"]
    made = []
    for name, pick in (("FORA", lambda row: row), ("symbolic", lambda row: row["by_symbolic"])):
        right = "fora" if name == "FORA" else "symbolic"
        made.append([f"{name}, right", *(row[right] for row in ten)])
        made.append([f"{name}, ECE", *(pick(row)["ece"] for row in ten)])
    made.append(["FORA, above .99 (of these wrong)", *(f"{row['sure']} ({row['sure_wrong']})" for row in ten)])
    lines = grid(["rows of ten, range 1000, p_left", *(row["p_left"] for row in ten)], made)
    cells: list[list[Any]] = []
    for (name,), group in groups((row for row in rows if row not in ten), "set").items():
        by_left = {row["p_left"]: row for row in group}
        found = [by_left[p_left] for p_left in _P_LEFT if p_left in by_left]
        cells.append([name, found[0]["puzzles"], *(f"{row['fora']} / {row['symbolic']}" for row in found)])
        cells[-1] += [f"{row['ece']} / {row['by_symbolic']['ece']}" for row in found]
        cells[-1].append(f"{sum(row['sure_wrong'] for row in found)} of {sum(row['sure_count'] for row in found)}")
    head = [
        "FORA / symbolic",
        "puzzles",
        *(f"right at {one}" for one in _P_LEFT),
        *(f"ECE at {one}" for one in _P_LEFT),
    ]
    return [*lines, "", *grid([*head, "FORA above .99: wrong"], cells)]


def _ablation(rows: list[Row]) -> list[str]:
    names = {
        "average": "average of seven",
        "2x2": "2x2",
        "3x3": "3x3",
        "center_at_.7": "center at .7",
        "rows_of_ten_at_.51": "rows of ten, range 100, at .51",
    }
    made = [[row["without"], *(row[name] for name in names)] for row in rows]
    return grid(["without", *names.values()], made)


def _dims(rows: list[Row]) -> list[str]:
    chosen = [row for row in rows if row.get("dim") in (0, 128, 512, 1024, 4096)]
    return PARTS["dims"][1]([*(row for row in chosen if "algebra" in row), *(row for row in rows if "redrawn" in row)])


SHORT: dict[str, Callable[[list[Row]], list[str]]] = {
    "answers": _answers,
    "stress": _stress,
    "ablation": _ablation,
    "dims": _dims,
}

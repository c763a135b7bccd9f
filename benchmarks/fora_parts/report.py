"""Tables and plots of the records that are there."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from fora_parts import plots

Row = dict[str, Any]


def write(out: Path) -> None:
    """Write ``fora.md`` and the plots.

    Args:
        out: the folder with a record for each part.
    """
    lines = ["# FORA measured", "", "Answers right in %, I-RAVEN where nothing else is said. One thread."]
    for name, (title, table) in PARTS.items():
        path = out / f"{name}.json"
        if not path.is_file():
            continue
        record = json.loads(path.read_text(encoding="utf-8"))
        about = f"{record['date']}, sources {record['code'][:12]}, {record['cpu_seconds']:,.0f} CPU-seconds"
        lines += ["", f"## {title}", "", f"`{record['command']}` ({about})", "", *table(record["rows"])]
        plots.draw(name, record["rows"], out)
    (out / "fora.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def grid(head: Sequence[Any], rows: Iterable[Sequence[Any]]) -> list[str]:
    """A table in Markdown; None is an empty cell."""
    lines = ["| " + " | ".join(map(str, head)) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join("" if cell is None else str(cell) for cell in row) + " |" for row in rows)]


def groups(rows: Iterable[Row], *names: str) -> dict[tuple[Any, ...], list[Row]]:
    """Rows that are alike in some columns."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row.get(name) for name in names), []).append(row)
    return found


def mean(rows: Sequence[Row], name: str, digits: int = 2) -> float | None:
    """Of a column; None where no row has it."""
    values = [row[name] for row in rows if row.get(name) is not None]
    return round(statistics.fmean(values), digits) if values else None


def _answers(rows: list[Row]) -> list[str]:
    names = [name for name in rows[0] if isinstance(rows[0][name], float) and name not in _OTHER]
    made = []
    for (data, learner, trained), group in groups(rows, "data_set", "learner", "trained").items():
        worst = min(row["average"] for row in group)
        made.append(
            [
                data,
                learner,
                trained,
                len(group),
                *(mean(group, name) for name in names),
                mean(group, "average"),
                worst,
                mean(group, "rules_named"),
                mean(group, "cpu_seconds_per_1000"),
                mean(group, "learning_cpu_seconds", 1),
                _span(group, "formulas"),
            ]
        )
    head = ["puzzles", "learner", "trained on", "seeds", *names, "average", "worst seed", "rules named"]
    worst_sets = [
        [data, learner, trained, *(min(row[name] for row in group) for name in names)]
        for (data, learner, trained), group in groups(rows, "data_set", "learner", "trained").items()
        if len(group) > 1
    ]
    return [
        *grid([*head, "CPU-s per 1,000", "CPU-s of learning", "formulas"], made),
        "",
        "The worst seed of each constellation:",
        "",
        *grid(["puzzles", "learner", "trained on", *names], worst_sets),
    ]


_OTHER = ("average", "rules_named", "cpu_seconds_per_1000", "learning_cpu_seconds")


def _span(rows: Sequence[Row], name: str) -> str:
    values = [row[name] for row in rows if name in row]
    return f"{min(values)}-{max(values)}" if values else ""


def _stress(rows: list[Row]) -> list[str]:
    made = []
    for row in rows:
        exact = row["by_symbolic"]
        made.append(
            [
                row["set"],
                row["p_left"],
                row["puzzles"],
                row["fora"],
                row["symbolic"],
                row["below"],
                row["rules_named"],
                row["rules_named_symbolic"],
                row["mean_confidence"],
                row["ece"],
                row["ece_adaptive"],
                exact["ece"],
                row["sure"],
                row["sure_wrong"],
                exact["sure_wrong"],
                row["cpu_seconds_per_1000"],
                row["cpu_seconds_per_1000_symbolic"],
            ]
        )
    head = ["set", "p_left", "puzzles", "FORA", "symbolic", "below", "rules named", "symbolic", "mean confidence"]
    head += ["ECE", "ECE, equal bins", "ECE symbolic", "above .99", "of these wrong", "symbolic", "CPU-s per 1,000"]
    return [*grid([*head, "symbolic"], made), "", "![Reliability](reliability.png)"]


def _ten(rows: list[Row]) -> list[str]:
    made = []
    for (maxval, size), group in groups(rows, "trained_at", "puzzles").items():
        lowest = [min(row[f"at_{tested}"] for row in group) for tested in (100, 1000)]
        right = [mean(group, f"at_{tested}") for tested in (100, 1000)]
        named = [mean(group, f"named_{tested}") for tested in (100, 1000)]
        counts = [len(row["formulas"]) for row in group]
        made.append(
            [
                maxval,
                size,
                len(group),
                right[0],
                lowest[0],
                right[1],
                lowest[1],
                *named,
                f"{min(counts)}-{max(counts)}",
                mean(group, "learning_cpu_seconds", 1),
            ]
        )
    head = ["learned at range", "puzzles", "seeds", "range 100", "worst seed", "range 1000", "worst seed"]
    return grid([*head, "named at 100", "at 1000", "formulas", "CPU-s of learning"], made)


def _transfer(rows: list[Row]) -> list[str]:
    made = []
    for (what, case), group in groups(rows, "what", "case").items():
        name = "average" if "average" in group[0] else "right"
        made.append([what, case, len(group), mean(group, name), min(row[name] for row in group)])
        made[-1] += [mean(group, "named"), _span(group, "formulas")]
    return grid(["what", "case", "seeds", "right", "worst seed", "rules named", "formulas"], made)


def _plain(head: dict[str, str], chosen: Callable[[Row], bool] = lambda row: True) -> Callable[[list[Row]], list[str]]:
    def table(rows: list[Row]) -> list[str]:
        return grid(list(head.values()), [[row.get(name) for name in head] for row in rows if chosen(row)])

    return table


def _ablation(rows: list[Row]) -> list[str]:
    names = [name for name in rows[0] if name != "without"]
    return grid(["without", *(name.replace("_", " ") for name in names)], [list(row.values()) for row in rows])


def _roles(rows: list[Row]) -> list[str]:
    sets = ("center", "2x2", "3x3", "left_right", "up_down", "out_in", "out_in_grid")
    about = ("roles", "learning", "trained", "puzzles")
    made = [
        [
            *key,
            len(group),
            group[0].get("candidates"),
            *(mean(group, name) for name in (*sets, "average")),
            mean(group, "learning_cpu_seconds", 1),
            _span(group, "formulas"),
        ]
        for key, group in groups(rows, *about).items()
    ]
    head = ["roles", "learning", "trained on", "puzzles", "seeds", "candidates", *sets, "average"]
    return grid([*head, "CPU-s of learning", "formulas"], made)


_SCALE = {
    "columns": "columns",
    "maxval": "range",
    "confounders": "confounders",
    "length": "D (one block)",
    "p_left": "p_left",
    "puzzles": "puzzles",
    "fora": "FORA",
    "symbolic": "symbolic",
    "cpu_seconds_per_1000": "CPU-s per 1,000",
    "cpu_seconds_per_1000_symbolic": "symbolic",
    "memory_above_idle_mb": "MB above idle",
}
_DIMS = {
    "algebra": "algebra",
    "dim": "D",
    "length": "block length",
    "seven": "average of seven",
    "center_at_.7": "center at .7",
    "ten_at_1.0": "rows of ten, range 100",
    "ten_at_0.51": "the same at .51",
}
_DRAWN = {
    "redrawn": "algebra",
    "p_left": "p_left",
    "seeds": "codebooks",
    "puzzles": "puzzles",
    "lowest": "lowest",
    "highest": "highest",
    "answers_changed": "answers changed, at most",
}
_FAMILY = {
    "removed": "off the page",
    "formulas": "formulas",
    "columns": "columns",
    "p_left": "p_left",
    "puzzles": "puzzles",
    "right_with_all": "right with all formulas",
    "right": "right without",
    "mean_confidence": "mean confidence",
    "sure": "above .99",
    "sure_and_wrong": "above .99 and wrong",
}


def _dims(rows: list[Row]) -> list[str]:
    drawn = _plain(_DRAWN, lambda row: "redrawn" in row)(rows)
    main = _plain(_DIMS, lambda row: "algebra" in row)(rows)
    return [*main, "", "![Accuracy against D](dims.png)", "", "Codebooks drawn anew:", "", *drawn]


def _arrays(rows: list[Row]) -> list[str]:
    names = [name for name in rows[0] if name not in ("algebra", "case", "seed")]
    made = [
        [algebra, case, len(group), *(mean(group, name) for name in names)]
        for (algebra, case), group in groups(rows, "algebra", "case").items()
    ]
    return grid(["algebra", "arrays", "device seeds", *(name.replace("_", " ") for name in names)], made)


def _errors(rows: list[Row]) -> list[str]:
    listed = [row for row in rows if "said" in row]
    made = [[row["set"], row["seed"], row["puzzle"], row["confidence"], row["said"]] for row in listed]
    counts = ", ".join(f"{row['set']} {row['errors']} of {row.get('puzzles', '?')}" for row in rows if "errors" in row)
    exact = sum(row["symbolic_errs"] for row in listed)
    second = sum(row["second_answer"] for row in listed)
    tied = sum(row["tied"] for row in listed)
    said = f"Errors: {counts}. {tied} are ties; in {second} the panels allow a second answer. Symbolic errs in {exact}."
    return [said, "", *grid(["set", "seed", "puzzle", "confidence", "what went wrong"], made)]


PARTS: dict[str, tuple[str, Callable[[list[Row]], list[str]]]] = {
    "answers": ("Answers and rules", _answers),
    "stress": ("Calibrated uncertainty", _stress),
    "ten": ("Rows of ten from scratch", _ten),
    "transfer": ("Transfer and controls", _transfer),
    "ablation": ("Each ingredient left out", _ablation),
    "roles": ("Relative roles beside absolute ones", _roles),
    "scale": ("Size", lambda rows: [*_plain(_SCALE)(rows), "", "![Size](scale.png)"]),
    "dims": ("Dimensions and codebooks", _dims),
    "family": ("A rule's formulas taken off the page", _plain(_FAMILY)),
    "arrays": ("On simulated arrays", _arrays),
    "errors": ("The first errors", _errors),
}

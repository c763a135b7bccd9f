"""Fills the tables of docs/results.md from the records of measurements, and the figures of others beside them.

    python benchmarks/results_page.py

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``. Its figures are those of benchmarks/results and of
benchmarks/reference.yaml; what is written by hand there is lost. ``python benchmarks/fora.py tables`` fills it, too.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "results.md"
sys.path[:0] = [path for path in (str(ROOT), str(ROOT / "benchmarks")) if path not in sys.path]

from fora_parts.page import SHORT  # noqa: E402
from fora_parts.report import grid, groups  # noqa: E402

from datasets import CONSTELLATIONS  # noqa: E402

_MARKS = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_SETS = {"center": "C", "2x2": "2x2", "3x3": "3x3", "left_right": "L-R", "up_down": "U-D", "out_in": "O-IC"}
_SETS |= {"out_in_grid": "O-IG"}
_WIDE = {
    "range100": "range 100",
    "range1000": "range 1000",
    "range1000_confounded": "10 confounders",
    "range1000_smoothed": "published stress, .51",
    "range100_both": "both, range 100",
    "range1000_both": "both",
    "calibrated_0.51": "calibrated stress, .51",
    "calibrated_0.2": "calibrated, .2",
}


def fill(path: Path = PAGE) -> None:
    """Write all tables into the page.

    Args:
        path: of the page; nothing happens where there is none.
    """
    if path.is_file():
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")


def filled(text: str) -> str:
    """The page with all tables as the records have them."""
    return _MARKS.sub(lambda found: found[1] + "\n".join(TABLES[found[2]]()) + "\n" + found[3], text)


def _record(name: str) -> Any:
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def _stored(table: str) -> list[dict[str, Any]]:
    return [row for row in _record("answers.json")["rows"] if row["table"] == table]


def _others(dataset: str) -> list[dict[str, Any]]:
    """Figures of others for a data set, by short name of constellation or setting."""
    content = yaml.safe_load((ROOT / "benchmarks" / "reference.yaml").read_text(encoding="utf-8"))
    found = []
    for entry in content["entries"]:
        if entry["dataset"] == dataset:
            named = {
                CONSTELLATIONS[key].short if key in CONSTELLATIONS else key: one
                for key, one in entry["answers"].items()
            }
            found.append({"what": entry["name"], "source": f"{entry['source']}; {entry['conditions']}", **named})
    return found


def _table(rows: Iterable[dict[str, Any]], columns: dict[str, str], average: bool, digits: int = 2) -> list[str]:
    made, commands = [], {}
    for row in rows:
        figures = [row.get(name) for name in columns]
        cells = ["" if one is None else f"{one:.{digits}f}" for one in figures]
        if average:
            known = [one for one in figures if one is not None]
            cells.append(f"{statistics.fmean(known):.{digits}f}" if len(known) == len(columns) else "")
        source = row.get("source")
        if source is None:
            number = commands.setdefault((row["command"], row["date"]), len(commands) + 1)
            source = f"ours, ({number})"
        made.append([row["what"], *cells, source])
    said = [f"{number}. `{command}` ({date})" for (command, date), number in commands.items()]
    lines = grid(["", *columns.values(), *(["average"] if average else []), "from"], made)
    return [*lines, "", *said]


def _ten_seeds() -> dict[str, Any]:
    record = _record("arlc_ten_seeds.json")
    (found,) = record["summary"]
    mean = {CONSTELLATIONS[name].short: one for name, one in found["mean"].items() if name in CONSTELLATIONS}
    what = "ARLC, learned from 2,000 puzzles of 2x2 alone, mean of ten seeds (deviation of the average "
    return {
        "what": f"{what}{found['std']['average']:.2f})",
        "command": record["command"],
        "date": record["date"],
        **mean,
    }


def _iraven() -> list[str]:
    return _table([*_stored("iraven"), _ten_seeds(), *_others("iraven")], _SETS, average=True)


def _raven() -> list[str]:
    record = _record("fora/answers.json")
    chosen = [row for row in record["rows"] if row["data_set"] == "raven" and row["learner"] == "fora, enumeration"]
    ours = [
        {
            "what": f"FORA, learned from {'200 puzzles of 2x2 alone' if key == '2x2' else '30 puzzles of each'}, "
            f"mean of {len(group)} seeds, {record['puzzles']} puzzles each",
            "command": record["command"],
            "date": record["date"],
            **{name: statistics.fmean(row[name] for row in group) for name in _SETS},
        }
        for (key,), group in groups(chosen, "trained").items()
    ]
    return _table([*_stored("raven"), *ours, *_others("raven")], _SETS, average=True)


def _wide() -> list[str]:
    rows = [*_stored("iraven_x"), *_wide_fora(), *_others("iraven_x")]
    used = {key: name for key, name in _WIDE.items() if any(key in row for row in rows)}
    return _table(rows, used, average=False)


def _wide_fora() -> list[dict[str, Any]]:
    ten, stress = _record("fora/ten.json"), _record("fora/stress.json")
    chosen = [row for row in ten["rows"] if row["trained_at"] == 100 and row["puzzles"] == 600]
    learned = {f"range{maxval}": statistics.fmean(row[f"at_{maxval}"] for row in chosen) for maxval in (100, 1000)}
    at = {row["p_left"]: row["fora"] for row in stress["rows"] if row["set"] == "rows of ten"}
    uncertain = {"calibrated_0.51": at[0.51], "calibrated_0.2": at[0.2]}
    about = f"{len(chosen)} seeds, {ten['puzzles']} puzzles each"
    return [
        {"what": f"FORA, learned from 600 puzzles, {about}", "command": ten["command"], "date": ten["date"], **learned},
        {
            "what": f"FORA under stress, {stress['puzzles']} puzzles",
            "command": stress["command"],
            "date": stress["date"],
            **uncertain,
        },
    ]


def _decoding() -> list[str]:
    names = {"none": "scored as usual", "codebook": "codebook", "factorizer": "factorizer"}
    return _table(_stored("decoding"), names, average=False)


def _fora() -> list[str]:
    record = _record("fora/answers.json")
    return [f"`{record['command']}` ({record['date']})", "", *SHORT["answers"](record["rows"])]


def _arrays() -> list[str]:
    record = _record("crossbar_reasoning.json")
    made = [[row["model"], row["case"], f"{row['average']:.2f}"] for row in record["rows"]]
    return [f"`{record['command']}` ({record['date']})", "", *grid(["model", "arrays", "average of seven"], made)]


def _factorizers() -> list[str]:
    record = _record("factorization_cpu.json")
    names = ("method", "dim", "blocks", "N", "flips", "queries", "right", "valid", "iterations_mean", "ceiling", "peer")
    made = [[row[name] for name in names] for row in record["rows"]]
    head: Sequence[str] = ("method", "D", "blocks", "codebooks", "bits flipped", "queries", "right", "certified")
    head = (*head, "iterations", "ceiling", "others")
    return [f"`{record['command']}` ({record['date']})", "", *grid(head, made)]


TABLES: dict[str, Callable[[], list[str]]] = {
    "iraven": _iraven,
    "raven": _raven,
    "iraven_x": _wide,
    "decoding": _decoding,
    "fora": _fora,
    "arrays": _arrays,
    "factorizers": _factorizers,
}

if __name__ == "__main__":
    fill()

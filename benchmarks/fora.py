"""FORA measured: answers, uncertainty, transfer, ablation, size, arrays, errors.

    python benchmarks/fora.py PART [--puzzles N] [--seeds S] [--out benchmarks/results/fora]
    python benchmarks/fora.py all

Each part writes DIR/PART.json: its rows with seeds, settings, the hash of our sources, date and CPU-seconds;
``fora.md`` beside them has the tables of all parts that are there, and plots are drawn where a part has one.
``tables`` writes these, and the tables of docs/fora.md and docs/results.md, anew. One thread; what a part takes at its
usual size is in its docstring (fora_parts).
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import sys
from datetime import date
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [path for path in (str(ROOT), str(ROOT / "benchmarks")) if path not in sys.path]

OUT = ROOT / "benchmarks" / "results" / "fora"

import results_page  # noqa: E402
import torch  # noqa: E402
from fora_parts import ablation, answers, hardware, page, report, roles, sizes, stress, transfer  # noqa: E402
from fora_parts.common import TEST, TRAIN  # noqa: E402

from reasoning.records.runs import code_version  # noqa: E402

# part -> what makes its rows, puzzles and seeds as usual
PARTS: dict[str, tuple[Any, int, int]] = {
    "answers": (answers.answers, 500, 10),
    "stress": (stress.stress, 500, 1),
    "ten": (answers.ten, 500, 5),
    "transfer": (transfer.transfer, 500, 3),
    "ablation": (ablation.ablation, 500, 1),
    "roles": (roles.roles, 500, 1),
    "scale": (sizes.scale, 500, 1),
    "dims": (sizes.dims, 100, 3),
    "family": (ablation.family, 500, 1),
    "arrays": (hardware.arrays, 60, 2),
    "errors": (hardware.errors, 500, 1),
}


def main() -> None:
    """Measure, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=[*PARTS, "all", "tables"])
    parser.add_argument("--puzzles", type=int, help="of each constellation; default: as usual")
    parser.add_argument("--seeds", type=int, help="runs; default: as usual")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--cell", type=json.loads, help="of the part scale: one measurement, as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("reasoning.learners.role_formulas").setLevel(logging.ERROR)  # blocks are too short on purpose
    if arguments.cell:
        print(json.dumps(sizes.scale_cell(arguments.cell, arguments.puzzles or PARTS["scale"][1])))
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    chosen = {"all": list(PARTS), "tables": []}.get(arguments.part, [arguments.part])
    for name in chosen:
        measure, puzzles, seeds = PARTS[name]
        puzzles, seeds = arguments.puzzles or puzzles, arguments.seeds or seeds
        record: dict[str, Any] = {
            "part": name,
            "command": f"python benchmarks/fora.py {name} --puzzles {puzzles} --seeds {seeds}",
            "date": str(date.today()),
            "code": code_version(),
            "torch": torch.__version__.partition("+")[0],
            "machine": platform.machine(),
            "threads": 1,
            "puzzles": puzzles,
            "seeds": seeds,
            "seed_of_test_puzzles": TEST,
            "seed_of_training_puzzles": f"{TRAIN} + run",
        }
        start, rows = _seconds(), []
        for row in measure(puzzles, seeds):
            rows.append(row)
            print(json.dumps(row), flush=True)
            whole = record | {"cpu_seconds": round(_seconds() - start, 1), "rows": rows}
            (arguments.out / f"{name}.json").write_text(_one_row_a_line(whole), encoding="utf-8")
    report.write(arguments.out)
    if arguments.out == OUT:
        page.fill(ROOT / "docs" / "fora.md", arguments.out)
        results_page.fill()


def _seconds() -> float:
    """CPU time of this process and those that it waited for."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _one_row_a_line(record: dict[str, Any]) -> str:
    head = json.dumps({name: value for name, value in record.items() if name != "rows"}, indent=1)
    rows = ",\n  ".join(json.dumps(row) for row in record["rows"])
    return f'{head[:-2]},\n "rows": [\n  {rows}\n ]\n}}\n'


if __name__ == "__main__":
    main()

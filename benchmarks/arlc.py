"""Time and memory of ARLC's inference, puzzles to answers: PMFs, vectors, rules, scores.

    python benchmarks/arlc.py [--puzzles 1000] [--runs 5] [--out benchmarks/results/arlc_cpu.json]

The authors' figures are CPU-seconds per 1,000 puzzles of their released code on a 2-core machine (measured by this
project); they can't be run in the same process, so read the ratios as good to about 1.5x.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import time
from datetime import date
from pathlib import Path

import torch

import datasets
import vsa
from reasoning.learners.arlc import ARLC
from reasoning.perception.oracle import Oracle
from reasoning.solver import Solver

# name -> (constellation, columns, value range, confounders, dim, authors' seconds per 1,000 puzzles)
SETTINGS = {
    "center": ("center", 3, None, 0, 1024, 15.5),
    "2x2": ("2x2", 3, None, 0, 1024, 39.0),
    "3x3": ("3x3", 3, None, 0, 1024, 3000.0),
    "left_right": ("left_right", 3, None, 0, 1024, None),
    "out_in_grid": ("out_in_grid", 3, None, 0, 1024, None),
    "iraven_x, n 10, range 100": ("center", 10, 100, 0, 1024, 38.0),
    "iraven_x, n 10, range 1000, 10 confounders": ("center", 10, 1000, 10, 1024, 290.0),
    "the same, no two values sharing an atom": ("center", 10, 1000, 10, 4096, 290.0),
}


def measure(name: str, puzzles: int, runs: int) -> dict[str, object]:
    """Median CPU-seconds per 1,000 puzzles of one setting, one thread."""
    constellation, columns, maxval, confounders, dim, authors = SETTINGS[name]
    kind = "iraven" if maxval is None else "iraven_x"
    options = {} if maxval is None else {"columns": columns, "maxval": maxval, "confounders": confounders}
    arrays = datasets.generate(kind, constellation, n=puzzles, seed=1, **options)
    data = datasets.PuzzleDataset(arrays)
    learner = ARLC(vsa.get("gsbc", dim=dim, blocks=4), columns=columns, mode="programmed")
    solver = Solver(Oracle(), learner)
    seconds, right = [], 0
    for _ in range(runs):
        right, start = 0, time.process_time()
        for batch in data.batches(50):
            right += int((solver.solve(batch).answers == batch.target).sum())
        seconds.append((time.process_time() - start) * 1000 / puzzles)
    median = statistics.median(seconds)
    return {
        "setting": name,
        "dim": dim,
        "seconds_per_1000": round(median, 3),
        "authors_seconds_per_1000": authors,
        "ratio": None if authors is None else round(authors / median, 1),
        "right": right,
        "puzzles": puzzles,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    """Measure every setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--puzzles", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in SETTINGS:
        rows.append(measure(name, arguments.puzzles, arguments.runs))
        print(json.dumps(rows[-1]), flush=True)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        about = {"date": str(date.today()), "machine": platform.machine(), "torch": torch.__version__, "threads": 1}
        arguments.out.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""CPU time and memory of reasoners on rows of ten with a range of 1,000 and ten confounders.

    python benchmarks/wide.py [--puzzles 300] [--runs 3] [--models symbolic nvsa] [--sets sharp calibrated]
                              [--out benchmarks/results/wide_cpu]

One thread, puzzles to answers (perception included), batches of 250. Each cell has a process of its own. Memory is the
peak above what the process held when everything was imported and the puzzles were made.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

SETS: dict[str, tuple[str, ...]] = {
    "sharp": (),
    "calibrated": ("perception.stress=calibrated", "perception.p_left=0.51"),
    "published": ("perception.stress=published", "perception.p_left=0.51"),
    "dense": ("perception.epsilon=0.0001",),
}
BATCH = 250


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--puzzles", type=int, default=300)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--models", nargs="+", default=["symbolic", "nvsa"])
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--cell", nargs=2, metavar=("MODEL", "SET"), help="one measurement, as JSON")
    arguments = parser.parse_args()
    if arguments.cell:
        print(json.dumps(measure(*arguments.cell, arguments.puzzles, arguments.runs)))
        return
    rows = []
    for model in arguments.models:
        for name in arguments.sets:
            command = [sys.executable, __file__, "--cell", model, name]
            command += ["--puzzles", str(arguments.puzzles), "--runs", str(arguments.runs)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            print(json.dumps(rows[-1]), flush=True)
    if arguments.out:
        import torch

        about = {"date": str(date.today()), "torch": torch.__version__.partition("+")[0], "threads": 1}
        content = json.dumps({**about, "batch": BATCH, "rows": rows}, indent=1)
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.with_suffix(".json").write_text(content + "\n", encoding="utf-8")


def measure(model: str, name: str, puzzles: int, runs: int) -> dict[str, Any]:
    """One model on one kind of scenes."""
    import torch

    import datasets
    import reasoning

    torch.set_num_threads(1)
    settings = ("dataset=iraven_x", "dataset.columns=10", "dataset.confounders=10", *SETS[name])
    solver = reasoning.make_solver(model, *settings)
    data = datasets.PuzzleDataset(
        datasets.generate("iraven_x", n=puzzles, seed=1, columns=10, maxval=1000, confounders=10)
    )
    small = datasets.PuzzleDataset(datasets.generate("iraven_x", n=2, seed=2, columns=10, maxval=20))
    plain = reasoning.make_solver(model, "dataset=iraven_x", "dataset.columns=10", "dataset.maxval=20")

    def right(solver: Any, data: Any) -> int:
        with torch.no_grad():
            return sum(int((solver.solve(batch).answers == batch.target).sum()) for batch in data.batches(BATCH))

    right(plain, small)  # what is loaded at the first use
    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = right(solver, data)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - idle
    times = []
    for _ in range(runs):
        start = time.process_time()
        right(solver, data)
        times.append((time.process_time() - start) * 1000 / puzzles)
    return {
        "model": model,
        "set": name,
        "cpu_seconds_per_1000": round(statistics.median(times), 2),
        "memory_above_idle_mb": round(memory / 1024),
        "right": found,
        "puzzles": puzzles,
    }


if __name__ == "__main__":
    main()

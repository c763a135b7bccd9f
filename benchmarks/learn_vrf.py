"""Time and memory of Learn-VRF: inference from puzzles to answers, and one training step of four puzzles.

    python benchmarks/learn_vrf.py [--puzzles 400] [--runs 5] [--out benchmarks/results/learn_vrf_cpu.json]

The authors' figures, 12 to 29 CPU-seconds per 1,000 puzzles and .3 to .65 s per step over the seven constellations, are
of their released code on a 2-core machine (measured by this project); they can't be run in the same process. Ratios are
to the faster end, and good to about 1.5x.
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
from reasoning.learners.learn_vrf import LearnVRF
from reasoning.perception.oracle import Oracle
from reasoning.solver import Solver

CONSTELLATIONS = ("center", "2x2", "3x3", "left_right", "up_down", "out_in", "out_in_grid")
PUBLISHED = {
    "grids": "superposed",
    "selection": "sampled",
    "term_temperature": None,
    "weighting": "none",
    "prior": False,
}
ONE = {"populations": 1, "frequencies": None}  # in both forms: the cost of one set of rules
AUTHORS_SECONDS_PER_1000 = 12.0
AUTHORS_SECONDS_PER_STEP = 0.3
STEP = 4  # puzzles of a training step


def make(form: str) -> Solver:
    """A solver whose rules cost what trained ones do: soft as published, or with one input for each term as ours."""
    options = {**ONE, **(PUBLISHED if form == "published" else {})}
    learner = LearnVRF(vsa.get("gsbc", dim=1024, blocks=4), **options)
    if form == "ours":
        with torch.no_grad():
            learner.logits *= 1e3
    return Solver(Oracle(), learner)


def measure(constellation: str, form: str, puzzles: int, runs: int) -> dict[str, object]:
    """Median CPU-seconds of one constellation, one thread."""
    data = datasets.PuzzleDataset(datasets.generate("iraven", constellation, n=puzzles, seed=1))
    solver = make(form)
    inference, steps = [], []
    optimizer = torch.optim.AdamW(solver.learner.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(0)
    for _ in range(runs):
        start = time.process_time()
        for batch in data.batches(50):
            solver.solve(batch)
        inference.append((time.process_time() - start) * 1000 / puzzles)
    for number, batch in enumerate(data.batches(STEP)):
        start = time.process_time()
        loss = solver.learner.training_loss(solver.scene(batch), batch.target, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps.append(time.process_time() - start)
        if number == 10 * runs:
            break
    answers, step = statistics.median(inference), statistics.median(steps)
    return {
        "constellation": constellation,
        "form": form,
        "seconds_per_1000": round(answers, 3),
        "inference_ratio": round(AUTHORS_SECONDS_PER_1000 / answers, 1),
        "milliseconds_per_step": round(1000 * step, 2),
        "training_ratio": round(AUTHORS_SECONDS_PER_STEP / step, 1),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    """Measure every constellation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--puzzles", type=int, default=400)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for form in ("ours", "published"):
        for constellation in CONSTELLATIONS:
            rows.append(measure(constellation, form, arguments.puzzles, arguments.runs))
            print(json.dumps(rows[-1]), flush=True)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        about = {"date": str(date.today()), "machine": platform.machine(), "torch": torch.__version__, "threads": 1}
        arguments.out.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()

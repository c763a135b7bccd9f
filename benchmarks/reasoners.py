"""CPU time and memory of every reasoner, puzzles to answers (perception included), beside a naive planner.

    python benchmarks/reasoners.py [--puzzles 1000] [--runs 5] [--models nvsa arlc] [--sets center 3x3]
                                   [--out benchmarks/results/reasoners_cpu]

One thread. Each model and constellation has a process of its own, so that peak memory is its own (that of Python, torch
and the puzzles included). NVSA and the naive planner (benchmarks/naive_planner.py) are also timed in turns in one
process; the ratio is the median over the turns. The authors' figures are CPU-seconds per 1,000 puzzles of their
released code on another 2-core machine: read ratios to them as good to about 1.5x. A model that needs a trained
checkpoint is left out.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

SETS = ("center", "2x2", "3x3", "left_right", "up_down", "out_in", "out_in_grid")
AUTHORS = {
    "nvsa": dict(zip(SETS, (3.5, 5.0, 195.0, 7.0, 7.4, 5.7, 7.1), strict=True)),
    "arlc": {"center": 15.5, "2x2": 39.0, "3x3": 3000.0},
    "naive planner": {"center": 0.16, "2x2": 0.18, "3x3": 875.0},  # the exhaustive planner it stands for, PrAE
}
SETTINGS = {"nvsa": ("perception.epsilon=0.0001",)}  # dense PMFs, as published
NAIVE = "naive planner"
NAIVE_BATCH = {"3x3": 4, "2x2": 50, "out_in_grid": 50}  # its tables of sets are large
NAIVE_PUZZLES = {"3x3": 40}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--puzzles", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--models", nargs="+")
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--cell", nargs=2, metavar=("MODEL", "SET"), help="one measurement, as JSON")
    arguments = parser.parse_args()
    if arguments.cell:
        print(json.dumps(measure(*arguments.cell, arguments.puzzles, arguments.runs)))
        return
    from reasoning import learners

    models = arguments.models or [*learners.names(), NAIVE]
    rows = []
    for model in (*models, "pairs") if {"nvsa", NAIVE} <= set(models) else models:
        for name in arguments.sets:
            command = [sys.executable, __file__, "--cell", model, name]
            command += ["--puzzles", str(arguments.puzzles), "--runs", str(arguments.runs)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{model} is left out: {done.stderr.strip().splitlines()[-1]}", flush=True)
                break
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            print(json.dumps(rows[-1]), flush=True)
    text = table([row for row in rows if row["model"] != "pairs"], [row for row in rows if row["model"] == "pairs"])
    print(f"\n{text}")
    if arguments.out:
        about = {
            "date": str(date.today()),
            "machine": platform.machine(),
            "torch": _torch_version(),
            "threads": 1,
            "puzzles": arguments.puzzles,
            "runs": arguments.runs,
        }
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        content = json.dumps({**about, "rows": rows}, indent=1)
        arguments.out.with_suffix(".json").write_text(content + "\n", encoding="utf-8")
        command = f"python benchmarks/reasoners.py --puzzles {arguments.puzzles} --runs {arguments.runs}"
        head = f"# Reasoners on one CPU thread\n\n`{command}`, {about['date']}, torch {about['torch']}.\n\n"
        arguments.out.with_suffix(".md").write_text(head + text + "\n", encoding="utf-8")


def measure(model: str, name: str, puzzles: int, runs: int) -> dict[str, Any]:
    """One model on one constellation, or NVSA and the naive planner in turns."""
    import torch

    torch.set_num_threads(1)
    if model == "pairs":
        count = min(puzzles, NAIVE_PUZZLES.get(name, puzzles))
        ours, naive = solver("nvsa", name, puzzles), solver(NAIVE, name, count)
        pairs = [(seconds(ours)[0] / puzzles, seconds(naive)[0] / count) for _ in range(runs)]
        ratios = sorted(other / mine for mine, other in pairs)
        return {
            "model": model,
            "set": name,
            "ratio": round(statistics.median(ratios), 2),
            "least": round(ratios[0], 2),
            "most": round(ratios[-1], 2),
        }
    count = min(puzzles, NAIVE_PUZZLES.get(name, puzzles)) if model == NAIVE else puzzles
    run = solver(model, name, count)
    found = [seconds(run) for _ in range(runs)]
    median = statistics.median(time for time, _ in found) * 1000 / count
    authors = AUTHORS.get(model, {}).get(name)
    return {
        "model": model,
        "set": name,
        "seconds_per_1000": round(median, 3),
        "authors_seconds_per_1000": authors,
        "times_as_fast": None if authors is None else round(authors / median, 1),
        "right": found[-1][1],
        "puzzles": count,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def seconds(run: Callable[[], int]) -> tuple[float, int]:
    """CPU time of a run, and its right answers."""
    start = time.process_time()
    right = run()
    return time.process_time() - start, right


def solver(model: str, name: str, puzzles: int) -> Callable[[], int]:
    """What solves all puzzles of a constellation and counts right answers; warmed up."""
    import torch

    import datasets
    from reasoning.perception.oracle import Oracle

    data = datasets.load("iraven", split="test", constellation=name, n=puzzles, seed=1)
    if model == NAIVE:
        sys.path.insert(0, str(Path(__file__).parent))
        import naive_planner

        see, size = Oracle(epsilon=1e-4), NAIVE_BATCH.get(name, 250)

        def answers(batch: Any) -> torch.Tensor:
            return naive_planner.solve(see(batch, mixed="missing", entities=True)).argmax(-1)

    else:
        made, size = _from_settings(model, name), 250

        def answers(batch: Any) -> torch.Tensor:
            return made.solve(batch).answers

    def run() -> int:
        with torch.no_grad():
            return sum(int((answers(batch) == batch.target).sum()) for batch in data.batches(size))

    with torch.no_grad():
        answers(next(iter(data.batches(2))))
    return run


def _from_settings(model: str, name: str) -> Any:
    """The solver as ``python -m reasoning.benchmark +model=...`` makes it."""
    import reasoning

    return reasoning.make_solver(model, f"constellation={name}", *SETTINGS.get(model, ()))


def table(rows: list[dict[str, Any]], pairs: list[dict[str, Any]]) -> str:
    """The measurements as Markdown."""
    models, sets = (list(dict.fromkeys(row[key] for row in rows)) for key in ("model", "set"))
    by = {(row["model"], row["set"]): row for row in rows}

    def line(label: str, cell: Callable[[dict[str, Any]], str], model: str) -> str:
        return f"| {label} | " + " | ".join(cell(by[model, name]) for name in sets) + " |"

    lines = [f"| | {' | '.join(sets)} |", f"|---|{'---|' * len(sets)}"]
    for model in models:
        lines.append(line(f"**{model}**, CPU-seconds per 1,000", lambda row: f"{row['seconds_per_1000']:.3f}", model))
        if any(by[model, name]["times_as_fast"] for name in sets):
            others = f"{'PrAE' if model == NAIVE else 'the'} authors' code, CPU-seconds per 1,000"
            lines.append(line(others, lambda row: _or_dash(row["authors_seconds_per_1000"]), model))
            lines.append(line("times as fast", lambda row: _or_dash(row["times_as_fast"]), model))
        lines.append(line("right, %", lambda row: f"{100 * row['right'] / row['puzzles']:.1f}", model))
        lines.append(line("peak memory, MB", lambda row: str(row["peak_memory_mb"]), model))
    ratio = {row["set"]: row for row in pairs}
    if ratio:
        cells = (f"{ratio[name]['ratio']:.2f} ({ratio[name]['least']:.2f}-{ratio[name]['most']:.2f})" for name in sets)
        lines.append(f"| **naive planner's time over nvsa's**, in turns | {' | '.join(cells)} |")
    return "\n".join(lines)


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _torch_version() -> str:
    import torch

    return torch.__version__.partition("+")[0]


if __name__ == "__main__":
    main()

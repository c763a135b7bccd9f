"""Speed of the puzzle generator, attributes only: puzzles per second on one core, median of five runs.

    python benchmarks/generation.py [--puzzles 8192] [--runs 5] [--json FILE]

To compare with: a port of the original generator without rendering makes 37 puzzles per second (mean of the seven
constellations, one core).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import datasets

PORT = 37.0


def rate(name: str, constellation: str, puzzles: int, runs: int, **options: int) -> float:
    """Puzzles per second.

    Args:
        name: of the data set.
        constellation: a published name.
        puzzles: per run.
        runs: how many; the median counts.
        options: of iraven_x.

    Returns:
        The median over runs, each with a seed of its own, after one warm-up.
    """
    datasets.generate(name, constellation, n=256, seed=0, **options)
    times = []
    for seed in range(runs):
        begin = time.perf_counter()
        datasets.generate(name, constellation, n=puzzles, seed=seed, **options)
        times.append(time.perf_counter() - begin)
    return puzzles / statistics.median(times)


def main() -> None:
    """Prints a table; writes JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--puzzles", type=int, default=8192)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    for name in ("iraven", "raven", "raven_fair"):
        found[name] = {
            constellation: rate(name, constellation, arguments.puzzles, arguments.runs)
            for constellation in datasets.CONSTELLATIONS
        }
        # the time of a puzzle from each constellation, as the port's 37 per second counts
        mean = len(found[name]) / sum(1 / r for r in found[name].values())
        for constellation, value in found[name].items():
            print(f"{name:10} {constellation:40} {value:9,.0f} / s")
        print(f"{name:10} {'mean of the seven':40} {mean:9,.0f} / s = {mean / PORT:,.0f} x the port's {PORT:.0f}")
        found[name]["mean"] = mean
    for columns, maxval in ((3, 10), (10, 1000)):
        options = {"columns": columns, "maxval": maxval}
        value = rate("iraven_x", "center_single", arguments.puzzles // 4, arguments.runs, **options)
        print(f"{'iraven_x':10} {f'{columns} columns, range {maxval}':40} {value:9,.0f} / s")
        found.setdefault("iraven_x", {})[f"n{columns}_maxval{maxval}"] = value
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()

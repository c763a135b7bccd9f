"""Puzzles with pixels, masks, xml and npz per CPU-second; reading them back; an epoch of image batches from shards.

``python benchmarks/rendering.py [--puzzles N] [--epoch N] [--out FILE]`` prints three tables and writes them as JSON.
Time is CPU time of one process (user and system), writing to the temporary folder included; reading gives elapsed time
too. "cold" begins with no entity drawn, as a worker process does; "warm" makes as many puzzles again. The original
generator's figures were measured by this project: 15 puzzles per CPU-second over the seven constellations, center 27,
3x3 11.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import datasets
from datasets.constellations import CONSTELLATIONS
from datasets.files.images import read_images
from datasets.files.production import Order, produce
from datasets.files.raven import write_raven
from datasets.files.read import read
from datasets.files.shards import Shards
from datasets.pixels.drawing import opencv

ORIGINAL = {"center_single": 27.0, "distribute_nine": 11.0}  # puzzles per CPU-second
ORIGINAL_MEAN = 15.0
BATCH = 32
WANTED = 2_000  # panels per second and core: more than a network takes


def cpu_seconds(work: Callable[[], Any]) -> float:
    """CPU time of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def writing(constellation: str, n: int, folder: Path) -> dict[str, float]:
    """Puzzles per CPU-second, generated and written."""

    def make(start: int) -> None:
        write_raven(datasets.generate("iraven", constellation, n=n, start=start), folder / constellation)

    cold, warm = cpu_seconds(lambda: make(0)), cpu_seconds(lambda: make(n))
    return {"cold": n / cold, "warm": n / warm}


def reading(folder: Path, runs: int = 5) -> dict[str, float]:
    """Reading a tree of npz + xml, beside plain reading of the same bytes: medians of runs that take turns."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    size = sum(path.stat().st_size for path in files)
    sets: dict[str, Any] = {}

    def plain() -> None:
        for path in files:
            path.read_bytes()

    def labels() -> None:
        sets.update(read(folder))

    def images() -> None:
        for arrays in sets.values():
            read_images(folder, arrays)

    work = {"plain": plain, "labels": labels, "images": images}
    wall: dict[str, list[float]] = {name: [] for name in work}
    cpu: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(runs):
        for name, task in work.items():
            start = time.perf_counter()
            cpu[name].append(cpu_seconds(task))
            wall[name].append(time.perf_counter() - start)
    n = sum(map(len, sets.values()))
    row = {"puzzles": float(n), "megabytes": size / 1e6}
    for unit, seconds in (("s", wall), ("cpu_s", cpu)):
        typical = {name: statistics.median(values) for name, values in seconds.items()}
        ours = typical["labels"] + typical["images"]
        row[f"plain_megabytes_per_{unit}"] = size / 1e6 / typical["plain"]
        row[f"ours_megabytes_per_{unit}"] = size / 1e6 / ours
        row[f"ours_puzzles_per_{unit}"] = n / ours
        row[f"labels_puzzles_per_{unit}"] = n / typical["labels"]
        row[f"images_puzzles_per_{unit}"] = n / typical["images"]
    return row


def epoch(shards: Shards, constellation: str) -> float:
    """Panels per CPU-second of a shuffled epoch of uint8 tensors."""
    panels = 0

    def run() -> None:
        nonlocal panels
        for arrays, images in shards.batches(constellation, BATCH, shuffle=True):
            tensor = torch.from_numpy(images)
            panels += tensor.shape[0] * tensor.shape[1]
            if len(arrays) != len(tensor):
                raise ValueError("labels and images do not belong together")

    seconds = cpu_seconds(run)
    return panels / seconds


def main() -> None:
    """Runs all three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--puzzles", type=int, default=500, help="written and read, of each constellation")
    parser.add_argument("--epoch", type=int, default=6000, help="puzzles in an epoch drawn on demand")
    parser.add_argument("--kept", type=int, default=1000, help="puzzles in an epoch of kept pixels")
    parser.add_argument("--out", type=Path, default=None, help="JSON file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    result: dict[str, Any] = {
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "versions": {"numpy": np.__version__, "opencv": opencv().__version__},
        "settings": {"puzzles": options.puzzles, "epoch": options.epoch, "kept": options.kept},
    }
    scratch = Path(tempfile.mkdtemp(prefix="rendering-"))
    try:
        print(f"{'puzzles per CPU-second':<42} {'cold':>7} {'warm':>7} {'original':>9} {'cold / original':>16}")
        rows = {}
        for name in CONSTELLATIONS:
            row = rows[name] = writing(name, options.puzzles, scratch / "raven")
            original = ORIGINAL.get(name)
            ratio = f"{row['cold'] / original:.1f}" if original else ""
            print(f"{name:<42} {row['cold']:7.0f} {row['warm']:7.0f} {original or '':>9} {ratio:>16}")
        # The mean of the original is over all puzzles: total puzzles over total time.
        mean = {key: len(rows) / sum(1 / row[key] for row in rows.values()) for key in ("cold", "warm")}
        ratio = f"{mean['cold'] / ORIGINAL_MEAN:.1f}"
        print(f"{'all seven':<42} {mean['cold']:7.0f} {mean['warm']:7.0f} {ORIGINAL_MEAN:>9} {ratio:>16}")
        result["writing"] = {**rows, "all": mean}
        result["reading"] = reading(scratch / "raven")
        print("\nreading npz + xml, files in the page cache")
        for key, value in result["reading"].items():
            print(f"  {key:<34} {value:10.0f}")
        shutil.rmtree(scratch / "raven")
        print(f"\npanels per CPU-second of a shuffled epoch, batches of {BATCH} puzzles (wanted: {WANTED})")
        result["epoch"] = {}
        for name in ("center_single", "distribute_nine", "in_distribute_four_out_center_single"):
            for kind, n, images in (("drawn on demand", options.epoch, False), ("kept pixels", options.kept, True)):
                folder = scratch / f"{name}-{images}"
                produce(Order("iraven", (name,), n=n, seed=1, form="shards", images=images), folder)
                value = epoch(Shards(folder), name)
                result["epoch"][f"{name}, {kind}"] = value
                print(f"  {name:<42} {kind:<16} {value:10.0f}")
                shutil.rmtree(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

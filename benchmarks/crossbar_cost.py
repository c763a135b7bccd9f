"""What simulating arrays costs: reads beside a plain matrix product, in one run.

    python benchmarks/crossbar_cost.py [--out benchmarks/results/crossbar_cost]

Ratios are medians of five runs, one thread. ``redraw`` draws every device anew for every vector, as the formula says,
instead of the output's noise, which has the same distribution; it is timed on one vector and multiplied. aihwkit's
inference layer stands beside where that package is installed (its column was never run by us).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch
from torch import Tensor

from vsa.backends import get
from vsa.backends.base import StoredMatrix

SIZES = (256, 1024, 4096)
BATCHES = (1, 64, 512, 4096)
TILES = {"tile_rows": 256, "tile_columns": 256, "dac_bits": 8, "adc_bits": 8, "adc_range": 10.0}
CASES = {
    "pcm, untiled": ("crossbar", {"device": "pcm", "output_noise": 0.04}),
    "pcm, tiles of 256 with an ADC each": ("crossbar", {"device": "pcm", "output_noise": 0.04, **TILES}),
    "crossbar_pcm (tiles of 512, bounds, wires)": ("crossbar_pcm", {}),
}


def median_seconds(work: Callable[[], object], pairs: int = 5) -> float:
    """Median of some runs, after one that is not counted."""
    work()
    times = []
    for _ in range(pairs):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def redraw(stored: StoredMatrix, x: Tensor) -> Tensor:
    """One vector through devices that are all drawn anew."""
    array = stored.handle.arrays["forward"]
    matrix, variance = array.matrix[0, 0, 0], array.variance[0, 0, 0]
    return x @ (matrix + variance.sqrt() * torch.randn(matrix.shape, generator=array.generator))


def aihwkit_seconds(x: Tensor) -> float:
    """One evaluation of aihwkit's analog layer under its default inference settings."""
    from aihwkit.nn import AnalogLinear  # type: ignore[import-not-found]
    from aihwkit.simulator.configs import InferenceRPUConfig  # type: ignore[import-not-found]

    layer = AnalogLinear(x.shape[-1], x.shape[-1], bias=False, rpu_config=InferenceRPUConfig()).eval()
    with torch.no_grad():
        return median_seconds(lambda: layer(x))


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="a path without ending; .json and .md are written")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    beside = importlib.util.find_spec("aihwkit") is not None
    note = "" if beside else "aihwkit is not installed here: no column for it."
    rows = []
    for size in SIZES:
        generator = torch.Generator().manual_seed(size)
        atoms = torch.randn(size, size, generator=generator)
        digital = get("digital").store(atoms)
        arrays = {name: get(backend, **options).store(atoms) for name, (backend, options) in CASES.items()}
        for batch in BATCHES:
            if size * size * batch > 2**36:
                continue
            x = torch.randn(batch, size, generator=generator)
            plain = median_seconds(lambda x=x, digital=digital: digital.matvec(x))
            row: dict[str, object] = {"size": size, "batch": batch, "plain_ms": round(plain * 1e3, 4)}
            for name, stored in arrays.items():
                row[name] = round(median_seconds(lambda x=x, stored=stored: stored.matvec(x)) / plain, 2)
            one = median_seconds(lambda x=x, stored=arrays["pcm, untiled"]: redraw(stored, x[:1]))
            row["redraw of every device"] = round(one * batch / plain, 1)
            if beside:
                row["aihwkit"] = round(aihwkit_seconds(x) / plain, 2)
            rows.append(row)
            print(json.dumps(row), flush=True)
    print(note)
    if arguments.out:
        about = {
            "command": "python benchmarks/crossbar_cost.py",
            "date": str(date.today()),
            "machine": platform.machine(),
            "torch": torch.__version__,
            "threads": 1,
            "note": note,
        }
        arguments.out.with_suffix(".json").write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")
        columns = list(rows[0])
        lines = [
            "# Cost of simulation",
            "",
            f"`{about['command']}`, {about['date']}, torch {about['torch']}, one thread. Times a plain float "
            f"matrix product. {note}",
            "",
            f"| {' | '.join(columns)} |",
            "|---" * len(columns) + "|",
            *(f"| {' | '.join(str(row[column]) for column in columns)} |" for row in rows),
        ]
        arguments.out.with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

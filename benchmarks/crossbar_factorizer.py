"""The in-memory factorizer on simulated arrays: the published noise band, and drift with and without compensation.

    python benchmarks/crossbar_factorizer.py --part noise drift --out benchmarks/results/crossbar_factorizer

D = N = 256, F = 3 (1.7e7 products). ``noise``: read noise of the devices around their 5 uS target is all there is;
published: at least 99 % between 0.29 and 1.28 uS. ``drift``: the two-chip preset (programming noise 1.16 uS, read noise
0.40 uS), a second to a year after programming. Half an hour on one core for the noise, less for the drift.

Reference:
    Langenegger et al. 2023, "In-memory factorization of holographic perceptual representations" (Nature
    Nanotechnology).
"""

from __future__ import annotations

import argparse
import json
import platform
from datetime import date
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import torch

import factorizers
import vsa
from factorizers.theory import wilson
from vsa.backends import get
from vsa.backends.crossbar.devices.pcm import HermesPCM

DIM = SIZE = 256
LEVELS = (0.0, 0.1, 0.2, 0.29, 0.4, 0.6, 0.8, 1.0, 1.28, 1.6, 2.0, 2.5, 3.0, 3.5, 4.5)
AGES = {"1 s": 1.0, "1 hour": 3600.0, "1 day": 86400.0, "1 year": 365 * 86400.0}
BAND = (0.29, 1.28)


def measure(backend: vsa.Backend, age_seconds: float, queries: int, published: bool) -> dict[str, object]:
    """Right answers of fresh codebooks on one kind of array."""
    algebra = vsa.get("map", dim=DIM)
    exact = [vsa.Codebook.random(algebra, SIZE, seed=factor) for factor in range(3)]
    books = [book.on(backend, seed=factor) for factor, book in enumerate(exact)]
    for book in books:
        book.stored.handle.advance(age_seconds)
    generator = torch.Generator().manual_seed(5)
    indices = torch.randint(SIZE, (queries, 3), generator=generator)
    parts = [book.atoms[chosen] for book, chosen in zip(exact, indices.T, strict=True)]
    # The arrays' own noise is the only one: none is drawn in the activation.
    make = factorizers.InMemory.published if published else factorizers.InMemory
    answer = make(books, noise=0.0)(algebra.bind_all(torch.stack(parts, dim=-2)))
    right = int((answer.indices == indices).all(-1).sum())
    low, high = wilson(right, queries)
    result = {
        "right": right,
        "valid": int(answer.valid.sum()),
        "queries": queries,
        "interval": [round(low, 4), round(high, 4)],
        "iterations": round(float(answer.iterations.double().mean()), 1),
    }
    costs = [book.stored.handle.cost() for book in books]
    if all(cost is not None for cost in costs):
        result["microjoules_per_query"] = round(1e6 * sum(cost.energy_joules for cost in costs if cost) / queries, 3)
    return result


def main() -> None:
    """Measure, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="*", choices=("noise", "drift"), default=("noise", "drift"))
    parser.add_argument("--queries", type=int, default=256)
    parser.add_argument("--out", type=Path, help="a path without ending; .json and .png are written")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, list[dict[str, object]]] = {}
    if "noise" in arguments.part:
        for name in ("ours", "published"):
            results[f"noise, {name}"] = []
            for level in LEVELS:
                device = HermesPCM(program_std_us=0.0, read_std_us=level, drift_nu=0.0)
                row = measure(get("crossbar", device=device), 0.0, arguments.queries, name == "published")
                results[f"noise, {name}"].append({"read_std_us": level, **row})
                print(name, results[f"noise, {name}"][-1], flush=True)
    if "drift" in arguments.part:
        for kind in ("none", "global"):
            results[f"drift, compensation {kind}"] = []
            for age, seconds in AGES.items():
                row = measure(get("crossbar_hermes", compensation=kind), seconds - 1.0, arguments.queries, False)
                results[f"drift, compensation {kind}"].append({"age": age, **row})
                print(kind, results[f"drift, compensation {kind}"][-1], flush=True)
    if arguments.out:
        about = {
            "command": f"python benchmarks/crossbar_factorizer.py --part {' '.join(arguments.part)} --queries "
            f"{arguments.queries}",
            "date": str(date.today()),
            "machine": platform.machine(),
            "torch": torch.__version__,
            "D": DIM,
            "N": SIZE,
            "F": 3,
        }
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.with_suffix(".json").write_text(json.dumps({**about, **results}, indent=1) + "\n")
        if "noise" in arguments.part:
            draw(results, arguments.queries, arguments.out.with_suffix(".png"))


def draw(results: dict[str, list[dict[str, object]]], queries: int, path: Path) -> None:
    """The published curve: right answers against the noise of the devices."""
    plt.rcParams.update({"font.size": 8, "legend.fontsize": 7, "axes.titlesize": 9})
    figure, axes = plt.subplots(figsize=(4.8, 3.0), layout="constrained")
    axes.axvspan(*BAND, color="tab:green", alpha=0.12, label="published band, 99 % and more")
    for name in ("ours", "published"):
        rows = results[f"noise, {name}"]
        levels = [row["read_std_us"] for row in rows]
        right = [row["right"] / queries for row in rows]  # type: ignore[operator]
        label = {"ours": "ours: restarts, certified stop", "published": "published dynamics"}[name]
        axes.plot(levels, right, marker="o", markersize=4, linewidth=1, label=label)  # type: ignore[arg-type]
    axes.set(
        xlabel="read noise of a device at 5 uS (standard deviation, uS)",
        ylabel="all three factors right",
        title=f"D = N = 256, F = 3 on arrays, {queries} queries a point",
        ylim=(-0.03, 1.03),
    )
    axes.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()

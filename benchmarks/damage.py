"""Accuracy against the level of damage, for each method: tables and a figure; and the published noise sweep, drawn.

    python benchmarks/damage.py --out benchmarks/results/damage_cpu [--figures docs/figures]

About ten minutes on one core. Every level of every method sees the same queries: products of fresh codebooks, damaged.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import torch

import factorizers
import vsa
from factorizers.damage import damage, quantize_atoms
from factorizers.theory import wilson

Books = list[vsa.Codebook]
Maker = Callable[[Books, float], factorizers.Factorizer]

QUERIES, DRAWS = 200, 5
SIGNS: dict[str, Maker] = {
    "exhaustive": lambda b, level: factorizers.Exhaustive(b),
    "group_search": lambda b, level: factorizers.GroupSearch(b, noise=level),
    "in_memory": lambda b, level: factorizers.InMemory(b),
    "asymmetric": lambda b, level: factorizers.Asymmetric(b),
    "resonator": lambda b, level: factorizers.Resonator(b),
}
BLOCKS: dict[str, Maker] = {
    "exhaustive": SIGNS["exhaustive"],
    "block_code": lambda b, level: factorizers.BlockCode(b),
    "block_code, dot": lambda b, level: factorizers.BlockCode(b, similarity="dot"),
    "in_memory": SIGNS["in_memory"],
}
PHASORS: dict[str, Maker] = {name: SIGNS[name] for name in ("exhaustive", "in_memory", "resonator")}


@dataclass(frozen=True)
class Sweep:
    """One kind of damage on one algebra."""

    title: str
    algebra: vsa.Algebra
    size: int
    kind: str  # a name of factorizers.damage.DAMAGES, or "atoms": the query is made of atoms of so many bits
    levels: Sequence[float]
    makers: dict[str, Maker]


SWEEPS = (
    Sweep("bit flips (share); map, D 512", vsa.get("map", dim=512), 40, "flips", (0, 0.05, 0.1, 0.2, 0.3), SIGNS),
    Sweep(
        "Gaussian noise (std); map_real, D 512",
        vsa.get("map_real", dim=512),
        40,
        "gaussian",
        (0, 0.5, 1.0, 2.0, 3.0),
        {name: SIGNS[name] for name in ("exhaustive", "in_memory", "resonator")},
    ),
    Sweep(
        "corrupted blocks (share); gsbc, D 512, K 8",
        vsa.get("gsbc", dim=512, blocks=8),
        40,
        "blocks",
        (0, 0.0625, 0.125, 0.25),
        BLOCKS,
    ),
    Sweep(
        "missing blocks (share); gsbc, D 512, K 8",
        vsa.get("gsbc", dim=512, blocks=8),
        40,
        "missing",
        (0, 0.0625, 0.125, 0.25),
        BLOCKS,
    ),
    Sweep("bits of the query's atoms; fhrr, D 512", vsa.get("fhrr", dim=512), 40, "atoms", (8, 4, 3, 2, 1), PHASORS),
)


def measure(sweep: Sweep, level: float, make: Maker) -> dict[str, object]:
    """Right and certified answers at one level."""
    right = valid = 0
    iterations = 0.0
    for draw in range(DRAWS):
        generator = torch.Generator().manual_seed(1000 + draw)
        books = [vsa.Codebook.random(sweep.algebra, sweep.size, seed=100 * draw + factor) for factor in range(3)]
        indices = torch.randint(0, sweep.size, (QUERIES // DRAWS, 3), generator=generator)
        sources = [quantize_atoms(book, int(level)) for book in books] if sweep.kind == "atoms" else books
        parts = torch.stack([book.atoms[chosen] for book, chosen in zip(sources, indices.T, strict=True)], dim=-2)
        query = sweep.algebra.bind_all(parts)
        if sweep.kind == "gaussian":
            query = sweep.algebra.normalize(query)
        if sweep.kind != "atoms":
            query = damage(sweep.kind, sweep.algebra, query, float(level), generator)
        answer = make(books, float(level) if sweep.kind == "flips" else 0.0)(query)
        right += int((answer.indices == indices).all(-1).sum())
        valid += int(answer.valid.sum())
        iterations += float(answer.iterations.double().mean()) / DRAWS
    low, high = wilson(right, QUERIES)
    return {
        "level": level,
        "right": right,
        "valid": valid,
        "queries": QUERIES,
        "interval": [round(low, 3), round(high, 3)],
        "iterations": round(iterations, 1),
    }


def table(results: dict[str, dict[str, list[dict[str, object]]]]) -> str:
    """Markdown: one table per kind of damage; right of the queries, certified in brackets."""
    lines = []
    for title, methods in results.items():
        levels = [row["level"] for row in next(iter(methods.values()))]
        lines += [f"## {title}", "", f"| method | {' | '.join(map(str, levels))} |", "|---" * (len(levels) + 1) + "|"]
        for name, rows in methods.items():
            lines.append(f"| {name} | " + " | ".join(f"{row['right']} ({row['valid']})" for row in rows) + " |")
        lines.append("")
    return "\n".join(lines)


def draw(results: dict[str, dict[str, list[dict[str, object]]]], path: Path) -> None:
    """The tables as curves."""
    figure, every = plt.subplots(1, len(results), figsize=(3.1 * len(results), 2.8), layout="constrained", sharey=True)
    for axes, (title, methods) in zip(every, results.items(), strict=True):
        for name, rows in methods.items():
            share = [row["right"] / QUERIES for row in rows]  # type: ignore[operator]
            axes.plot([str(row["level"]) for row in rows], share, marker="o", markersize=3, linewidth=1, label=name)
        axes.set(title=title.replace("; ", "\n"), ylim=(-0.03, 1.03))
        axes.legend()
    every[0].set_ylabel("all factors right")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_noise(results: Path, path: Path) -> None:
    """Langenegger 2023: right answers against the noise of the similarities, published dynamics and ours."""
    figure, axes = plt.subplots(figsize=(4.6, 3.0), layout="constrained")
    for name, label in (("langenegger2023", "published dynamics"), ("langenegger2023_ours", "ours")):
        cells = json.loads((results / f"{name}.json").read_text())
        # Ours counts the noise in standard deviations of the crosstalk, the published sweep in similarities.
        unit = cells[0]["dim"] ** -0.5 if name.endswith("ours") else 1.0
        noise = [cell["options"]["noise"] * unit for cell in cells]
        right = [cell["right"] / cell["queries"] for cell in cells]
        bars = [
            [r - cell["right_interval"][0] for r, cell in zip(right, cells, strict=True)],
            [cell["right_interval"][1] - r for r, cell in zip(right, cells, strict=True)],
        ]
        axes.errorbar(noise, right, yerr=bars, marker="o", markersize=4, capsize=2, linewidth=1, label=label)
    axes.axvline(0.0136, color="gray", linewidth=0.8, linestyle=":")
    axes.text(0.0139, 0.05, "released value", fontsize=7, color="gray")
    axes.set(
        xlabel="noise of the similarities (standard deviation)",
        ylabel="all three factors right",
        title="D = N = 256, F = 3: 256 queries a point",
        ylim=(-0.03, 1.03),
    )
    axes.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Measure, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="a path without ending; .json and .md are written")
    parser.add_argument("--figures", type=Path, help="folder for damage.png and noise.png")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    plt.rcParams.update({"font.size": 8, "legend.fontsize": 7, "axes.titlesize": 8})
    if arguments.figures:
        arguments.figures.mkdir(parents=True, exist_ok=True)
        draw_noise(arguments.results, arguments.figures / "noise.png")
    results: dict[str, dict[str, list[dict[str, object]]]] = {}
    for sweep in SWEEPS:
        results[sweep.title] = {}
        for name, make in sweep.makers.items():
            results[sweep.title][name] = [measure(sweep, level, make) for level in sweep.levels]
            print(sweep.title, name, [(r["level"], r["right"]) for r in results[sweep.title][name]], flush=True)
    if arguments.figures:
        draw(results, arguments.figures / "damage.png")
    if arguments.out:
        about = {
            "command": "python benchmarks/damage.py",
            "date": str(date.today()),
            "machine": platform.machine(),
            "torch": torch.__version__,
        }
        arguments.out.with_suffix(".json").write_text(json.dumps({**about, "results": results}, indent=1) + "\n")
        head = "# Accuracy against damage\n\nF = 3, N = 40 (64,000 products). Right answers, certified ones in "
        head += f"brackets, of {QUERIES} queries over {DRAWS} draws of codebooks.\n\n"
        arguments.out.with_suffix(".md").write_text(head + table(results))


if __name__ == "__main__":
    main()

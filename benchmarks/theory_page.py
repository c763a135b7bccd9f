"""Theory beside measurement: the figures of docs/factorizers.md.

    python benchmarks/theory_page.py [--out docs/figures]

It takes about a minute on one core. Every point is drawn from its own seed; bars are two standard errors.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from torch import Tensor

import factorizers
import vsa
from factorizers import theory

MEASURED = {"marker": "o", "linestyle": "none", "markersize": 4, "capsize": 2}


def books(algebra: vsa.Algebra, sizes: tuple[int, ...], seed: int = 0) -> list[vsa.Codebook]:
    """Codebooks of random atoms."""
    return [vsa.Codebook.random(algebra, size, seed=1000 * seed + factor) for factor, size in enumerate(sizes)]


def drawn(made: factorizers.Factorizer, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Products (B, D) of random atoms, and which (B, F)."""
    generator = torch.Generator().manual_seed(seed)
    indices = torch.stack([torch.randint(n, (count,), generator=generator) for n in made.problem.sizes], -1)
    return made.problem.product(indices), indices


def crosstalk(axes: Axes) -> None:
    """Standard deviation of the similarity of unrelated atoms against D."""
    dims = [64, 128, 256, 512, 1024, 2048, 4096]
    pairs = 20_000
    for name, factor in (("map", 1.0), ("fhrr", math.sqrt(0.5))):
        measured = []
        for dim in dims:
            algebra = vsa.get(name, dim=dim)
            generator = torch.Generator().manual_seed(dim)
            parts = [algebra.random(pairs // 10, generator=generator) for _ in range(10)]
            others = [algebra.random(pairs // 10, generator=generator) for _ in range(10)]
            similar = torch.cat([algebra.similarity(a, b) for a, b in zip(parts, others, strict=True)]).double()
            measured.append(float(similar.std()))
        shares = [m / (factor * theory.crosstalk_std(d)) for m, d in zip(measured, dims, strict=True)]
        print("crosstalk", name, [f"{share:.3f}" for share in shares])
        errors = [2 * m / math.sqrt(2 * pairs) for m in measured]
        line = axes.plot(dims, [factor * theory.crosstalk_std(d) for d in dims], linewidth=1)[0]
        label = {"map": "map: $1/\\sqrt{D}$", "fhrr": "fhrr: $1/\\sqrt{2D}$"}[name]
        axes.errorbar(dims, measured, yerr=errors, color=line.get_color(), label=label, **MEASURED)
    axes.set(xscale="log", yscale="log", xlabel="D", ylabel="standard deviation", title="Similarity of unrelated atoms")
    axes.legend()


def certificates(axes: Axes) -> None:
    """Wrong products that reach tau, of random queries to 27,000 products."""
    size, dims, queries = 30, (64, 128, 256), 400
    for dim in dims:
        # similarities come in steps of 2 / D: half way between two of them a continuous formula means what it says
        taus = [(2 * round(0.025 * step * dim) + 1) / dim for step in range(2, 13)]
        algebra = vsa.get("map", dim=dim)
        made = factorizers.Exhaustive(books(algebra, (size,) * 3))
        generator = torch.Generator().manual_seed(dim)
        every = torch.cartesian_prod(*(torch.arange(size),) * 3)
        products = vsa.Codebook(algebra, made.problem.product(every))
        counts = torch.zeros(len(taus), queries, dtype=torch.float64)
        for row in range(0, queries, 100):
            similar = products.similarity(algebra.random(100, generator=generator))
            for at, tau in enumerate(taus):
                counts[at, row : row + 100] = (similar >= tau - 1e-6).sum(-1).double()
        expected = [theory.false_certificates(size**3, dim, tau) for tau in taus]
        line = axes.plot(taus, expected, linewidth=1)[0]
        errors = (2 * counts.std(-1) / math.sqrt(queries)).tolist()
        seen = list(zip(taus, counts.mean(-1).tolist(), errors, strict=True))
        shown = [point for point in seen if point[1] > 0]
        x, y, error = zip(*shown, strict=True)
        axes.errorbar(x, y, yerr=error, color=line.get_color(), label=f"D = {dim}", **MEASURED)
        print("certificates", dim, [f"{t:.2f}: {m:.3g} / {e:.3g}" for (t, m, _), e in zip(seen, expected, strict=True)])
    axes.axhline(1e-3, color="grey", linewidth=0.8, linestyle=":")
    axes.text(0.11, 1.3e-3, "the bar of a certificate", fontsize=7, color="grey")
    axes.set(yscale="log", ylim=(3e-4, 3e4), xlabel="tau", ylabel="per query", title="Wrong products that reach tau")
    axes.legend()


def ceilings(axes: Axes) -> None:
    """Accuracy of exhaustive search where wrong products equal the query by chance."""
    outcomes, blocks, length = 256, 2, 16
    algebra = vsa.get("gsbc", dim=blocks * length, blocks=blocks)
    grid = [10 ** (step / 20 - 2) for step in range(67)]
    axes.plot(grid, [theory.ceiling(value) for value in grid], color="black", linewidth=1, label="$(1-e^{-λ})/λ$")
    for factors, sizes in ((2, (3, 5, 8, 12, 16, 24, 32, 48)), (3, (3, 4, 5, 6, 8, 10, 13))):
        points = []
        for size in sizes:
            right, total = 0, 0
            for seed in range(40):
                generator = torch.Generator().manual_seed(100 * size + seed)
                chosen = [torch.randperm(outcomes, generator=generator)[:size] for _ in range(factors)]
                made = factorizers.Exhaustive(
                    [vsa.Codebook(algebra, torch.stack((some // length, some % length), -1)) for some in chosen]
                )
                queries, indices = drawn(made, 50, seed)
                right += int((made(queries).indices == indices).all(-1).sum())
                total += len(queries)
            # atoms are distinct, so products that differ in one factor are, too: only the others can coincide
            others = size**factors - 1 - factors * (size - 1)
            points.append((theory.false_factorizations(others, blocks, length), right, total))
        x = [value for value, _, _ in points]
        y = [r / t for _, r, t in points]
        print("ceiling", factors, [f"{v:.3g}: {r / t:.3f} / {theory.ceiling(v):.3f}" for v, r, t in points])
        error = [2 * math.sqrt(max(r / t * (1 - r / t), 1e-4) / t) for _, r, t in points]
        axes.errorbar(x, y, yerr=error, label=f"measured, F = {factors}", **MEASURED)
    axes.set(xscale="log", ylim=(0, 1.05), xlabel="λ", ylabel="all factors right", title="Block codes, K = 2, L = 16")
    axes.legend()


def cost(axes: Axes) -> None:
    """Multiply-accumulates of exact queries against the size of the search space."""
    dim, queries = 256, 24
    algebra = vsa.get("map", dim=dim)
    sizes = (16, 32, 64, 128, 256)
    combinations = [size**3 for size in sizes]
    axes.plot(
        combinations,
        [theory.exhaustive_macs((size,) * 3, dim) for size in sizes],
        color="black",
        linewidth=1,
        label="$N^F D$",
    )
    makers = {
        "exhaustive": lambda b: factorizers.Exhaustive(b, early_exit=False),
        "... early exit": factorizers.Exhaustive,
        "group search": factorizers.GroupSearch,
        "in-memory": factorizers.InMemory,
        "join": factorizers.Join,
    }
    for label, make in makers.items():
        spent, right = [], []
        for size in sizes:
            made = make(books(algebra, (size,) * 3, seed=size))
            query, indices = drawn(made, queries, size)
            answer = made(query)
            spent.append(float(answer.macs.double().mean()))
            right.append(int((answer.indices == indices).all(-1).sum()))
        axes.plot(combinations, spent, marker="o", markersize=4, linewidth=0.5, linestyle=":", label=label)
        print("cost", label, [f"{s:.3g} ({r}/{queries})" for s, r in zip(spent, right, strict=True)])
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="combinations",
        ylabel="multiply-accumulates",
        title="Cost of one exact query, D = 256, F = 3",
    )
    axes.legend()


def main() -> None:
    """Draw the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/figures"))
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    plt.rcParams.update({"font.size": 8, "legend.fontsize": 7, "axes.titlesize": 9})
    for name, draw in (
        ("crosstalk", crosstalk),
        ("false_certificates", certificates),
        ("ceiling", ceilings),
        ("cost", cost),
    ):
        figure, axes = plt.subplots(figsize=(4.2, 3.0), layout="constrained")
        draw(axes)
        figure.savefig(out / f"{name}.png", dpi=110)
        plt.close(figure)


if __name__ == "__main__":
    main()

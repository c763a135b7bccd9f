"""Block-code factorizer: published dynamics and ours, beside the naive (B, N, K, L) form, and the truth about answers.

``python benchmarks/block_code.py [--queries Q] [--books C] [--only D,K,F,N] [--out FILE.json]`` prints a table and
writes it as JSON and Markdown. Times: microseconds per row-iteration, whole calls with 512 rows in work against steps
of the naive form at its best batch, taken in turn in one run, medians of five. Answers: C fresh codebook draws of seeds
from 100 on, Q queries in all; *right* counts queries with all factors right, *valid* those whose product gives the
query back; the ceiling is (1 - exp(-lambda)) / lambda with lambda = N^F / L^K. Memory: growth of the resident peak of a
fresh process over one call of 512 queries, F = 3, N = 1024.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from naive_block_code import mean_start, naive_step

import factorizers
import vsa
from factorizers.block_rule import PUBLISHED

SIZES = [
    (512, 4, 2, 105), (512, 4, 2, 1155), (512, 4, 2, 3014), (512, 4, 3, 22), (512, 4, 3, 49), (512, 4, 3, 94),
    (512, 4, 3, 209), (512, 4, 4, 54), (512, 8, 2, 348), (512, 8, 3, 94), (1024, 4, 2, 1155), (1024, 4, 3, 94),
]  # fmt: skip
REPEATS = 5
FIRST_SEED = 100


def make_books(dim: int, blocks: int, factors: int, size: int, seed: int) -> list[vsa.Codebook]:
    """Random codebooks in index form."""
    algebra = vsa.get("gsbc", dim=dim, blocks=blocks)
    draw = torch.Generator().manual_seed(vsa.seeding.child_seed(seed, "books"))
    return [vsa.Codebook.random(algebra, size, generator=draw) for _ in range(factors)]


def make_queries(factorizer: factorizers.BlockCode, count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Products and their factors."""
    draw = torch.Generator().manual_seed(vsa.seeding.child_seed(seed, "queries"))
    indices = torch.stack([torch.randint(n, (count,), generator=draw) for n in factorizer.problem.sizes], -1)
    return factorizer.problem.product(indices), indices


def interval(hits: int, count: int) -> tuple[float, float]:
    """Wilson, 95 %."""
    z, share = 1.96, hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return round(middle - half, 5), round(middle + half, 5)


def answers(size: tuple[int, int, int, int], published: bool, draws: int, count: int) -> dict[str, Any]:
    """Right, valid and iterations over fresh codebooks."""
    right = valid = 0
    iterations: list[torch.Tensor] = []
    seconds = macs = 0.0
    for seed in range(FIRST_SEED, FIRST_SEED + draws):
        books = make_books(*size, seed)
        make = factorizers.BlockCode.published if published else factorizers.BlockCode
        factorizer = make(books, seed=seed)
        queries, indices = make_queries(factorizer, count // draws, seed)
        start = time.perf_counter()
        answer = factorizer(queries)
        seconds += time.perf_counter() - start
        right += int((answer.indices == indices).all(-1).sum())
        valid += int(answer.valid.sum())
        iterations.append(answer.iterations.double())
        macs += answer.exhaustive_share / draws
    total = count // draws * draws
    spent = torch.cat(iterations)
    return {
        "queries": total,
        "codebook_draws": draws,
        "right": right,
        "valid": valid,
        "right_95": interval(right, total),
        "valid_95": interval(valid, total),
        "iterations_mean": round(float(spent.mean()), 2),
        "iterations_se": round(float(spent.std()) / total**0.5, 2),
        "iterations_p99": float(spent.quantile(0.99)),
        "ms_per_query": round(1e3 * seconds / total, 4),
        "share_of_exhaustive_macs": macs,
    }


def row_iterations(size: tuple[int, int, int, int], queries: int) -> dict[str, Any]:
    """Microseconds per row-iteration of both published dynamics and ours, and of the naive form, in turn."""
    dim, blocks, _, count = size
    books = make_books(*size, 1)
    ours = factorizers.BlockCode(books)
    same = factorizers.BlockCode.published(books) if size in PUBLISHED else None
    asked, _ = make_queries(ours, queries, 1)
    length = dim // blocks
    atoms = [vsa.get("gsbc", dim=dim, blocks=blocks).from_index(b.atoms).unflatten(-1, (blocks, length)) for b in books]
    sample, threshold = PUBLISHED.get(size, (8, 1 / length))
    draw = torch.Generator().manual_seed(0)
    best: dict[str, list[float]] = {"naive": [], "ours": [], "published": []}

    def naive(batch: int, steps: int = 3) -> float:
        query = torch.zeros(batch, blocks, length)
        query.scatter_(-1, asked[:batch].unsqueeze(-1), 1.0)
        estimates = mean_start(atoms, batch)
        start = time.perf_counter()
        for _ in range(steps):
            subsets = None
            if sample:
                picked = [torch.rand(batch, count, generator=draw).topk(sample).indices for _ in books]
                subsets = [torch.zeros(batch, count).scatter_(-1, at, 1.0) for at in picked]
            naive_step(query, estimates, atoms, threshold, 0.5, subsets)
        return 1e6 * (time.perf_counter() - start) / (steps * batch)

    def fast(factorizer: factorizers.BlockCode) -> float:
        start = time.perf_counter()
        answer = factorizer(asked)
        return 1e6 * (time.perf_counter() - start) / float(answer.iterations.sum())

    batch = min((1, 2, 4, 8, 16, 32), key=naive)
    fast(ours)
    ratios: dict[str, list[float]] = {"ours": [], "published": []}
    for _ in range(REPEATS):
        slow = naive(batch)
        best["naive"].append(slow)
        for name, factorizer in (("ours", ours), ("published", same)):
            if factorizer is not None:
                best[name].append(fast(factorizer))
                ratios[name].append(slow / best[name][-1])
    result: dict[str, Any] = {"naive_batch": batch}
    for name, values in best.items():
        if values:
            result[f"{name}_us_per_row_iteration"] = round(statistics.median(values), 2)
    result |= {f"naive_over_{name}": round(statistics.median(v), 1) for name, v in ratios.items() if v}
    return result


def memory_child() -> None:
    """Growth of the resident peak over one call, in MB."""
    torch.set_num_threads(1)
    books = make_books(512, 4, 3, 1024, 1)
    factorizer = factorizers.BlockCode(books, budget=20)
    queries, _ = make_queries(factorizer, 512, 1)
    factorizer(queries[:1])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    factorizer(queries)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def markdown(result: dict[str, Any]) -> str:
    """The table that people read."""
    lines = [
        f"# Block-code factorizer ({result['machine']}, torch {result['torch']}, one thread)",
        "",
        "`python benchmarks/block_code.py`. Times in microseconds per row-iteration, medians of five in one run; right "
        "and valid in queries, all factors; seeds of codebooks and queries from 100 on.",
        "",
        f"Memory of one call, F 3, N 1024, 512 queries: +{result['memory_mb']:.0f} MB.",
        "",
        "| D, K, F, N | method | naive us | us | ratio | iterations | ms per query | right | valid (95 %) | ceiling |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for cell in result["cells"]:
        for name in ("published", "ours"):
            if name not in cell:
                continue
            part, times = cell[name], cell["times"]
            low, high = part["valid_95"]
            lines.append(
                f"| {', '.join(map(str, cell['size']))} | {name} | {times['naive_us_per_row_iteration']:.0f} | "
                f"{times[f'{name}_us_per_row_iteration']:.1f} | {times[f'naive_over_{name}']:.0f} | "
                f"{part['iterations_mean']:.1f} +- {part['iterations_se']:.1f} | {part['ms_per_query']:.3f} | "
                f"{part['right']} of {part['queries']} | {part['valid']} of {part['queries']} ({low:.4f}-{high:.4f}) | "
                f"{cell['ceiling']:.4f} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="block-code factorizer, fast and naive")
    parser.add_argument("--queries", type=int, default=1280, help="per size and method")
    parser.add_argument("--books", type=int, default=10, help="codebook draws")
    parser.add_argument("--only", help="D,K,F,N of one size")
    parser.add_argument("--out", default="benchmarks/results/block_code_1thread.json")
    parser.add_argument("--memory-child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.memory_child:
        memory_child()
        return
    child = [sys.executable, __file__, "--memory-child"]
    memory = float(subprocess.run(child, capture_output=True, text=True, check=True).stdout)
    result: dict[str, Any] = {
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "memory_mb": memory,
        "cells": [],
    }
    sizes = [tuple(map(int, given.only.split(",")))] if given.only else SIZES
    for size in sizes:
        dim, blocks, factors, count = size
        false = count**factors / (dim // blocks) ** blocks
        cell: dict[str, Any] = {"size": size, "combinations": count**factors, "lambda": false}
        cell["ceiling"] = -math.expm1(-false) / false
        cell["times"] = row_iterations(size, 1024)
        if size in PUBLISHED:
            cell["published"] = answers(size, True, given.books, given.queries)
        cell["ours"] = answers(size, False, given.books, given.queries)
        result["cells"].append(cell)
        print(json.dumps(cell), flush=True)
        out = Path(given.out)
        out.write_text(json.dumps(result, indent=1) + "\n")
        out.with_suffix(".md").write_text(markdown(result))


if __name__ == "__main__":
    main()

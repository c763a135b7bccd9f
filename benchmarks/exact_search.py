"""Exhaustive search, group search and the join: time per query on one core, beside the int8 products they consist of.

    python benchmarks/exact_search.py [--queries 64] [--repeats 3] [--flips 0.0 0.2]

``floor`` is the time of the int8 matrix products of one search to the end, through the same library in the same run;
what leaves early is compared with the share of them that it made. Times are medians over runs. Queries come in one
batch; ``single`` are the same queries one call at a time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

import factorizers
import vsa


def seconds(run: Callable[[], object], repeats: int) -> float:
    """Median over runs, after one that warms up."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def floor(dim: int, size: int, products: int, repeats: int) -> float:
    """Seconds of the int8 products of so many vectors with a codebook."""
    signs = torch.ones(2048, dim, dtype=torch.int8)
    stored = vsa.Codebook.random(vsa.get("map", dim=dim), size, seed=0).stored
    return seconds(lambda: [stored.matvec(signs) for _ in range(10)], repeats) / 10 * products / len(signs)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--flips", type=float, nargs="+", default=[0.0, 0.2])
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("D, N (F = 3), flips, method: right, ms per query in a batch, single, share of exhaustive, time over floor")
    for dim, size in ((256, 100), (256, 256), (512, 256)):
        algebra = vsa.get("map", dim=dim)
        books = [vsa.Codebook.random(algebra, size, seed=factor) for factor in range(3)]
        for flips in given.flips:
            made = {
                "exhaustive, to the end": factorizers.Exhaustive(books, early_exit=False),
                "exhaustive": factorizers.Exhaustive(books),
                "group_search": factorizers.GroupSearch(books, noise=flips),
            }
            if not flips:
                made["join"] = factorizers.Join(books)
            generator = torch.Generator().manual_seed(1)
            indices = torch.randint(size, (given.queries, 3), generator=generator)
            queries = factorizers.damage.flip_bits(
                algebra, made["exhaustive"].problem.product(indices), flips, generator
            )
            base = floor(dim, size, size * size, given.repeats)
            for name, search in made.items():
                answer = search(queries)
                right = int((answer.indices == indices).all(-1).sum())
                batch = seconds(lambda s=search, q=queries: s(q), given.repeats) / len(queries)  # type: ignore[misc]
                few = queries[:16]
                single = seconds(lambda s=search, q=few: [s(x) for x in q], 1) / len(few)  # type: ignore[misc]
                share = answer.exhaustive_share
                print(
                    f"{dim}, {size}, {flips}, {name}: {right}/{len(queries)}, {batch * 1e3:.3f}, {single * 1e3:.3f}, "
                    f"{share:.3g}, {batch / (base * share):.2f}"
                )


if __name__ == "__main__":
    main()

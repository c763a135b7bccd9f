"""The resonator beside the alternatives that Kent et al. compare it with: accuracy against the size of the codebooks.

    python benchmarks/kent/run.py [--sizes 6 10 16 22 32] [--queries 200] [--out benchmarks/results/kent2020]

D = 256, three factors, 300 iterations, five draws of codebooks. Expected from the paper: the resonator's capacity is at
least an order of magnitude above that of every alternative.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from methods import METHODS, Alternative

import factorizers
import vsa

DRAWS, DIM, FACTORS, BUDGET = 5, 256, 3, 300


def accuracy(method: str, size: int, queries: int) -> float:
    """Share of queries with all factors right."""
    algebra, right = vsa.get("map", dim=DIM), 0
    for draw in range(DRAWS):
        books = [vsa.Codebook.random(algebra, size, seed=vsa.child_seed(2020, draw, f)) for f in range(FACTORS)]
        if method == "resonator":
            made: factorizers.Factorizer = factorizers.Resonator(books, budget=BUDGET)
        else:
            made = Alternative(books, method=method, budget=BUDGET)
        generator = torch.Generator().manual_seed(vsa.child_seed(2020, draw, "queries"))
        indices = torch.randint(size, (queries // DRAWS, FACTORS), generator=generator)
        right += int((made(made.problem.product(indices)).indices == indices).all(-1).sum())
    return right / (queries // DRAWS * DRAWS)


def main() -> None:
    """Measure every method at every size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[6, 10, 16, 22, 32])
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--out", type=Path, help="a path without ending; .json and .md are written")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = {}
    for method in ("resonator", *METHODS):
        table[method] = {size: accuracy(method, size, arguments.queries) for size in arguments.sizes}
        print(json.dumps({method: table[method]}), flush=True)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        about = {"queries": arguments.queries, "dim": DIM, "factors": FACTORS, "budget": BUDGET, "right": table}
        arguments.out.with_suffix(".json").write_text(json.dumps(about, indent=1) + "\n")
        heads = " | ".join(f"N {size}" for size in arguments.sizes)
        lines = [f"| method | {heads} |", "|" + "---|" * (len(arguments.sizes) + 1)]
        lines += [f"| {name} | {' | '.join(f'{v:.2f}' for v in row.values())} |" for name, row in table.items()]
        command = f"python benchmarks/kent/run.py --queries {arguments.queries}"
        title = f"# The resonator beside other optimisers\n\n- command: {command}\n- D {DIM}, F {FACTORS}"
        arguments.out.with_suffix(".md").write_text(f"{title}\n\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

"""The factorizers beside their peers' figures: accuracy on fresh codebooks, iterations, time, and brute force.

    python benchmarks/factorization.py [--part dense noise ...] [--queries 1000]
        [--out benchmarks/results/factorization_cpu]

Every row draws its own codebooks (ten draws a row) and queries. A query counts as right when all its factors are
right; intervals are Wilson's at 95 %. Times are wall-clock times of one thread; ``floor`` is the time of the int8
products that one iteration of one row cannot do without. Peers' figures were measured on another machine of the same
size with their authors' code, or are published: see benchmarks/reference.yaml.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import torch

import factorizers
import vsa
from factorizers import theory

DRAWS = 10


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        part: the group it belongs to.
        method: registered name, or ``"name published"``.
        dim: D.
        sizes: N of each factor.
        peer: what is known of others, in words.
        flips: share of the query's bits that are flipped.
        blocks: K; None for bipolar vectors.
        share: of ``--queries`` that the row takes.
        options: of the method.
    """

    part: str
    method: str
    dim: int
    sizes: tuple[int, ...]
    peer: str = ""
    flips: float = 0.0
    blocks: int | None = None
    share: float = 1.0
    options: tuple[tuple[str, object], ...] = ()


DENSE = "IBM's code {} right, {} iterations, {} ms per query"
ROWS = [
    Row("dense", "in_memory", 256, (46,) * 3, "IBM's code .27 right"),
    Row("dense", "in_memory", 256, (100,) * 3, "IBM's code .88 right"),
    Row("dense", "in_memory", 256, (256,) * 3, DENSE.format(".992-1.000", "about 3,000", "135-189")),
    Row("dense", "in_memory", 512, (256,) * 3, DENSE.format("1.000", "1,293", "89")),
    Row("dense", "in_memory", 512, (40,) * 4),
    Row("dense", "in_memory published", 256, (256,) * 3, "two chips 99.71 %, 3,312 iterations", share=0.128),
    Row("baseline", "resonator", 256, (22,) * 3, ".94 right", options=(("budget", 1000),)),
    Row("baseline", "resonator", 256, (32,) * 3, ".81 right", options=(("budget", 1000),)),
    Row("baseline", "resonator", 256, (46,) * 3, ".36 right", options=(("budget", 1000),)),
    Row("baseline", "resonator", 256, (256,) * 3, "0 right", share=0.1, options=(("budget", 1000),)),
    Row("asymmetric", "asymmetric", 1000, (1000,) * 2, "1 right, 24 iterations", share=0.5),
    Row("asymmetric", "asymmetric", 1000, (10000,) * 2, "1 right, 192 iterations", share=0.064),
    Row("asymmetric", "in_memory", 1000, (1000,) * 2, share=0.5),
    Row("blocks", "block_code", 512, (105,) * 2, blocks=4),
    Row("blocks", "block_code", 512, (1155,) * 2, "17 iterations, 5.6 ms per row-iteration", blocks=4),
    Row("blocks", "block_code", 512, (3014,) * 2, "61 iterations, 18 ms per row-iteration", blocks=4),
    Row("blocks", "block_code", 512, (94,) * 3, "78 iterations, .24 ms per row-iteration", blocks=4),
    Row("blocks", "block_code", 512, (209,) * 3, "228 iterations, .61 ms per row-iteration", blocks=4),
    Row("blocks", "block_code", 512, (348,) * 2, blocks=8),
    Row("blocks", "block_code", 512, (94,) * 3, blocks=8),
    Row("noise", "in_memory", 256, (256,) * 3, "", flips=0.05, share=0.256),
    Row("noise", "in_memory", 256, (256,) * 3, "", flips=0.10, share=0.256),
    Row("noise", "in_memory", 256, (256,) * 3, "", flips=0.20, share=0.064),
    Row(
        "noise",
        "group_search",
        256,
        (256,) * 3,
        "",
        flips=0.20,
        share=0.064,
        options=(("noise", 0.2),),
    ),
    # Full slots, cut short: the time of a row-iteration beside its int8 products. Then noise with a larger budget.
    Row(
        "loop",
        "in_memory",
        256,
        (256,) * 3,
        "",
        share=5.12,
        options=(("budget", 400),),
    ),
    Row("loop", "in_memory", 512, (256,) * 3, "", share=5.12, options=(("budget", 400),)),
    Row("loop", "in_memory", 256, (256,) * 3, "", flips=0.10, share=0.256, options=(("budget", 65536),)),
    Row("exact", "exhaustive", 256, (100,) * 3, "", share=0.256),
    Row("exact", "exhaustive", 256, (256,) * 3, "", share=0.256),
    Row("exact", "exhaustive", 512, (256,) * 3, "", share=0.256),
    Row("exact", "group_search", 256, (256,) * 3, "2.7-6x faster than brute force", share=0.256),
    Row("exact", "join", 256, (256,) * 3, share=0.256),
    Row("exact", "join", 512, (209,) * 3, blocks=4, share=0.256),
]


def make(row: Row, books: list[vsa.Codebook]) -> factorizers.Factorizer:
    """The factorizer of a row."""
    if row.method == "in_memory published":
        return factorizers.InMemory.published(books)
    return factorizers.get(row.method, books, **dict(row.options))


def measure(row: Row, queries: int) -> dict[str, object]:
    """Right and certified answers of a row, over fresh codebooks, and what they cost."""
    name, options = ("gsbc", {"blocks": row.blocks}) if row.blocks else ("map", {})
    algebra = vsa.get(name, dim=row.dim, **options)
    per_draw = max(1, round(queries * row.share / DRAWS))
    right = valid = total = 0
    iterations: list[torch.Tensor] = []
    seconds, shares, false = 0.0, [], 0.0
    for draw in range(DRAWS):
        books = [
            vsa.Codebook.random(algebra, size, seed=vsa.child_seed(1000, row.part, draw, factor))
            for factor, size in enumerate(row.sizes)
        ]
        made = make(row, books)
        generator = torch.Generator().manual_seed(vsa.child_seed(1000, row.part, draw, "queries"))
        indices = torch.stack([torch.randint(n, (per_draw,), generator=generator) for n in row.sizes], -1)
        query = made.problem.product(indices)
        if row.flips:
            flipped = torch.rand(query.shape, generator=generator) < row.flips
            query = torch.where(flipped, -query, query)
        began = time.perf_counter()
        answer = made(query, generator=generator)
        seconds += time.perf_counter() - began
        right += int((answer.indices == indices).all(-1).sum())
        valid += int(answer.valid.sum())
        total += per_draw
        iterations.append(answer.iterations.double())
        shares.append(answer.exhaustive_share)
        false = float(answer.false_expected.max())
    spent = torch.cat(iterations)
    low, high = theory.wilson(right, total)
    ceiling = theory.ceiling(false) if row.blocks else None
    return {
        "part": row.part,
        "method": row.method,
        "dim": row.dim,
        "blocks": row.blocks,
        "N": f"{row.sizes[0]}^{len(row.sizes)}",
        "flips": row.flips,
        "queries": total,
        "right": right,
        "valid": valid,
        "right_interval": [round(low, 4), round(high, 4)],
        "ceiling": None if ceiling is None else round(ceiling, 4),
        "iterations_mean": round(float(spent.mean()), 1),
        "iterations_median": float(spent.median()),
        "ms_per_query": round(seconds / total * 1e3, 3),
        "us_per_row_iteration": round(seconds / float(spent.sum()) * 1e6, 2),
        "floor_us": floor(row),
        "exhaustive_share": round(statistics.mean(shares), 3),
        "peer": row.peer,
    }


def floor(row: Row) -> float | None:
    """Microseconds of the int8 products of one iteration of one row, of 512 rows at once."""
    if row.blocks or row.part == "exact":
        return None
    rows, generator = 512, torch.Generator().manual_seed(0)
    state = torch.randint(2, (rows, row.dim), generator=generator, dtype=torch.int8) * 2 - 1
    calls: list[Callable[[], torch.Tensor]] = []
    for size in row.sizes:
        atoms = torch.randint(2, (size, row.dim), generator=generator, dtype=torch.int8) * 2 - 1
        weights = torch.randint(100, (rows, size), generator=generator, dtype=torch.int8)
        calls += [
            lambda atoms=atoms: torch._int_mm(state, atoms.t()),
            lambda weights=weights, atoms=atoms: torch._int_mm(weights, atoms),
        ]
    times = []
    for _ in range(9):
        began = time.perf_counter()
        for call in calls:
            call()
        times.append(time.perf_counter() - began)
    return round(statistics.median(times) / rows * 1e6, 2)


def table(rows: list[dict[str, object]]) -> str:
    """Markdown."""
    head = ["method", "D", "K", "N", "flips", "right", "95 %", "certified", "ceiling", "iterations", "ms/query",
            "us/row-iteration", "int8 floor", "share of exhaustive", "peer"]  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        low, high = row["right_interval"]  # type: ignore[misc]
        cells = [
            row["method"], row["dim"], row["blocks"] or "", row["N"], row["flips"] or "",
            f"{row['right']}/{row['queries']}", f"{low:.3f}-{high:.3f}", row["valid"], row["ceiling"] or "",
            row["iterations_mean"], row["ms_per_query"], row["us_per_row_iteration"], row["floor_us"] or "",
            row["exhaustive_share"], row["peer"],
        ]  # fmt: skip
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure the rows asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = list(dict.fromkeys(row.part for row in ROWS))
    parser.add_argument("--part", nargs="*", choices=parts, default=parts)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--out", type=Path, help="a path without ending; .json and .md are written")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, object]] = []
    for row in ROWS:
        if row.part in arguments.part and row.method.split()[0] in factorizers.FACTORIZERS.names():
            rows.append(measure(row, arguments.queries))
            print(json.dumps(rows[-1]), flush=True)
    if arguments.out:
        asked = f"--part {' '.join(arguments.part)} --queries {arguments.queries}"
        about = {
            "command": f"python benchmarks/factorization.py {asked}",
            "date": str(date.today()),
            "machine": platform.machine(),
            "torch": torch.__version__,
            "threads": 1,
            "capability": torch.backends.cpu.get_cpu_capability(),
        }
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.with_suffix(".json").write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")
        text = "\n".join(f"- {key}: {value}" for key, value in about.items())
        arguments.out.with_suffix(".md").write_text(f"# Factorizers beside their peers\n\n{text}\n\n{table(rows)}\n")


if __name__ == "__main__":
    main()

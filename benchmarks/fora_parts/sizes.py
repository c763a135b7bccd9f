"""How far it goes: columns, range, confounders; and how many dimensions that needs."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import vsa
from fora_parts.common import (
    CENTER,
    SETS,
    TWO,
    block_codes,
    count,
    fora,
    known_page,
    puzzles,
    seven,
    stressed,
    symbolic,
    wide,
)

# (columns, range, confounders, length of the block, p_left)
_CELLS = [
    *((columns, 1000, 0, length, 1.0) for columns in (5, 10, 30, 100) for length in (1024, 16384)),
    *((columns, 1000, 0, 16384, 0.51) for columns in (5, 10, 30, 100)),
    (30, 1000, 0, 32768, 0.51),
    (100, 1000, 0, 131072, 0.51),
    *((10, maxval, 0, 16384, 1.0) for maxval in (30, 100, 300, 3000, 10000)),
    *((10, maxval, 0, 16384, 0.51) for maxval in (30, 100, 300, 3000, 10000)),
    (10, 10000, 0, 131072, 0.51),
    *((10, 100, confounders, 1024, p_left) for p_left in (1.0, 0.51) for confounders in (10, 30, 100, 300)),
    *((10, 1000, confounders, 16384, 1.0) for confounders in (10, 300)),
]
_SECONDS = 20  # what one cell may take


def scale(n: int, seeds: int) -> Iterator[dict[str, Any]]:
    """I-RAVEN-X up to 100 columns, range 10,000 and 300 confounders, each in a process of its own.

    One block of so many positions. As many puzzles as 20 seconds of one core solve, at most ``n``. About 10 minutes of
    one core.
    """
    del seeds
    script = Path(__file__).resolve().parents[1] / "fora.py"
    for cell in _CELLS:
        command = [sys.executable, str(script), "scale", "--cell", json.dumps(cell), "--puzzles", str(n)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        named = dict(zip(("columns", "maxval", "confounders", "length", "p_left"), cell, strict=True))
        if done.returncode:
            yield {**named, "failed": done.stderr.strip().splitlines()[-1:]}
            continue
        yield {**named, **json.loads(done.stdout.splitlines()[-1])}


def scale_cell(cell: list[Any], n: int) -> dict[str, Any]:
    """One cell: answers right beside symbolic, CPU-seconds per 1,000 puzzles, memory above an idle process."""
    columns, maxval, confounders, length, p_left = cell
    page, oracle = known_page("ten"), stressed(p_left)
    solver = fora(page, oracle, algebra=block_codes(length), columns=columns)
    batch = 10 if confounders > 100 or columns > 30 else 50
    few = wide(batch, 1, columns, maxval, confounders)
    count(fora(page, algebra=block_codes(1024), columns=5), wide(2, 1, 5, 100), rules=False)  # loads what is used first
    idle, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    count(solver, few, batch_size=batch, rules=False)
    each = (time.process_time() - start) / batch
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - idle
    size = int(max(batch, min(n, _SECONDS / each)))
    arrays = wide(size, columns=columns, maxval=maxval, confounders=confounders)
    found = count(solver, arrays, batch_size=batch, rules=False)
    beside = count(symbolic(oracle), arrays, batch_size=batch, rules=False)
    return {
        "puzzles": size,
        "fora": found.percent,
        "symbolic": beside.percent,
        "cpu_seconds_per_1000": round(1000 * found.cpu_seconds / size, 2),
        "cpu_seconds_per_1000_symbolic": round(1000 * beside.cpu_seconds / size, 2),
        "memory_above_idle_mb": round(memory / 1024),
    }


def dims(n: int, seeds: int) -> Iterator[dict[str, Any]]:
    """Accuracy against D, certain and stressed, and with codebooks drawn anew.

    The average of the seven and center at p_left .7 (values up to 10); rows of ten at range 100, certain and at .51.
    About 10 minutes of one core at 100 puzzles.
    """
    made: list[tuple[str, str, dict[str, Any], int]] = []
    for size in (128, 256, 512, 1024, 2048, 4096):
        made += [(f"gsbc, {blocks} blocks", "gsbc", {"dim": size, "blocks": blocks}, size) for blocks in (1, 4, 16)]
        made += [(name, name, {"dim": size}, size) for name in ("fhrr", "hrr")]
    for label, name, options, size in made:
        algebra = vsa.get(name, **options)
        row: dict[str, Any] = {"algebra": label, "dim": size, "length": options["dim"] // options.get("blocks", 1)}
        row["seven"] = seven(fora(known_page("2x2"), algebra=algebra), n)["average"]
        center = fora(known_page("2x2"), stressed(0.7), algebra=algebra)
        row["center_at_.7"] = count(center, puzzles(CENTER, n), rules=False).percent
        for p_left in (1.0, 0.51):
            solver = fora(known_page("ten"), stressed(p_left), algebra=algebra, columns=10)
            row[f"ten_at_{p_left}"] = count(solver, wide(n, maxval=100), rules=False, batch_size=50).percent
        yield row
    exact = {"algebra": "symbolic", "dim": 0, "length": 0, "seven": seven(symbolic(), n)["average"]}
    exact["center_at_.7"] = count(symbolic(stressed(0.7)), puzzles(CENTER, n), rules=False).percent
    for p_left in (1.0, 0.51):
        exact[f"ten_at_{p_left}"] = count(symbolic(stressed(p_left)), wide(n, maxval=100), rules=False).percent
    yield exact
    yield from _redrawn(n, seeds)


def _redrawn(n: int, seeds: int) -> Iterator[dict[str, Any]]:
    """The same page with atoms of other seeds: how many answers change."""
    algebras = {
        "gsbc, 4 blocks": vsa.get("gsbc", dim=1024, blocks=4),
        "fhrr": vsa.get("fhrr", dim=1024),
        "hrr": vsa.get("hrr", dim=1024),
    }
    for label, algebra in algebras.items():
        for p_left in (1.0, 0.7):
            answers, right = [], []
            for seed in range(max(seeds, 3)):
                solver = fora(known_page("2x2"), stressed(p_left), algebra=algebra, seed=seed)
                parts = [
                    count(solver, puzzles(one, n), rules=False) for one in SETS if p_left == 1 or one in (CENTER, TWO)
                ]
                answers.append(torch.cat([part.answers for part in parts]))
                right.append(100 * float(torch.cat([part.right for part in parts]).double().mean()))
            changed = max(int((one != answers[0]).sum()) for one in answers[1:])
            yield {
                "redrawn": label,
                "dim": 1024,
                "p_left": p_left,
                "seeds": len(answers),
                "puzzles": len(answers[0]),
                "lowest": round(min(right), 3),
                "highest": round(max(right), 3),
                "answers_changed": changed,
            }

"""Calibrated uncertainty: accuracy beside exact inference, and whether confidence means what it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fora_parts.common import (
    SETS,
    SHORT,
    WIDE,
    block_codes,
    calibration,
    count,
    fora,
    known_page,
    puzzles,
    stressed,
    symbolic,
    wide,
)

_ROWS, _GRIDS = (1.0, 0.8, 0.51, 0.35, 0.2), (0.9, 0.7, 0.51)


def stress(n: int, seeds: int) -> Iterator[dict[str, Any]]:
    """Rows of ten at range 1000, and the seven constellations, beside symbolic on the same puzzles.

    Pages learned from certain puzzles: from 300 rows of ten at range 100, from 200 puzzles of 2x2. About 9 minutes of
    one core at 500 puzzles; 3x3 has a third of them.
    """
    del seeds
    for p_left in _ROWS:
        arrays = wide(n)
        solver = fora(known_page("ten"), stressed(p_left), algebra=block_codes(WIDE), columns=10)
        yield _row("rows of ten", p_left, solver, symbolic(stressed(p_left)), arrays)
    for one in sorted(SETS, key=lambda name: name == "distribute_nine"):
        for p_left in _GRIDS:
            arrays = puzzles(one, max(1, n // 3) if SHORT[one] == "3x3" else n)
            yield _row(
                SHORT[one], p_left, fora(known_page("2x2"), stressed(p_left)), symbolic(stressed(p_left)), arrays
            )


def _row(name: str, p_left: float, ours: Any, exact: Any, arrays: Any) -> dict[str, Any]:
    found, beside = count(ours, arrays), count(exact, arrays)
    return {
        "set": name,
        "p_left": p_left,
        "puzzles": len(arrays),
        "fora": found.percent,
        "symbolic": beside.percent,
        "below": round(beside.percent - found.percent, 2),
        "rules_named": found.named,
        "rules_named_symbolic": beside.named,
        "cpu_seconds_per_1000": round(1000 * found.cpu_seconds / len(arrays), 2),
        "cpu_seconds_per_1000_symbolic": round(1000 * beside.cpu_seconds / len(arrays), 2),
        **calibration(found),
        "by_symbolic": calibration(beside),
    }

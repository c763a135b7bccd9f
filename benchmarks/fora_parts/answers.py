"""Answers and rules: the seven constellations, and rows of ten learned from scratch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from fora_parts.common import (
    SETS,
    SHORT,
    TRAIN,
    TWO,
    Page,
    block_codes,
    count,
    fitted,
    fora,
    formulas_of,
    puzzles,
    symbolic,
    taught,
    wide,
)

_TWO, _EACH = 200, 30  # training puzzles: of 2x2 alone; of each constellation, jointly
_EPOCHS = 8  # as conf/experiment/fora_gradient.yaml


def answers(n: int, seeds: int) -> Iterator[dict[str, Any]]:
    """I-RAVEN and RAVEN, learned on 2x2 alone and jointly, by enumeration and by gradient, beside symbolic.

    Every run has training puzzles, atoms, initial weights and an order of its own. About 8 minutes of one core at 500
    puzzles and 10 seeds.
    """
    for name in ("iraven", "raven"):
        found = {one: count(symbolic(), puzzles(one, n, name=name)) for one in SETS}
        yield _row(found, data_set=name, learner="symbolic", trained="-", seed=0)
    for trained in ("2x2", "joint"):
        for learning in ("enumeration", "gradient"):
            for seed in range(seeds):
                parts = [(TWO, _TWO)] if trained == "2x2" else [(one, _EACH) for one in SETS]
                sets = [puzzles(one, size, TRAIN + seed) for one, size in parts]
                start = time.process_time()
                page: Page
                if learning == "gradient":
                    page = fitted(sets, seed, _EPOCHS, "model.learning=gradient")
                else:
                    page = taught(sets)
                seconds = round(time.process_time() - start, 1)
                for name in ("iraven", "raven"):
                    solver = fora(page, seed=seed)
                    found = {one: count(solver, puzzles(one, n, name=name)) for one in SETS}
                    yield _row(
                        found,
                        data_set=name,
                        learner=f"fora, {learning}",
                        trained=trained,
                        seed=seed,
                        learning_cpu_seconds=seconds,
                        formulas=len(formulas_of(page)),
                    )


def _row(found: dict[str, Any], **about: Any) -> dict[str, Any]:
    right = {SHORT[one]: part.percent for one, part in found.items()}
    rules = [part.metrics.rule for part in found.values()]
    return {
        **about,
        **right,
        "average": round(sum(right.values()) / len(right), 3),
        "rules_named": round(100 * sum(rule.named for rule in rules) / sum(rule.total for rule in rules), 3),
        "cpu_seconds_per_1000": round(
            1000 * sum(part.cpu_seconds for part in found.values()) / sum(len(part.right) for part in found.values()), 3
        ),
    }


def ten(n: int, seeds: int) -> Iterator[dict[str, Any]]:
    """Rows of ten from scratch: 100, 300, 600 puzzles at range 50 and 100, tested at 100 and 1000.

    About 6 minutes of one core at 500 puzzles and 5 seeds.
    """
    for maxval in (50, 100):
        for size in (100, 300, 600):
            for seed in range(seeds):
                start = time.process_time()
                page = taught([wide(size, TRAIN + seed, maxval=maxval)], fora(algebra=block_codes(1024), columns=10))
                row: dict[str, Any] = {
                    "trained_at": maxval,
                    "puzzles": size,
                    "seed": seed,
                    "learning_cpu_seconds": round(time.process_time() - start, 1),
                    "formulas": [str(one) for one in formulas_of(page)],
                }
                for tested in (100, 1000):
                    solver = fora(page, algebra=block_codes(1024), columns=10, seed=seed)
                    found = count(solver, wide(n, maxval=tested))
                    row |= {f"at_{tested}": found.percent, f"named_{tested}": found.named}
                yield row

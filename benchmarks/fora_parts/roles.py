"""Panels named by their role for the panel predicted (FORA), and by their place (ARLC), from the same puzzles."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from fora_parts.common import SETS, TRAIN, TWO, Page, fitted, fora, formulas_of, puzzles, seven, taught
from reasoning.learners.role_formulas.formula import enumerate_formulas
from reasoning.learners.role_formulas.roles import ROLE_SETS

_SIZES = (20, 50, 100, 300, 1000)
_EPOCHS = 8  # as conf/experiment/fora_gradient.yaml


def roles(n: int, seeds: int) -> Iterator[dict[str, Any]]:
    """Both, as programmed, and learned from 20 to 1,000 puzzles of 2x2 or of all constellations in equal parts.

    By enumeration of the formulas of up to two panels; from 300 puzzles of 2x2 by gradient, too, which may add up any
    number of panels. About 12 minutes of one core at 500 puzzles and one seed.
    """
    for name, kind in ROLE_SETS.items():
        about = {"roles": name, "learning": "programmed", "trained": "-", "puzzles": 0, "seed": 0}
        yield {**about, "formulas": len(kind.page), **seven(fora(kind.page, roles=name), n)}
    for trained in ("2x2", "joint"):
        for size in _SIZES:
            for name in ROLE_SETS:
                for seed in range(seeds):
                    start = time.process_time()
                    page = taught(_training(trained, size, seed), fora(roles=name, examples=max(_SIZES)))
                    about = {"roles": name, "learning": "enumeration", "trained": trained, "puzzles": size}
                    yield _row(about, name, seed, time.process_time() - start, page, n)
    for name in ROLE_SETS:
        for seed in range(seeds):
            start = time.process_time()
            page = fitted(
                [puzzles(TWO, 300, TRAIN + seed)], seed, _EPOCHS, "model.learning=gradient", f"model.roles={name}"
            )
            about = {"roles": name, "learning": "gradient", "trained": "2x2", "puzzles": 300}
            yield _row(about, name, seed, time.process_time() - start, page, n)


def _training(trained: str, size: int, seed: int) -> list[Any]:
    if trained == "2x2":
        return [puzzles(TWO, size, TRAIN + seed)]
    each = [size // len(SETS) + (place < size % len(SETS)) for place in range(len(SETS))]
    return [puzzles(one, count, TRAIN + seed) for one, count in zip(SETS, each, strict=True)]


def _row(about: dict[str, Any], name: str, seed: int, seconds: float, page: Page, n: int) -> dict[str, Any]:
    return {
        **about,
        "seed": seed,
        "candidates": len(enumerate_formulas(3, roles=name)),
        "learning_cpu_seconds": round(seconds, 1),
        "formulas": len(formulas_of(page, name)),
        "page": [str(one) for one in formulas_of(page, name)],
        **seven(fora(page, roles=name), n),
    }

"""From few puzzles, from other puzzles, from wrong answers: what a page learned elsewhere is worth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from datasets import holdout
from fora_parts.common import (
    CENTER,
    GRIDS,
    SETS,
    SHORT,
    TEST,
    TRAIN,
    TWO,
    batch_of,
    block_codes,
    count,
    fora,
    formulas_of,
    known_page,
    puzzles,
    seven,
    taught,
    wide,
)
from reasoning.scene import Scene

PAIRS = (
    *(f"Type/{rule}" for rule in ("Constant", "Progression", "Distribute_Three")),
    *(
        f"{name}/{rule}"
        for name in ("Size", "Color")
        for rule in ("Constant", "Progression", "Arithmetic", "Distribute_Three")
    ),
)
_SIZES = (20, 50, 100, 300)


def transfer(n: int, seeds: int) -> Iterator[dict[str, Any]]:
    """Other row lengths, other constellations, held-out pairs, few puzzles, wrong answers, and controls.

    About 6 minutes of one core at 500 puzzles and 3 seeds.
    """
    yield from _lengths(n, seeds)
    for seed in range(seeds):
        page = taught([puzzles(CENTER, 200, TRAIN + seed)])
        for one in GRIDS:
            found = count(fora(page), puzzles(one, n))
            yield _row("center -> grids", SHORT[one], seed, found, page)
    for pair in PAIRS:
        yield from _held_out(pair, n)
    for size in _SIZES:
        for seed in range(seeds):
            page = taught([puzzles(TWO, size, TRAIN + seed)])
            yield {"what": "few puzzles of 2x2", "case": str(size), "seed": seed, **_seven(page, n)}
    for share in (0.1, 0.5, 1.0):
        for seed in range(seeds):
            page = taught([puzzles(TWO, 200, TRAIN + seed)], wrong=share, seed=seed)
            case = f"{share:.0%} of the answers wrong"
            yield {"what": "wrong answers in training", "case": case, "seed": seed, **_seven(page, n)}
    for seed in range(seeds):
        page = _from_noise(seed)
        yield {"what": "panels of training from other puzzles", "case": "200 of 2x2", "seed": seed, **_seven(page, n)}
    yield {"what": "before learning", "case": "no formula", "seed": 0, **seven(fora(), n)}
    yield {"what": "page as programmed", "case": "9 formulas", "seed": 0, **seven(fora(_program()), n)}
    for one in SETS:
        yield {
            "what": "tested with the context of another puzzle",
            "case": SHORT[one],
            "seed": 0,
            "right": _misled(one, n),
        }


def _program() -> tuple[str, ...]:
    from reasoning.learners.fora import PAGE

    return PAGE


def _seven(page: Any, n: int) -> dict[str, Any]:
    return {**seven(fora(page), n), "formulas": len(formulas_of(page))}


def _row(what: str, case: str, seed: int, found: Any, page: Any) -> dict[str, Any]:
    formulas = len(formulas_of(page))
    return {
        "what": what,
        "case": case,
        "seed": seed,
        "right": found.percent,
        "named": found.named,
        "formulas": formulas,
    }


def _lengths(n: int, seeds: int) -> Iterator[dict[str, Any]]:
    for seed in range(seeds):
        for name, constellation in (("2x2", TWO), ("center", CENTER)):
            page = taught([puzzles(constellation, 200, TRAIN + seed)])
            for maxval in (100, 1000):
                found = count(fora(page, algebra=block_codes(1024), columns=10), wide(n, maxval=maxval))
                yield _row("n = 3 -> n = 10", f"{name} -> range {maxval}", seed, found, page)
        page = known_page("ten", seed)
        for one in SETS:
            yield _row("n = 10 -> n = 3", SHORT[one], seed, count(fora(page), puzzles(one, n)), page)


def _held_out(pair: str, n: int) -> Iterator[dict[str, Any]]:
    chosen = holdout.parse(pair)
    train = holdout.draw(chosen, 200, False, lambda size: puzzles(CENTER, size, TRAIN))
    test = holdout.draw(chosen, n, True, lambda size: puzzles(CENTER, size, TEST))
    page = taught([train])
    yield _row("pair held out of training", pair, 0, count(fora(page), test), page)


def _from_noise(seed: int) -> Any:
    """A page learned from puzzles whose every panel is that of another puzzle."""
    solver = fora()
    batch = batch_of(puzzles(TWO, 200, TRAIN + seed))
    scene = solver.scene(batch)

    def mixed(one: torch.Tensor) -> torch.Tensor:
        return torch.stack([one[:, panel].roll(7 * panel, 0) for panel in range(one.shape[1])], 1)

    parts = ({key: mixed(one) for key, one in part.items()} for part in (scene.pmfs, scene.sets, scene.entities))
    solver.learner.finish([(Scene(scene.columns, *parts, ranges=scene.ranges), batch.target)])
    state = solver.learner.state_dict()
    return {name: state[name].clone() for name in ("coefficients", "prior")}


def _misled(constellation: str, n: int) -> float:
    """Answers right (%) where context panels are those of another puzzle: chance is 12.5."""
    solver = fora(known_page("2x2"))
    batch = batch_of(puzzles(constellation, n))
    scene = solver.scene(batch)
    context = scene.context_panels

    def other(one: torch.Tensor) -> torch.Tensor:
        return torch.cat([one[:, :context].roll(1, 0), one[:, context:]], 1)

    parts = {
        name: {key: other(one) for key, one in getattr(scene, name).items()} for name in ("pmfs", "sets", "entities")
    }
    found = solver.predict(replace(scene, **parts))
    return round(100 * float((found.answers == batch.target).float().mean()), 2)

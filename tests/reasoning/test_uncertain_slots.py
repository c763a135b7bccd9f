"""Exact inference in grids: against the sum over all matrices one by one, and against its own confidence."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

import datasets
from datasets.arrays import GOVERNED, UNKNOWN
from datasets.loaders import PuzzleBatch
from datasets.rules.base import PUBLISHED, RULES
from reasoning.learners.grammar import grids
from reasoning.learners.grammar.evidence import limits_of
from reasoning.learners.grammar.governors import governors
from reasoning.learners.grammar.values import hypotheses
from reasoning.learners.symbolic import Symbolic
from reasoning.perception.oracle import Oracle
from reasoning.scene import AttributeKey, Scene

NOISE = 1e-3
SLOTS, SIZE = 2, 3
SETS = range(2**SLOTS)
PLACE = AttributeKey(0, "Position")
AXES = {"Type": 6, "Size": 7, "Color": 10}


# -- every matrix of two slots and three values ------------------------------------------------------------------


def tiny(doubt: float, names: tuple[str, ...], seed: int) -> Scene:
    """A scene of two slots and three values of each attribute; ``doubt``: how unsure the slots are."""
    rng = np.random.default_rng(seed)
    ranges = {"Type": (1, 3), "Size": (1, 3), "Color": (0, 2)}
    rows = [[3, 3, 3], [1, 1, 1], [3, 3]] if seed % 2 else [[1, 2, 3], [2, 1, 3], [1, 2]]
    state = np.array([[*itertools.chain(*rows), 3, 2, *rng.integers(1, 4, size=6)]])
    there = (state[..., None] >> np.arange(SLOTS)) & 1
    occupied = np.where(there, 1 - doubt * rng.random(there.shape), doubt * rng.random(there.shape))
    pmfs, entities = {}, {}
    for name in names:
        low = ranges[name][0]
        pmf = np.zeros((1, 16, SLOTS, AXES[name]))
        pmf[..., low : low + SIZE] = rng.dirichlet([0.5] * SIZE, size=(1, 16, SLOTS))
        entities[0, name] = torch.from_numpy(pmf)
        pmfs[0, name] = torch.zeros(1, 16, AXES[name], dtype=torch.float64)
    return Scene(3, pmfs, {PLACE: torch.from_numpy(occupied)}, entities, {(0, name): ranges[name] for name in names})


def rows_of(rule: str, parameter: int, low: int, high: int) -> list[tuple[tuple[int, ...], float]]:
    span = range(low, high + 1)
    if rule == "Constant":
        return [((v, v, v), 1 / SIZE) for v in span]
    if rule == "Progression":
        rows = [(v, v + parameter, v + 2 * parameter) for v in span]
        rows = [row for row in rows if all(v in span for v in row)]
        return [(row, 1 / len(rows)) for row in rows]
    found = [(a, b, a + parameter * b) for a, b in itertools.product(span, span) if a + parameter * b in span]
    firsts = {row[0] for row in found}
    return [(row, 1 / len(firsts) / sum(row[0] == other[0] for other in found)) for row in found]


def matrices_of(rule: str, parameter: int, low: int, high: int) -> list[tuple[tuple[int, ...], float]]:
    """All matrices under a rule, with their probabilities."""
    if rule == "Distribute_Three":
        triples = list(itertools.permutations(range(low, high + 1), 3))
        return [
            (tuple(np.array([np.roll(first, parameter * r) for r in range(3)]).ravel()), 1 / len(triples))
            for first in triples
        ]
    found = []
    for one, two, three in itertools.product(rows_of(rule, parameter, low, high), repeat=3):
        if rule == "Arithmetic" and low == 0 and one[0][1] == two[0][1] == 0:
            continue
        found.append(((*one[0], *two[0], *three[0]), one[1] * two[1] * three[1]))
    return found


def outer(tables: list[np.ndarray]) -> np.ndarray:
    """(X,) nine times -> (X, ..., X)."""
    result = np.ones(())
    for table in tables:
        result = result[..., None] * table
    return result


def attribute_sums(scene: Scene, name: str, candidate: int | None) -> dict[str, np.ndarray]:
    """By the sets of all nine panels: likelihood ratios, if entities are alike, or differ and are new or kept."""
    key = AttributeKey(0, name)
    low, high = scene.ranges[key]
    limits = limits_of(scene, key)
    pmf = SIZE * scene.entities[key][0, :, :, low : high + 1].numpy()
    panels = [*pmf[:8], np.ones((SLOTS, SIZE)) if candidate is None else pmf[8 + candidate]]
    members = [[s for s in range(SLOTS) if x >> s & 1] for x in SETS]
    shown = [np.array([panel[m].prod(0) for m in members]) for panel in panels]  # (X, W)
    wrong = np.ones((9, len(SETS)))
    if candidate is not None:
        wrong[8] = 0.5 + 0.5 * shown[8].mean(-1)
    by_chance = outer([*np.ones((8, len(SETS))), wrong[8]])
    result = {way: NOISE * by_chance for way in ("alike", "new", "kept+0")}
    for rule in hypotheses(name, limits, 3):
        weight = (1 - NOISE) * rule.prior
        keeps = RULES.get(rule.rule).keeps_values
        alike = weight * sum(
            chance * outer([shown[p][:, v - low] for p, v in enumerate(matrix)])
            for matrix, chance in matrices_of(rule.rule, rule.parameter, low, high)
        )
        result["alike"] = result["alike"] + alike
        result["new"] = result["new"] + (weight * np.ones_like(alike) if keeps else alike)
        result["kept+0"] = result["kept+0"] + (weight * kept(panels, members) if keeps else alike)
    return result


def kept(panels: list[np.ndarray], members: list[list[int]]) -> np.ndarray:
    """Entities that stay in their slots along a row; only where the row's sets are alike does this say anything."""
    rows = []
    for r in range(3):
        row = np.ones((len(SETS),) * 3)
        for x, there in enumerate(members):
            row[x, x, x] = math.prod((panels[3 * r] * panels[3 * r + 1] * panels[3 * r + 2])[s].mean() for s in there)
        rows.append(row)
    return np.einsum("abc,def,ghi->abcdefghi", *rows)


def drawn(governor) -> np.ndarray:
    """The probability of the sets of all nine panels."""
    size = [x.bit_count() for x in SETS]
    rule, parameter = governor.hypothesis.rule, governor.hypothesis.parameter
    if governor.hypothesis.code == UNKNOWN:
        return np.full((len(SETS),) * 9, 1 / len(SETS) ** 9)
    if GOVERNED[governor.governed] == "Number":
        chance = {n: 1 / math.comb(SLOTS, n) for n in range(1, SLOTS + 1)}
        counts = [(row, p) for row, p in number_rows(rule, parameter)]
        row = np.zeros((len(SETS),) * 3)
        for triple in itertools.product(SETS[1:], repeat=3):
            sizes = tuple(size[x] for x in triple)
            row[triple] = sum(p for numbers, p in counts if numbers == sizes) * math.prod(chance[n] for n in sizes)
    else:
        row = np.zeros((len(SETS),) * 3)
        low, high = RULES.get(rule).first_count(SLOTS, parameter)
        first = {x: 1 / (high - low + 1) / math.comb(SLOTS, size[x]) for x in SETS[1:] if low <= size[x] <= high}
        second = {x: 1 / (SLOTS - low) / math.comb(SLOTS, size[x]) for x in SETS[1:] if low <= size[x] < SLOTS}
        for a, p in first.items():
            if rule == "Constant":
                row[a, a, a] = p
                continue
            told = {b: q for b, q in second.items() if ((b & ~a) if parameter > 0 else (a & ~b)) != 0}
            for b, q in told.items():
                row[a, b, a | b if parameter > 0 else a & ~b] += p * q / sum(told.values())
    assert row.sum() == pytest.approx(1)
    return np.einsum("abc,def,ghi->abcdefghi", row, row, row)


def number_rows(rule: str, parameter: int) -> list[tuple[tuple[int, ...], float]]:
    assert rule == "Arithmetic"
    return {1: [((1, 1, 2), 1.0)], -1: [((2, 1, 1), 1.0)]}[parameter]


def one_by_one(scene: Scene, candidate: int | None) -> np.ndarray:
    """(G,): probability of what is seen of the context and a candidate, by what governs the slots."""
    occupied = scene.sets[PLACE][0].numpy()
    panels = [*occupied[:8], np.full(SLOTS, 0.5) if candidate is None else occupied[8 + candidate]]
    members = [[x >> s & 1 for s in range(SLOTS)] for x in SETS]
    seen = [
        np.array([math.prod(o if b else 1 - o for o, b in zip(p, m, strict=True)) for m in members]) for p in panels
    ]
    if candidate is None:
        seen[8] = np.ones(len(SETS))
    places = outer(seen)
    sums = [attribute_sums(scene, key.name, candidate) for key in scene.entities]
    alike = math.prod(one["alike"] for one in sums)
    result = []
    for governor in governors(SLOTS, NOISE):
        other = math.prod(one[governor.entities] for one in sums)
        of = governor.hypothesis.prior * drawn(governor) * places * (alike / 4 + 3 * other / 4)
        result.append(of.sum())
    return np.array(result)


def wrong_panel(scene: Scene, candidate: int) -> float:
    """Log probability of a candidate that is a wrong one: any set, attributes with one value or with several."""
    occupied = scene.sets[PLACE][0, 8 + candidate].numpy()
    total = 0.0
    for x in SETS:
        there = [s for s in range(SLOTS) if x >> s & 1]
        chance = math.prod(occupied[s] if s in there else 1 - occupied[s] for s in range(SLOTS)) / len(SETS)
        if not there:
            continue
        total += chance * math.prod(by_chance(scene, key, candidate, there) for key in scene.entities)
    return math.log(total)


def by_chance(scene: Scene, key: AttributeKey, candidate: int, there: list[int]) -> float:
    low, high = scene.ranges[key]
    pmf = SIZE * scene.entities[key][0, 8 + candidate, :, low : high + 1].numpy()
    return 0.5 + 0.5 * float(pmf[there].prod(0).mean())


@pytest.mark.parametrize("names", [("Type",), ("Size", "Color"), ("Type", "Size", "Color")])
@pytest.mark.parametrize("seed", [0, 1])
def test_grids_with_certain_slots_are_exact(names: tuple[str, ...], seed: int) -> None:
    """Context evidence, governors and candidates, of either way of computing them, to 1e-6."""
    scene = tiny(0.0, names, seed)
    context = one_by_one(scene, None)
    for parts in (grids._certain, grids._doubtful):
        grid = parts(scene, PLACE, NOISE, PUBLISHED)[0]
        assert float(grid.evidence) == pytest.approx(math.log(context.sum()), rel=1e-6)
        np.testing.assert_allclose(grid.posterior[0], context / context.sum(), atol=1e-6)
        assert scores_off(grid, scene) < 1e-6


def scores_off(grid: grids.Grid, scene: Scene) -> float:
    """How far the candidates' probabilities are from those of the sum over all matrices."""
    wanted = [math.log(one_by_one(scene, c).sum()) - wrong_panel(scene, c) for c in range(8)]
    found = torch.softmax(grid.scores[0], dim=0).numpy()
    return float(np.abs(found - np.exp(wanted) / np.exp(wanted).sum()).max())


@pytest.mark.parametrize("doubt", [0.1, 0.49])
def test_look(doubt: float) -> None:
    for names in (("Type",), ("Size",), ("Type", "Color"), ("Type", "Size", "Color")):
        for seed in range(4):
            scene = tiny(doubt, names, seed)
            context = one_by_one(scene, None)
            grid = grids._doubtful(scene, PLACE, NOISE, PUBLISHED)[0]
            naive = grids._certain(scene, PLACE, NOISE, PUBLISHED)[0]
            print(
                doubt,
                names,
                seed,
                *(
                    "%.4f" % x
                    for one in (grid, naive)
                    for x in (
                        abs(float(one.evidence) - math.log(context.sum())),
                        np.abs(one.posterior[0].numpy() - context / context.sum()).max(),
                        scores_off(one, scene),
                    )
                ),
            )

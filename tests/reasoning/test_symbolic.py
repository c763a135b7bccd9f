"""The symbolic reference: its sums against enumeration, its answers against the generator's, its fairness."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

import datasets
from datasets.arrays import POSITION
from datasets.loaders import PuzzleBatch
from datasets.rules.base import PUBLISHED, RULES
from reasoning.learners.grammar import entities, sets, values
from reasoning.learners.grammar.values import ValueRange, hypotheses, value_kernels
from reasoning.learners.symbolic import Symbolic
from reasoning.outcome.metrics import observe
from reasoning.perception.oracle import Oracle
from reasoning.scene import AttributeKey, Scene
from reasoning.solver import Solver
from vsa.errors import SettingsError

RAVEN = ValueRange(1, 5)
COLOR = ValueRange(0, 4, white=True)
SPLIT = ValueRange(0, 4, split=True)


def solver(**options):
    return Solver(Oracle(**options), Symbolic())


def batch(constellation, n, seed=3, name="iraven", **options):
    return PuzzleBatch.of(datasets.generate(name, constellation, n=n, seed=seed, **options))


# -- sums against enumeration ------------------------------------------------------------------------------------


def rows_of(rule, parameter, limits):
    """All rows of three magnitudes under a rule, with their probabilities; Distribute_Three: the first row."""
    low, high = limits.low, limits.high
    span = range(low, high + 1)
    if rule == "Constant":
        return [((v, v, v), 1 / limits.size) for v in span]
    if rule == "Progression":
        rows = [(v, v + parameter, v + 2 * parameter) for v in span]
        rows = [row for row in rows if all(v in span for v in row)]
        return [(row, 1 / len(rows)) for row in rows]
    found = []
    for a, b in itertools.product(span, span):
        c = a + parameter * b
        if c in span:
            found.append((a, b, c))
    if limits.split:
        total = (lambda row: row[2]) if parameter > 0 else (lambda row: row[0])
        return [(row, 1 / limits.size / (total(row) + 1)) for row in found]
    firsts = {a for a, _, _ in found}
    return [(row, 1 / len(firsts) / sum(a == row[0] for a, _, _ in found)) for row in found]


def enumerate_kernel(panels, rule, parameter, limits):
    """(W,): likelihood ratio of the context, by the value of the missing panel."""
    result = np.zeros(limits.size)

    def seen(p, v):
        return panels[p, v - limits.low]

    if rule == "Distribute_Three":
        triples = list(itertools.permutations(range(limits.low, limits.high + 1), 3))
        for first in triples:
            matrix = np.array([np.roll(first, parameter * r) for r in range(3)]).ravel()
            chance = math.prod(seen(p, matrix[p]) for p in range(8)) / len(triples)
            result[matrix[8] - limits.low] += chance
        return result
    rows = rows_of(rule, parameter, limits)
    for one, two, three in itertools.product(rows, rows, rows):
        if rule == "Arithmetic" and limits.white and one[0][1] == two[0][1] == 0:
            continue
        matrix = (*one[0], *two[0], *three[0])
        chance = one[1] * two[1] * three[1] * math.prod(seen(p, matrix[p]) for p in range(8))
        result[matrix[8] - limits.low] += chance
    return result


@pytest.mark.parametrize("limits", [RAVEN, COLOR, SPLIT], ids=["low1", "white", "split"])
def test_value_kernels_are_sums_over_all_matrices(limits):
    panels = torch.rand(2, 8, limits.size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    rules = hypotheses(None, limits, 3)
    kernels = value_kernels(panels, 3, limits, rules)
    assert {rule.rule for rule in rules} == set(PUBLISHED)
    assert sum(rule.prior for rule in rules) == pytest.approx(1)
    for number, rule in enumerate(rules):
        for b in range(2):
            wanted = enumerate_kernel(panels[b].numpy(), rule.rule, rule.parameter, limits)
            np.testing.assert_allclose(kernels[b, number], wanted, rtol=1e-9, err_msg=str(rule))


@pytest.mark.parametrize("sign", [1, -1])
def test_sums_by_transform_equal_sums_by_table(monkeypatch, sign):
    limits = ValueRange(0, 11, split=True)
    panels = torch.rand(3, 8, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    rules = tuple(rule for rule in hypotheses(None, limits, 3) if rule.rule == "Arithmetic" and rule.parameter == sign)
    table = value_kernels(panels, 3, limits, rules)
    monkeypatch.setattr(values, "DIRECT", 4)
    torch.testing.assert_close(value_kernels(panels, 3, limits, rules), table, rtol=1e-6, atol=1e-12)


def test_ten_columns_sum_to_the_probability_of_a_row():
    """With nothing seen, a rule's kernel is a distribution: every row and column has been summed once."""
    limits = ValueRange(0, 49, split=True)
    panels = torch.ones(1, 29, 50, dtype=torch.float64)
    rules = hypotheses(None, limits, 10)
    total = value_kernels(panels, 10, limits, rules).sum(-1)[0]
    for rule, mass in zip(rules, total, strict=True):
        # Distinct values: coincidences of ten values among fifty are taken as independent, which is not exact.
        assert float(mass) == pytest.approx(1, rel=0.3 if rule.rule == "Distribute_Three" else 1e-3), str(rule)


def enumerate_sets(context, candidates, rule, parameter, slots):
    """(C,): sum over all matrices of sets that the generator may draw, each with its probability."""
    low, high = RULES.get(rule).first_count(slots, parameter)
    every = list(range(1, 2**slots))
    size = {x: x.bit_count() for x in every}

    def moved(x, by):
        return sum(1 << (s + by) % slots for s in range(slots) if x >> s & 1)

    def seen(panel, x):
        return math.prod(panel[0 if x >> s & 1 else 1][s] for s in range(slots))

    chance = {x: 1 / (high - low + 1) / math.comb(slots, size[x]) for x in every if low <= size[x] <= high}
    panels = [(context[0][p], context[1][p]) for p in range(8)]
    finals = [(candidates[0][c], candidates[1][c]) for c in range(len(candidates[0]))]
    if rule == "Distribute_Three":
        result = np.zeros(len(finals))
        for triple in itertools.permutations(chance, 3):
            if len({size[x] for x in triple}) > 1:
                continue
            alike = math.comb(slots, size[triple[0]])
            weight = 1 / (high - low + 1) / (alike * (alike - 1) * (alike - 2))
            matrix = np.array([np.roll(triple, parameter * r) for r in range(3)]).ravel()
            weight *= math.prod(seen(panels[p], matrix[p]) for p in range(8))
            result += [weight * seen(final, matrix[8]) for final in finals]
        return result
    rows = []
    if rule == "Arithmetic":
        seconds = {x: 1 / (slots - low) / math.comb(slots, size[x]) for x in every if low <= size[x] < slots}
        for a in chance:
            told = {b: p for b, p in seconds.items() if ((b & ~a) if parameter > 0 else (a & ~b)) != 0}
            total = sum(told.values())
            rows += [((a, b, a | b if parameter > 0 else a & ~b), chance[a] * p / total) for b, p in told.items()]
    else:
        for a, p in chance.items():
            rows.append(((a, moved(a, parameter), moved(a, 2 * parameter)), p))
    whole = 1.0
    for r in range(2):
        whole *= sum(p * math.prod(seen(panels[3 * r + j], row[j]) for j in range(3)) for row, p in rows)
    last = [
        sum(p * seen(panels[6], row[0]) * seen(panels[7], row[1]) * seen(final, row[2]) for row, p in rows)
        for final in finals
    ]
    return whole * np.array(last)


@pytest.mark.parametrize(
    ("rule", "parameter"),
    [
        ("Constant", 0),
        ("Progression", 1),
        ("Progression", -1),
        ("Arithmetic", 1),
        ("Arithmetic", -1),
        ("Distribute_Three", 1),
        ("Distribute_Three", -1),
    ],
)
@pytest.mark.parametrize("slots", [4, 5])
def test_set_evidence_is_the_sum_over_all_sets(rule, parameter, slots):
    generator = torch.Generator().manual_seed(slots)
    context = tuple(torch.rand(1, 8, slots, dtype=torch.float64, generator=generator) for _ in range(2))
    candidates = tuple(torch.rand(1, 3, slots, dtype=torch.float64, generator=generator) for _ in range(2))
    found = sets.set_evidence(context, candidates, rule, parameter)[0]
    wanted = enumerate_sets(
        [part[0].tolist() for part in context], [part[0].tolist() for part in candidates], rule, parameter, slots
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_kept_and_permuted_entities_against_enumeration():
    """Two slots, three values, all occupied: matrices of entities drawn once per row."""
    generator = torch.Generator().manual_seed(4)
    slots, size = 2, 3
    pmfs = torch.rand(1, 9, slots, size, dtype=torch.float64, generator=generator)
    pmfs = pmfs / pmfs.sum(-1, keepdim=True)
    occupied = torch.ones(1, 9, slots)
    ratios = entities.slot_ratios(occupied, pmfs, 0, size - 1)
    p = pmfs[0].numpy() * size  # ratios against entities drawn at random
    kept, swapped = 1.0, 1.0
    for r in range(3):
        total = pairs = 0.0
        for row in itertools.product(range(size), repeat=slots):
            total += math.prod(p[3 * r + j, s, row[s]] for j in range(3) for s in range(slots)) / size**slots
        kept *= total
        # Neighbouring panels hold the same entities in an order drawn at random.
        for j in range(2):
            here, there = p[3 * r + j], p[3 * r + j + 1]
            pairs = sum(
                math.prod(float(here[s] @ there[order[s]]) / size for s in range(slots)) / math.factorial(slots)
                for order in itertools.permutations(range(slots))
            )
            swapped *= pairs
    assert float(entities.kept(ratios[:, :8], ratios[:, 8:], 0)) == pytest.approx(kept)
    assert float(entities.permuted(occupied, ratios, 1)) == pytest.approx(swapped)
    moved = torch.stack([ratios[:, j].roll(j % 3, 1) for j in range(9)], dim=1)
    assert float(entities.kept(moved[:, :8], moved[:, 8:], 1)) == pytest.approx(kept)


# -- answers and rules -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("constellation", list(datasets.CONSTELLATIONS))
def test_answers_and_rules_are_right(constellation):
    """300 puzzles; 99.95 % of the answers and 99.9 % of the rules were right on 2,000."""
    part = batch(constellation, 300)
    metrics = observe(part.arrays, solver().solve(part))
    assert metrics.answers.correct >= 298
    for slot, tally in metrics.by_slot().items():
        assert tally.consistent == tally.total, slot
        assert tally.named >= tally.total - 4, slot


@pytest.mark.parametrize(
    ("columns", "maxval", "confounders"), [(10, 1000, 0), (10, 100, 2), (3, 10, 0), (3, 1000, 0), (4, 30, 0)]
)
def test_i_raven_x(columns, maxval, confounders):
    part = batch("center", 40, name="iraven_x", columns=columns, maxval=maxval, confounders=confounders)
    found = solver().solve(part)
    assert observe(part.arrays, found).answers.correct == 40
    if confounders:
        names = [key.name.startswith("Confounder") for key in found.keys]
        assert bool((found.families[:, names] == -1).all())  # what no rule explains is told as such


def test_uncertain_puzzles_are_answered_as_well_as_exact_inference_can():
    """Under calibrated stress the arg max of a PMF is often wrong; the rules say which of its values is meant."""
    part = batch("center", 100, name="iraven_x", columns=10, maxval=1000)
    uncertain = solver(stress="calibrated", p_left=0.2, seed=1)
    found = uncertain.solve(part)
    hard = Symbolic(sharpen=True)(uncertain.scene(part))
    right = (found.answers == part.target).float().mean()
    assert right >= 0.95
    assert right > (hard.answers == part.target).float().mean() + 0.1


def test_what_it_expects_is_the_answer():
    part = batch("center", 60)
    model = solver()
    scene = model.scene(part)
    expected = model.learner.expected(scene)
    rows = torch.arange(60)
    for key, pmf in scene.pmfs.items():
        truth = pmf[rows, scene.context_panels + part.target]
        likely = (expected[key] * truth).sum(-1)
        assert (likely > 0.5).float().mean() > 0.97, key
        assert bool((expected[key].sum(-1) <= 1 + 1e-5).all())


@pytest.mark.parametrize("constellation", ["2x2", "out_in_grid"])
def test_expected_sets_and_numbers_of_grids(constellation):
    part = batch(constellation, 80)
    model = solver()
    scene = model.scene(part)
    expected, found = model.learner.expected(scene), model.learner(scene)
    place = next(iter(scene.sets))
    rows = torch.arange(80)
    truth = scene.sets[place][rows, scene.context_panels + part.target]
    by_position = found.governed[:, place.component] == POSITION
    assert by_position.any()
    wrong = (expected[place] - truth).abs().amax(-1)
    assert (wrong[by_position] < 0.5).float().mean() > 0.95
    number = expected[AttributeKey(place.component, "Number")]
    torch.testing.assert_close(number.sum(-1), torch.ones(80), atol=2e-3, rtol=0)
    count = truth.sum(-1).long()
    assert (number.argmax(-1) == count).float().mean() > 0.95
    for key in scene.entities:  # one value where the panel has one that the rules tell, and none where entities differ
        shown = scene.pmfs[key][rows, scene.context_panels + part.target]
        assert bool((expected[key].sum(-1) <= 1 + 1e-4).all())
        told = (found.families[:, scene.keys.index(key)] > 0) | (number[:, 1] > 0.9)
        mixed = shown.sum(-1) < 0.5
        assert ((expected[key] * shown).sum(-1)[told & ~mixed] > 0.5).float().mean() > 0.75, key
        assert (expected[key].sum(-1)[mixed] < 0.5).float().mean() > 0.95, key


# -- fairness ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"stress": "calibrated", "p_left": 0.6}], ids=["sharp", "stress"])
@pytest.mark.parametrize("constellation", ["center", "2x2", "out_in_grid"])
def test_a_candidates_score_depends_on_the_context_and_itself_alone(constellation, options):
    model, part, other = solver(**options), batch(constellation, 12), batch(constellation, 12, seed=99)
    scene, strange = model.scene(part), model.scene(other)
    kept = scene.context_panels + 2

    def mix(mine, theirs):
        result = mine.clone()
        replaced = [p for p in range(scene.context_panels, scene.panels) if p != kept]
        result[:, replaced] = theirs[:, replaced]
        return result

    parts = [
        {key: mix(value, theirs[key]) for key, value in mine.items()}
        for mine, theirs in ((scene.pmfs, strange.pmfs), (scene.sets, strange.sets), (scene.entities, strange.entities))
    ]
    mixed = Scene(scene.columns, *parts, ranges=scene.ranges)
    torch.testing.assert_close(model.learner(mixed).scores[:, 2], model.learner(scene).scores[:, 2])


def test_puzzles_do_not_depend_on_their_batch(monkeypatch):
    from reasoning.learners import symbolic

    model, part = solver(), batch("2x2", 9)
    scene = model.scene(part)
    whole = model.learner(scene)
    monkeypatch.setattr(symbolic, "_ELEMENTS", 1)
    apart = model.learner(scene)
    for name in ("scores", "rule_weights", "agreement", "families", "governed"):
        torch.testing.assert_close(getattr(apart, name), getattr(whole, name))


def test_wrong_use_is_a_sentence(command):
    with pytest.raises(SettingsError, match="noise=0"):
        Symbolic(noise=0)
    code, _, error = command("train", "+model=symbolic")
    assert code == 2
    assert "a model that learns" in error
    assert "reasoning.benchmark +model=symbolic evaluates it" in error

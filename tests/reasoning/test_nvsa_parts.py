"""The parts of NVSA against what they stand for: listed rows, listed sets, the algebra's own operations."""

import importlib.util
import itertools
import math
import sys
from pathlib import Path

import pytest
import torch

import datasets
import vsa
from reasoning.distributions.pmfs import count_pmf, panel_pmf, share_pmf
from reasoning.learners.nvsa import NVSA
from reasoning.learners.vector_rules.codes import Names, Powers
from reasoning.learners.vector_rules.panels import divergence
from reasoning.learners.vector_rules.rules import STEPS, Grammar, count_numbers, count_sets, count_values
from reasoning.learners.vector_rules.sets import difference_is, equal, sets_evidence, union_is
from reasoning.learners.vector_rules.values import values_evidence
from reasoning.perception.oracle import Oracle

ROOT = Path(__file__).resolve().parents[2]
NAMES = Grammar().labels
CODES = [(64, 4), (60, 4), (256, 1), (45, 3)]  # even and odd block lengths, one block


def dense(occupied):
    """PMF over all sets of slots, empty one included; entry i is the set with the bits of i."""
    member = torch.arange(2 ** occupied.shape[-1])[:, None] >> torch.arange(occupied.shape[-1]) & 1
    return torch.where(member.bool(), occupied.unsqueeze(-2), 1 - occupied.unsqueeze(-2)).prod(-1)


def some(table):
    """Without the empty set."""
    return torch.cat([torch.zeros_like(table[..., :1]), table[..., 1:] / table[..., 1:].sum(-1, keepdim=True)], -1)


# -- counts --------------------------------------------------------------------------------------------------------


def logs(rows, whole):
    found = [3 * math.log(count) if count else math.inf for count in rows] + [math.log(whole) if whole else math.inf]
    return torch.tensor(found, dtype=torch.float64)


@pytest.mark.parametrize(("low", "high", "columns"), [(0, 9, 3), (1, 6, 3), (1, 4, 3), (0, 4, 4), (2, 5, 4)])
def test_rows_of_values_are_counted(low, high, columns):
    values = range(low, high + 1)
    rows = list(itertools.product(values, repeat=columns))
    steps = [[all(b - a == step for a, b in itertools.pairwise(row)) for row in rows] for step in (0, *STEPS)]
    sums = [sum(row[:-1]) == row[-1] for row in rows]
    differences = [row[0] - sum(row[1:-1]) == row[-1] for row in rows]
    distinct = sum(len(set(row)) == columns for row in rows)
    expected = logs([sum(fits) for fits in (*steps, sums, differences)], distinct)
    torch.testing.assert_close(count_values(low, high, columns), expected)


@pytest.mark.parametrize("slots", [3, 4])
def test_rows_of_sets_are_counted(slots):
    full = 2**slots - 1
    sets = range(1, full + 1)
    pairs = list(itertools.product(sets, sets))
    counts = [full]
    counts += [sum(s.bit_count() <= slots - 2 * abs(step) for s in sets) for step in STEPS]
    counts.append(sum(bool(b & ~a) for a, b in pairs))
    counts.append(sum(bool(a & ~b) for a, b in pairs))
    size = [s.bit_count() for s in sets]
    distributed = sum(size[a - 1] == size[b - 1] == size[c - 1] for a, b, c in itertools.permutations(sets, 3))
    torch.testing.assert_close(count_sets(slots), logs(counts, distributed))

    triples = [(a, b, c) for a, b, c in itertools.product(sets, repeat=3)]
    sizes = [tuple(s.bit_count() for s in triple) for triple in triples]
    counts = [sum(b - a == c - b == step for a, b, c in sizes) for step in (0, *STEPS)]
    counts += [sum(a + b == c for a, b, c in sizes), sum(a - b == c for a, b, c in sizes)]
    tally = {triple: sizes.count(triple) for triple in set(sizes) if len(set(triple)) == 3}
    torch.testing.assert_close(count_numbers(slots), logs(counts, sum(count**3 for count in tally.values())))


# -- sets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slots", [2, 4])
def test_similarities_of_sets_are_those_of_all_sets(slots, generator):
    a, b, c = torch.rand(3, 20, slots, generator=generator, dtype=torch.float64)
    p, q, r = (some(dense(x)) for x in (a, b, c))
    torch.testing.assert_close(equal(a, b), (p * q).sum(-1))
    first, second = torch.meshgrid(torch.arange(2**slots), torch.arange(2**slots), indexing="ij")
    joint = p[:, :, None] * q[:, None, :]
    torch.testing.assert_close(union_is(a, b, c), (joint * r[:, first | second]).sum((1, 2)))
    torch.testing.assert_close(difference_is(a, b, c), (joint * r[:, first & ~second]).sum((1, 2)))


def test_a_set_that_is_surely_empty_gives_numbers():
    assert torch.isfinite(equal(torch.zeros(4), torch.zeros(4)))
    assert torch.isfinite(sets_evidence(torch.zeros(1, 8, 4)).agreement).all()


def occupancies(sets, slots):
    return (torch.tensor(sets)[:, None] >> torch.arange(slots) & 1).float()


@pytest.mark.parametrize(
    ("rule", "sets", "answer"),
    [
        ("constant", [3, 3, 3, 9, 9, 9, 6, 6], 6),
        ("progression +1", [1, 2, 4, 3, 6, 12, 257, 3], 6),
        ("progression -2", [4, 1, 128, 12, 3, 384, 1, 128], 32),
        ("sum", [1, 6, 7, 9, 24, 25, 256, 3], 259),
        ("difference", [7, 2, 5, 25, 8, 17, 259, 1], 258),
        ("distribute three", [1, 2, 4, 4, 1, 2, 2, 4], 1),
        ("distribute three", [1, 2, 4, 2, 4, 1, 4, 1], 2),
    ],
)
def test_rules_of_sets(rule, sets, answer):
    found = sets_evidence(occupancies(sets, 9)[None])
    index = (found.agreement[0] - count_sets(9)).argmax()
    assert NAMES[index] == rule
    assert found.agreement[0, index] > -1e-4
    torch.testing.assert_close(found.predicted[0, index], occupancies([answer], 9)[0])


# -- panels --------------------------------------------------------------------------------------------------------


def test_the_pmf_of_a_panel_is_the_sum_over_its_sets(generator):
    entities = torch.rand(6, 3, 5, generator=generator, dtype=torch.float64)
    entities /= entities.sum(-1, keepdim=True)
    occupied = torch.rand(6, 3, generator=generator, dtype=torch.float64)
    table = some(dense(occupied))
    expected = torch.zeros(6, 5, dtype=torch.float64)
    for number in range(1, 8):
        inside = [slot for slot in range(3) if number >> slot & 1]
        expected += table[:, number, None] * entities[:, inside].prod(1)
    torch.testing.assert_close(panel_pmf(entities, occupied), expected)
    sizes = torch.tensor([bin(number).count("1") for number in range(8)])
    counts = torch.stack([table[:, sizes == size].sum(-1) for size in range(6)], dim=-1)
    torch.testing.assert_close(count_pmf(occupied, 6), counts)
    torch.testing.assert_close(share_pmf(entities, occupied).sum(-1), torch.ones(6, dtype=torch.float64))


def test_divergence_is_zero_or_log_two_or_between(generator):
    p, q = torch.rand(2, 50, 7, generator=generator).softmax(-1)
    assert (divergence(p, p) == 0).all()
    between = divergence(p, q)
    assert ((between > 0) & (between < math.log(2))).all()
    torch.testing.assert_close(divergence(torch.eye(3)[:2], torch.eye(3)[1:]), torch.full((2,), math.log(2)))
    torch.testing.assert_close(between, divergence(q, p))


# -- vectors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dim", "blocks"), CODES)
def test_spectra_compute_what_the_algebra_does(dim, blocks, generator):
    algebra = vsa.get("gsbc", dim=dim, blocks=blocks)
    names = Names(algebra, seed=3)
    pmfs = torch.rand(3, 6, generator=generator, dtype=torch.float64).softmax(-1)
    atoms = algebra.from_index(names.atoms(range(6)), dtype=torch.float64)
    x, y, z = pmfs @ atoms
    u, v, w = names.encode(pmfs)
    torch.testing.assert_close(names.similarity(u, v), algebra.similarity(x, y))
    product = algebra.unbind(algebra.bind(x, y), z)
    spectrum = names.bind(u, v, w.conj())
    torch.testing.assert_close(names.read(spectrum, range(6)), algebra.similarity_to_set(product, atoms))
    torch.testing.assert_close(names.bind_all(torch.stack([u, v, w])), names.bind(u, v, w))


@pytest.mark.parametrize(("dim", "blocks"), CODES)
def test_binding_powers_adds_and_a_conjugate_subtracts(dim, blocks):
    powers = Powers(vsa.get("gsbc", dim=dim, blocks=blocks), seed=3)
    one_hot = torch.eye(5, dtype=torch.float64)
    atoms = powers.encode(one_hot)
    total = powers.read(powers.bind(atoms[:, None], atoms), range(-4, 9))
    moved = powers.read(powers.bind(atoms[:, None], atoms.conj()), range(-4, 9))
    for a, b in itertools.product(range(5), repeat=2):
        torch.testing.assert_close(total[a, b], torch.eye(13, dtype=torch.float64)[a + b + 4])
        torch.testing.assert_close(moved[a, b], torch.eye(13, dtype=torch.float64)[a - b + 4])


@pytest.mark.parametrize(
    ("rule", "values", "answer"),
    [
        ("constant", [1, 1, 1, 4, 4, 4, 2, 2], 2),
        ("progression +1", [1, 2, 3, 4, 5, 6, 0, 1], 2),
        ("progression -2", [6, 4, 2, 5, 3, 1, 7, 5], 3),
        ("sum", [1, 4, 5, 3, 2, 5, 2, 2], 4),
        ("difference", [7, 2, 5, 6, 3, 3, 5, 4], 1),
        ("distribute three", [1, 5, 2, 5, 2, 1, 2, 1], 5),
    ],
)
@pytest.mark.parametrize("columns", [3, 10])
def test_rules_of_values(rule, values, answer, columns):
    algebra = vsa.get("gsbc", dim=1024, blocks=4)
    high = 8
    if columns == 10:  # rows of ten with the same rules
        values, answer, high = ten(rule)
    context = torch.nn.functional.one_hot(torch.tensor(values), high).float()[None]
    found = values_evidence(Powers(algebra), Names(algebra), context, torch.ones(1, high), columns)
    index = (found.agreement[0] - count_values(0, high - 1, columns)).argmax()
    assert NAMES[index] == rule
    # The chance similarity of names lies beside the value, or in progressions nothing does.
    assert found.predicted[0, index].argmax() == answer
    torch.testing.assert_close(found.predicted[0].sum(-1)[index], torch.tensor(1.0))


def ten(rule):
    """Three rows of ten values below 60 without the last, the last, and 60."""
    start = {"constant": 0, "progression +1": 1, "progression -2": -2}
    if rule in start:
        rows = [[first + start[rule] * k for k in range(10)] for first in (20, 41, 30)]
    elif rule == "sum":
        rows = [[*row, sum(row)] for row in ([1, 2, 3, 4, 5, 6, 7, 8, 9], [3, 1, 4, 1, 5, 9, 2, 6, 5], [1] * 9)]
    elif rule == "difference":
        operands = ([55, *range(1, 9)], [59, 3, 1, 4, 1, 5, 9, 2, 6], [50, *[2] * 8])
        rows = [[*row, row[0] - sum(row[1:])] for row in operands]
    else:
        row = [3, 14, 15, 9, 26, 5, 35, 8, 57, 32]
        rows = [row[-k:] + row[:-k] for k in (0, 1, 2)]
    flat = [value for row in rows for value in row]
    return flat[:-1], flat[-1], 60


def test_missing_mass_is_a_state_of_its_own():
    """Panels whose entities differ are alike, but no number that could grow or add up."""
    algebra = vsa.get("gsbc", dim=1024, blocks=4)
    context = torch.zeros(1, 8, 6)
    found = values_evidence(Powers(algebra), Names(algebra), context, torch.ones(1, 6), 3)
    logits = found.agreement[0] - count_values(0, 5, 3)
    assert NAMES[logits.argmax()] == "constant"
    assert found.predicted[0, 0].argmax() == 6
    assert (found.agreement[0, 1:7] < -20).all()


# -- beside a planner that lists everything --------------------------------------------------------------------------


@pytest.mark.parametrize(("constellation", "n"), [("left_right", 60), ("2x2", 60), ("3x3", 6)])
def test_answers_are_those_of_a_planner_that_lists_all_rows(constellation, n):
    spec = importlib.util.spec_from_file_location("naive_planner", ROOT / "benchmarks" / "naive_planner.py")
    assert spec is not None
    assert spec.loader is not None
    planner = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = planner  # where dataclasses look their module up
    spec.loader.exec_module(planner)
    data = datasets.PuzzleDataset(datasets.generate("iraven", constellation, n=n, seed=21))
    part = next(iter(data.batches(n)))
    scene = Oracle(epsilon=1e-4)(part, mixed="missing", entities=True)
    listed = planner.solve(scene).argmax(-1)
    model = NVSA(vsa.get("gsbc", dim=1024, blocks=4), panels="state", weighting="none")
    ours = model(scene).answers
    # Rules and scores are the same but for chance similarity and slot-wise divergence; entities leave ties in grids.
    assert (listed == ours).float().mean() >= 0.95

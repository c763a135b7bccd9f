"""Answer sets of RAVEN, I-RAVEN and RAVEN-FAIR: structure, uniqueness, and what can be told without the context."""

from __future__ import annotations

import numpy as np
import pytest

import datasets
from datasets.arrays import GOVERNED, MODIFIABLE, PuzzleArrays
from datasets.constellations import CONSTELLATIONS
from datasets.judging.possible import follows
from datasets.making.answers import binomials, permuted
from datasets.rules.consistency import panel_sets

GRIDS = ["distribute_four", "distribute_nine", "in_distribute_four_out_center_single"]
NUMBER, POSITION = MODIFIABLE.index("Number"), MODIFIABLE.index("Position")


def distance_counts(puzzles: PuzzleArrays) -> np.ndarray:
    """(N, 7) sorted: how many attributes are marked as changed in each distractor."""
    return np.sort(puzzles.modified.sum(axis=(2, 3)), axis=1)[:, 1:]


def panel_codes(puzzles: PuzzleArrays) -> list[np.ndarray]:
    """(N, 8) per component and attribute: the multiset of values, the count and the set of slots, as numbers."""
    codes = []
    for c, arrays in enumerate(puzzles.components):
        codes += [arrays.numbers[:, puzzles.context :], panel_sets(puzzles, c)[:, puzzles.context :]]
        for name in ("Type", "Size", "Color"):
            ordered = np.sort(arrays.attributes[name][:, puzzles.context :].astype(np.int64), axis=2)
            codes.append(ordered @ (12 ** np.arange(ordered.shape[2])))
    return codes


def context_blind(puzzles: PuzzleArrays) -> np.ndarray:
    """(N,) how often a majority vote over the candidates alone is right, ties shared."""
    votes = sum((codes[:, :, None] == codes[:, None, :]).sum(axis=2) for codes in panel_codes(puzzles))
    best = votes == votes.max(axis=1, keepdims=True)
    return best[np.arange(len(puzzles)), puzzles.target] / best.sum(axis=1)


@pytest.mark.parametrize("name", ["raven", "iraven", "raven_fair"])
@pytest.mark.parametrize("constellation", list(CONSTELLATIONS))
def test_exactly_the_answer_follows_the_rules_and_no_two_are_alike(name: str, constellation: str) -> None:
    puzzles = datasets.generate(name, constellation, n=4_000, seed=21)
    right = follows(puzzles)
    assert (right.sum(axis=1) == 1).all()
    assert (right.argmax(axis=1) == puzzles.target).all()
    same = np.ones((len(puzzles), 8, 8), dtype=np.bool_)
    for arrays in puzzles.components:
        for name_ in ("Type", "Size", "Color"):
            levels = arrays.attributes[name_][:, 8:]
            same &= (levels[:, :, None] == levels[:, None]).all(axis=3)
    assert (same.sum(axis=(1, 2)) == 8).all()
    assert not puzzles.modified[np.arange(len(puzzles)), puzzles.target].any()


@pytest.mark.parametrize("constellation", list(CONSTELLATIONS))
def test_iraven_has_one_of_three_patterns(constellation: str) -> None:
    puzzles = datasets.generate("iraven", constellation, n=4_000, seed=22)
    patterns, counts = np.unique(distance_counts(puzzles), axis=0, return_counts=True)
    share = {tuple(p): c / len(puzzles) for p, c in zip(patterns.tolist(), counts, strict=True)}
    assert set(share) <= {(1, 1, 1, 2, 2, 2, 3), (1, 1, 1, 1, 2, 2, 2), (1,) * 7}
    full = share[1, 1, 1, 2, 2, 2, 3]
    if constellation in ("distribute_four", "distribute_nine"):
        # published: 1,877 and 1,881 of 2,000; five standard errors of the two samples
        assert abs(full - 0.94) < 5 * np.sqrt(0.94 * 0.06 * (1 / 2_000 + 1 / 4_000))
    else:
        assert full == 1


def test_a_full_tree_is_seen_the_same_from_every_candidate() -> None:
    puzzles = datasets.generate("iraven", "left_right", n=500, seed=23)
    marks = puzzles.modified.reshape(500, 8, -1)
    apart = (marks[:, :, None] != marks[:, None]).sum(axis=3)
    assert (np.sort(apart, axis=2) == [0, 1, 1, 1, 2, 2, 2, 3]).all()


@pytest.mark.parametrize("constellation", GRIDS)
def test_marks_say_what_changed(constellation: str) -> None:
    puzzles = datasets.generate("iraven", constellation, n=4_000, seed=24)
    rows = np.arange(len(puzzles))
    c = len(puzzles.components) - 1
    arrays, marks = puzzles.components[c], puzzles.modified[:, :, c]
    counts, sets = arrays.numbers[:, 8:], panel_sets(puzzles, c)[:, 8:]
    renumbered = counts != counts[rows, puzzles.target][:, None]
    relaid = sets != sets[rows, puzzles.target][:, None]
    assert np.array_equal(renumbered, marks[:, :, NUMBER])
    assert np.array_equal(relaid, marks[:, :, NUMBER] | marks[:, :, POSITION])
    ruled = arrays.governed == GOVERNED.index("Number")
    assert not marks[ruled][:, :, POSITION].any() and marks[~ruled][:, :, POSITION].any()
    # Number after Position takes its own places: the four sets of a tree with both are all different.
    both = marks[:, :, NUMBER].any(axis=1) & marks[:, :, POSITION].any(axis=1) & (marks.sum(axis=2).max(axis=1) > 1)
    both &= puzzles.modified.any(axis=1).sum(axis=(1, 2)) == 3
    distinct = [len(set(row)) for row in sets[both].tolist()]
    assert both.sum() > 100 and set(distinct) == {4}


@pytest.mark.parametrize("constellation", GRIDS)
def test_iraven_only_moves_repeats_or_changes_entities_of_the_answer(constellation: str) -> None:
    puzzles = datasets.generate("iraven", constellation, n=3_000, seed=25)
    c = len(puzzles.components) - 1
    arrays, marks = puzzles.components[c], puzzles.modified[:, :, c]
    angle = arrays.attributes["Angle"][:, 8:]
    answer = angle[np.arange(len(puzzles)), puzzles.target]
    known = (angle[:, :, :, None] == answer[:, None, None, :]).any(axis=3)
    assert (known | (angle < 0)).all()
    plain = ~marks[:, :, NUMBER]
    assert (np.sort(angle, axis=2) == np.sort(answer, axis=1)[:, None])[plain].all()


def test_the_context_blind_vote() -> None:
    """I-RAVEN: 1/8 exactly where three attributes could be chosen (N = 3,000 each).

    Elsewhere (6 % of 2x2 and 3x3) seven or four values of Number make the sets uneven, not in the answer's favour: the
    published 2x2 gives .1246, and 0.1235 .. 0.1255 is that with four standard errors (0.0002 each) on either side.
    """
    for constellation in CONSTELLATIONS:
        puzzles = datasets.generate("iraven", constellation, n=3_000, seed=26)
        right = context_blind(puzzles)
        tree = puzzles.modified.any(axis=1).sum(axis=(1, 2)) == 3
        exact = right[tree] == 1 / 8
        # Unlike entities may exchange values and so look unchanged as a multiset.
        assert exact.all() if constellation not in GRIDS else exact.mean() > 0.99, constellation
        assert 0.1235 < right.mean() < 0.1255, constellation
        raven = context_blind(datasets.generate("raven", constellation, n=3_000, seed=26)).mean()
        # Single shapes: the vote fails only when all seven changes hit the same attribute (3 ** -6 at most).
        assert raven > (0.91 if constellation in GRIDS else 0.998), constellation


def test_fair_sets_have_no_majority_shortcut() -> None:
    """A vote that gets all of RAVEN right gets well below half of RAVEN-FAIR, and chains of changes occur."""
    for constellation in ("center_single", "left_center_single_right_center_single"):
        puzzles = datasets.generate("raven_fair", constellation, n=3_000, seed=27)
        assert context_blind(puzzles).mean() < 0.5
        counts = distance_counts(puzzles)
        assert counts[:, 0].max() == 1 and counts.max() == 3
        names = puzzles.modified.sum(axis=2)
        assert names.max() == 1  # an attribute's name is changed once, whatever the component


def test_raven_changes_one_attribute_of_the_answer() -> None:
    for constellation in CONSTELLATIONS:
        puzzles = datasets.generate("raven", constellation, n=2_000, seed=28)
        assert (distance_counts(puzzles) == 1).all()


def test_binomials() -> None:
    assert binomials(4).tolist() == [1, 4, 6, 4, 1]
    assert binomials(9).sum() == 512


def test_a_permutation_is_no_change() -> None:
    exists = np.array([[True, True, False]])
    old, other = np.array([[1, 2, -1]]), np.array([[5, 5, -1]])
    assert permuted(old, np.array([[2, 1, -1]]), [other], exists).tolist() == [True]
    assert permuted(old, np.array([[2, 1, -1]]), [np.array([[5, 6, -1]])], exists).tolist() == [False]
    assert permuted(old, np.array([[2, 3, -1]]), [other], exists).tolist() == [False]

"""Rules: what is drawn fits, ranges are sharp, linear forms and completions predict the last panel, consistent sets."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import datasets
from datasets.arrays import BOTH, POSITION, RULE_NAMES
from datasets.constellations import CONSTELLATIONS
from datasets.rules import (
    PUBLISHED,
    RULES,
    SlotSets,
    Values,
    consistent_families,
    consistent_rules,
    rule_code,
    rules_named,
)
from datasets.rules.base import Rule, sets_of
from datasets.streams import Stream
from vsa.errors import ShapeError, VSAError

K = 400
ROWS = np.arange(K)


def drawn(rule: Rule, parameter: int, low: int, high: int, seed: int, columns: int = 3) -> np.ndarray:
    stream = Stream(seed, ("rules", rule.name, parameter), ROWS)
    return rule.draw(stream, low, high, np.full(K, parameter), ROWS, columns)


CASES = [(rule.name, p) for rule in rules_named(PUBLISHED) for p in rule.parameters]


def test_codes_are_places_in_the_table_of_names() -> None:
    assert [rule.name for rule in rules_named(PUBLISHED)] == list(RULE_NAMES)
    assert [rule.code for rule in rules_named(PUBLISHED)] == [0, 1, 2, 3]


@pytest.mark.parametrize("name, parameter", CASES)
@settings(max_examples=40, deadline=None)
@given(low=st.integers(0, 4), span=st.integers(0, 9), seed=st.integers(0, 2**32))
def test_drawn_rows_fit_and_reach_just_their_range(name: str, parameter: int, low: int, span: int, seed: int) -> None:
    rule, high = RULES.get(name), low + span
    start, stop = rule.first_range(low, high, parameter)
    if start > stop:
        return
    matrix = drawn(rule, parameter, low, high, seed)
    domain = Values(low, high)
    assert rule.fits(matrix, domain, parameter).all()
    assert (matrix[:, :, 0] >= start).all() and (matrix[:, :, 0] <= stop).all()
    flat = matrix.reshape(K, 9)[:, :8]
    assert rule.extends(flat, 3, domain, parameter).all()
    assert np.array_equal(rule.complete(flat, 3, parameter, domain), matrix[:, 2, 2])


@pytest.mark.parametrize("name, parameter", CASES)
def test_first_range_is_sharp(name: str, parameter: int) -> None:
    """Every first value in the range begins a legal row, no other does (rows enumerated)."""
    rule = RULES.get(name)
    for low, high in ((0, 9), (1, 6), (1, 5), (3, 6), (0, 0), (4, 6)):
        domain = Values(low, high, white=False)
        firsts = set()
        for row in itertools.product(range(low, high + 1), repeat=3):
            # The white rule is about pairs of rows; a range of one value tells a sum from nothing.
            if rule.holds(np.array([[row]]), parameter, domain)[0] and (name != "Arithmetic" or high > low):
                firsts.add(row[0])
        start, stop = rule.first_range(low, high, parameter)
        assert firsts == set(range(start, stop + 1)), (low, high)


@pytest.mark.parametrize("name, parameter", CASES)
@pytest.mark.parametrize("slots", [4, 9])
def test_placements_fit(name: str, parameter: int, slots: int) -> None:
    rule = RULES.get(name)
    low, high = rule.first_count(slots, parameter)
    if low > high:
        assert (name, slots, abs(parameter)) == ("Progression", 4, 2)
        return
    stream = Stream(3, ("place", name, parameter), ROWS)
    placed = rule.place(stream, slots, np.full(K, parameter), ROWS)
    assert (np.sort(placed.order, axis=-1) == np.arange(slots)).all()
    matrix = sets_of(placed.order, placed.count)
    assert rule.fits(matrix, SlotSets(slots), parameter).all()
    first = placed.count[:, :, 0]
    assert first.min() == low and first.max() == high
    if rule.keeps_entities:
        assert (placed.count == placed.count[:, :, :1]).all()


@pytest.mark.parametrize("columns", [3, 4, 10])
@pytest.mark.parametrize("name, parameter", CASES)
def test_linear_forms_predict_the_last_panel(name: str, parameter: int, columns: int) -> None:
    rule = RULES.get(name)
    if name == "Arithmetic" and columns > 3:
        full = datasets.generate("iraven_x", n=600, columns=columns, maxval=100).complete().components[0]
        chosen = (full.rules[:, 3] == rule.code) & (full.parameters[:, 3] == parameter)
        matrix = full.attributes["Color"][chosen].reshape(-1, columns, columns).astype(np.int64)
    else:
        matrix = drawn(rule, parameter, 0, 60, 11, columns)
    form = rule.linear(columns, parameter)
    assert form is not None
    assert len(form.row) == columns - 1 and len(form.context) == 2 * columns - 1
    context = np.concatenate([matrix[:, 0], matrix[:, 1, :-1]], axis=1)
    assert np.array_equal(form.apply(matrix[:, 2, :-1], context), matrix[:, 2, -1])


def test_steps_of_sets_are_cyclic() -> None:
    domain = SlotSets(4)
    assert domain.step(np.array([0b1000]), 1).tolist() == [0b0001]
    assert domain.step(np.array([0b0011]), -1).tolist() == [0b1001]
    assert domain.step(domain.step(np.array([5, 7, 1]), 1), -1).tolist() == [5, 7, 1]


def test_no_rule_fits_what_cannot_be_told() -> None:
    progression, arithmetic, distribute = (RULES.get(n) for n in ("Progression", "Arithmetic", "Distribute_Three"))
    full = np.full((1, 2, 3), 0b1111)
    assert not progression.fits(full, SlotSets(4)).any()  # a full panel moves onto itself
    assert not arithmetic.fits(full, SlotSets(4)).any()  # a union that adds nothing
    assert not distribute.fits(full, SlotSets(4)).any()  # three times the same
    zeros = np.array([[[3, 0, 3], [5, 0, 5]]])
    assert not arithmetic.fits(zeros, Values(0, 9)).any()  # neither plus nor minus: the white rule
    assert arithmetic.fits(zeros, Values(0, 9, white=False)).all()


def test_wrong_use() -> None:
    with pytest.raises(ShapeError, match=r"expected \(N, R, n\)"):
        RULES.get("Constant").fits(np.zeros((2, 3), dtype=np.int64), Values(0, 9))
    with pytest.raises(VSAError, match="parameter 3"):
        RULES.get("Progression").fits(np.zeros((1, 1, 3), dtype=np.int64), Values(0, 9), 3)
    with pytest.raises(VSAError, match="expected below 1"):
        consistent_rules(datasets.generate("iraven", n=2), 1)


@pytest.mark.parametrize("constellation", list(CONSTELLATIONS))
def test_the_label_is_consistent_and_ties_are_as_rare_as_published(constellation: str) -> None:
    """N = 10,000; published intervals are themselves samples: widened by four standard errors of n = 2,000."""
    puzzles = datasets.generate("iraven", constellation, n=10_000, seed=8)
    ambiguous = np.zeros(len(puzzles), dtype=np.bool_)
    for c, (arrays, layout) in enumerate(zip(puzzles.components, puzzles.layouts, strict=True)):
        found = consistent_rules(puzzles, c)
        label = np.take_along_axis(found, arrays.rules[:, :, None].astype(np.int64), axis=2)[..., 0]
        # Only unlike entities that happen to look alike in all panels can hide a Constant: well below 1 in 1,000.
        assert (~label).mean(axis=0).max() < 1e-3
        ties = (found.sum(axis=2) > 1).mean(axis=0)
        ambiguous |= (found.sum(axis=2) > 1).any(axis=1)

        def within(value: float, low: float, high: float) -> bool:
            return low - 4 * np.sqrt(low * (1 - low) / 2_000) <= value <= high + 4 * np.sqrt(high * (1 - high) / 2_000)

        assert ties[1] == 0  # Type
        if layout.size == (0, 5):
            assert within(ties[2], 0.034, 0.044)
        if layout.color == (0, 9):
            assert within(ties[3], 0.003, 0.013)
        assert within(ties[0], 0.006, 0.029) if layout.slots > 1 else ties[0] == 0
    assert 0.045 - 0.019 <= ambiguous.mean() <= 0.085 + 0.025


def test_families_split_number_and_position() -> None:
    puzzles = datasets.generate("iraven", "3x3", n=3_000, seed=2)
    found = consistent_families(puzzles, 0)
    arrays = puzzles.components[0]
    for code, key in ((1, "Number"), (2, "Position")):
        mine = arrays.governed == code
        label = np.take_along_axis(found[key], arrays.rules[:, :1].astype(np.int64), axis=1)[:, 0]
        assert label[mine].all()
    constant = arrays.governed == BOTH
    assert found["Number"][constant, 0].all() and found["Position"][constant, 0].all()
    moved = (arrays.governed == POSITION) & (arrays.rules[:, 0] == rule_code("Progression"))
    assert found["Number"][moved, 0].all() and not found["Position"][moved, 0].any()

"""Matrices: options, ranges, uniformity, entities; and the streams of randomness they are drawn from."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import datasets
from datasets.arrays import GOVERNED, RULE_NAMES, RULE_SLOTS, equal
from datasets.constellations import CONSTELLATIONS
from datasets.making.sampling import keeps_entities, options, sample_component
from datasets.rules import PUBLISHED, rule_code, rules_named
from datasets.rules.consistency import panel_values
from datasets.streams import Stream
from vsa.errors import VSAError

OUT_IN_GRID = CONSTELLATIONS["in_distribute_four_out_center_single"]


def names(constellation: str, component: int, slot: str) -> set[tuple[str, str, int]]:
    layout = CONSTELLATIONS[constellation].components[component]
    return {(o.governed, o.rule.name, o.parameter) for o in options(rules_named(PUBLISHED), layout, slot)}


def test_single_slots_have_a_constant_layout() -> None:
    assert names("center_single", 0, "Number/Position") == {("Number/Position", "Constant", 0)}


def test_impossible_rules_are_no_options() -> None:
    four = names("distribute_four", 0, "Number/Position")
    assert {p for g, r, p in four if (g, r) == ("Number", "Progression")} == {-1, 1}
    assert {p for g, r, p in four if (g, r) == ("Position", "Progression")} == {-1, 1}
    assert len(four) == 13
    assert len(names("distribute_nine", 0, "Number/Position")) == 17
    out = OUT_IN_GRID.name
    assert names(out, 0, "Color") == {("Color", "Constant", 0)}
    assert "Arithmetic" not in {r for _, r, _ in names(out, 0, "Size")}
    assert {p for _, r, p in names(out, 1, "Size") if r == "Progression"} == {-1, 1}


def test_a_rule_without_a_parameter_left_loses_its_weight_only() -> None:
    """Of seven rules on a 2x2's layout two are halved: 1/12 each, the others 1/6."""
    weights: dict[tuple[str, str], int] = {}
    for o in options(rules_named(PUBLISHED), CONSTELLATIONS["distribute_four"].components[0], "Number/Position"):
        weights[o.governed, o.rule.name] = weights.get((o.governed, o.rule.name), 0) + o.weight
    assert weights["Number", "Progression"] * 2 == weights["Number", "Arithmetic"]
    assert weights["Number", "Arithmetic"] == weights["Number/Position", "Constant"]


@pytest.mark.parametrize("constellation", list(CONSTELLATIONS))
def test_matrices_obey_uniformity_and_keep_entities(constellation: str) -> None:
    for layout in CONSTELLATIONS[constellation].components:
        n = 3_000
        matrix = sample_component(Stream(1, ("t", layout.name), np.arange(n)), layout, rules_named(PUBLISHED))
        for name in ("Type", "Size", "Color", "Angle"):
            levels = matrix.attributes[name].astype(np.int64).reshape(n, 3, 3, -1)
            assert ((levels >= 0).reshape(n, 9, -1) == matrix.exists).all()
            top = levels.max(axis=-1)
            low = np.where(levels < 0, 99, levels).min(axis=-1)
            alike = (top == low).all(axis=(1, 2))
            uniform = matrix.uniformity == 3
            assert alike[uniform].all()
            if name in RULE_SLOTS:
                constant = matrix.rules[:, RULE_SLOTS.index(name)] == rule_code("Constant")
                assert alike[~constant].all()
            else:
                constant = np.ones(n, dtype=np.bool_)
            assert (top[uniform & constant] == top[uniform & constant][:, :, :1]).all()
            keeps = keeps_entities(matrix.rules, matrix.governed) & constant
            ordered = np.sort(levels[keeps], axis=-1)
            assert (ordered == ordered[:, :, :1]).all()
            if layout.slots == 9:  # entities that are neither alike nor kept do differ somewhere
                free = ~uniform & constant & ~keeps
                assert (~alike[free]).mean() > 0.99


def test_the_third_row_of_color_may_be_white_but_not_the_first_two() -> None:
    puzzles = datasets.generate("iraven", "center", n=20_000, seed=4)
    full = puzzles.complete()
    color = panel_values(full, 0, "Color").reshape(-1, 3, 3)
    arithmetic = full.components[0].rules[:, 3] == RULE_NAMES.index("Arithmetic")
    second = color[arithmetic][:, :, 1]
    assert not ((second[:, 0] == 0) & (second[:, 1] == 0)).any()
    assert ((second[:, 0] == 0) & (second[:, 2] == 0)).any()
    assert ((second[:, 1] == 0) & (second[:, 2] == 0)).any()


def test_full_layouts_occur_only_where_a_rule_leaves_room() -> None:
    puzzles = datasets.generate("iraven", "3x3", n=5_000, seed=6)
    full = puzzles.complete().components[0]
    moved = (full.governed == GOVERNED.index("Position")) & (full.rules[:, 0] == RULE_NAMES.index("Progression"))
    counts = full.numbers[moved]
    step = np.abs(full.parameters[moved, 0])
    assert (counts.max(axis=1) <= 9 - 2 * step).all()
    assert counts[step == 2].max() == 5 and counts[step == 1].max() == 7


def test_streams_do_not_depend_on_company() -> None:
    together = Stream(7, ("a",), np.arange(50))
    alone = Stream(7, ("a",), np.array([31]))
    assert np.array_equal(together.bits(3, 4)[31], alone.bits(3, 4)[0])
    together.below(10, 5, rows=np.arange(0, 30))  # puzzle 31 does not draw: nothing moves
    assert np.array_equal(together.permutations(9)[31], alone.permutations(9)[0])


def test_streams_differ_by_seed_name_and_index() -> None:
    words = [Stream(s, (n,), np.arange(4)).bits(2) for s in (0, 1, -1) for n in ("a", "b", 1, "1")]
    assert len(np.unique(np.concatenate([w.ravel() for w in words]))) == 12 * 8


def test_streams_are_uniform_and_independent() -> None:
    """n = 200,000; chi-square at 1e-4, correlations below five standard errors."""
    stream = Stream(11, ("u",), np.arange(50_000))
    draws = stream.below(7, 4)
    assert stats.chisquare(np.bincount(draws.ravel(), minlength=7)).pvalue > 1e-4
    pairs = draws[:, 0] * 7 + draws[:, 1]
    assert stats.chisquare(np.bincount(pairs, minlength=49)).pvalue > 1e-4
    neighbours = draws[:-1, 0] * 7 + draws[1:, 0]
    assert stats.chisquare(np.bincount(neighbours, minlength=49)).pvalue > 1e-4
    bits = stream.bits(1)[:, 0]
    ones = np.array([((bits >> np.uint64(k)) & np.uint64(1)).mean() for k in range(64)])
    assert np.abs(ones - 0.5).max() < 5 * 0.5 / np.sqrt(len(bits))


def test_permutations_and_distinct_values_are_uniform() -> None:
    stream = Stream(12, ("p",), np.arange(24_000))
    orders = stream.permutations(4) @ np.array([64, 16, 4, 1])
    assert stats.chisquare(np.unique(orders, return_counts=True)[1]).pvalue > 1e-4
    values = stream.distinct(2, 5, 3)
    assert (np.sort(values, axis=1)[:, 1:] > np.sort(values, axis=1)[:, :-1]).all()
    _, counts = np.unique(values @ np.array([36, 6, 1]), return_counts=True)
    assert len(counts) == 24 and stats.chisquare(counts).pvalue > 1e-4
    with pytest.raises(VSAError, match="received 2 values; expected at least 3"):
        stream.distinct(0, 1, 3)


def test_streams_refuse_negative_indices() -> None:
    with pytest.raises(VSAError, match="indices >= 0"):
        Stream(0, ("a",), np.array([-1]))


@pytest.mark.parametrize("name", ["raven", "iraven", "raven_fair"])
@pytest.mark.parametrize("constellation", ["center", "3x3", "out_in_grid"])
def test_a_puzzle_is_the_same_alone_and_in_any_company(name: str, constellation: str) -> None:
    whole = datasets.generate(name, constellation, n=100, seed=9)
    assert equal(whole[37:38], datasets.generate(name, constellation, n=1, start=37, seed=9))
    late = datasets.generate(name, constellation, n=60, start=40, seed=9)
    early = datasets.generate(name, constellation, n=40, seed=9)
    assert equal(type(whole).concatenate([early, late]), whole)
    assert not equal(whole, datasets.generate(name, constellation, n=100, seed=10))


def test_chunks_inside_do_not_show() -> None:
    whole = datasets.generate("iraven", "2x2", n=4_100, seed=3)
    assert equal(whole[4_090:], datasets.generate("iraven", "2x2", n=10, start=4_090, seed=3))

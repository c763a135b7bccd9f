"""I-RAVEN-X: rules over n columns, ranges, confounders, and the reference puzzles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import datasets
from datasets.arrays import RULE_NAMES, RULE_SLOTS, equal
from datasets.judging.possible import faults
from datasets.rules.consistency import consistent_rules


@settings(max_examples=15, deadline=None)
@given(columns=st.integers(3, 10), room=st.integers(0, 200), seed=st.integers(0, 2**40))
def test_any_size_is_possible(columns: int, room: int, seed: int) -> None:
    puzzles = datasets.generate("iraven_x", n=60, seed=seed, columns=columns, maxval=2 * columns - 1 + room).validate()
    assert {fault: int(bad.sum()) for fault, bad in faults(puzzles).items() if bad.any()} == {}


@pytest.mark.parametrize("columns, maxval", [(3, 10), (10, 100), (10, 1_000)])
def test_the_settings_of_the_paper(columns: int, maxval: int) -> None:
    puzzles = datasets.generate("iraven_x", n=1_000, seed=1, columns=columns, maxval=maxval).validate()
    assert {fault: int(bad.sum()) for fault, bad in faults(puzzles).items() if bad.any()} == {}
    arrays = puzzles.components[0]
    assert arrays.exists.shape == (1_000, columns**2 + 7, 1) and arrays.uniformity is None
    found = consistent_rules(puzzles, 0)
    label = np.take_along_axis(found, arrays.rules[:, :, None].astype(np.int64), axis=2)
    assert label.all()
    assert (puzzles.modified.any(axis=1).sum(axis=(1, 2)) == 3).all()


def test_only_distribute_three_reaches_maxval() -> None:
    puzzles = datasets.generate("iraven_x", n=4_000, seed=2, columns=3, maxval=10)
    full = puzzles.complete().components[0]
    for k, name in enumerate(RULE_SLOTS[1:], start=1):
        spread = full.rules[:, k] == RULE_NAMES.index("Distribute_Three")
        grids = full.attributes[name][:, :, 0]
        assert grids[spread].max() == 10 and grids[~spread].max() == 9


def test_arithmetic_rows_end_in_a_summand_that_is_not_zero() -> None:
    full = datasets.generate("iraven_x", n=6_000, seed=3, columns=3, maxval=10).complete().components[0]
    for k, name in ((2, "Size"), (3, "Color")):
        for sign, last in ((1, 1), (-1, 2)):
            mine = (full.rules[:, k] == RULE_NAMES.index("Arithmetic")) & (full.parameters[:, k] == sign)
            matrix = full.attributes[name][mine].reshape(-1, 3, 3)
            assert (matrix[:, :, last] > 0).all() and mine.sum() > 500


def test_confounders_are_uniform_noise_that_changes_nothing_else() -> None:
    plain = datasets.generate("iraven_x", n=300, seed=4, columns=4, maxval=50)
    noisy = datasets.generate("iraven_x", n=300, seed=4, columns=4, maxval=50, confounders=300)
    arrays = noisy.components[0]
    kept = {name: levels for name, levels in arrays.attributes.items() if not name.startswith("Confounder")}
    assert len(arrays.attributes) == 304
    assert equal(replace(noisy, components=(replace(arrays, attributes=kept),)), plain)
    noise = np.stack([levels for name, levels in arrays.attributes.items() if name.startswith("Confounder")])
    assert noise.min() == 0 and noise.max() == 49
    # n = 300 x 300 x 23 uniform draws: four standard errors of the mean
    assert abs(noise.mean() - 24.5) < 4 * np.sqrt((50**2 - 1) / 12 / noise.size)


def test_chunks_and_starts_give_the_same_puzzles() -> None:
    whole = datasets.generate("iraven_x", n=40, seed=5, columns=10, maxval=1_000, confounders=300)
    alone = datasets.generate("iraven_x", n=1, start=37, seed=5, columns=10, maxval=1_000, confounders=300)
    assert equal(whole[37:38], alone)
    long = datasets.generate("iraven_x", n=6_000, seed=5, columns=10, maxval=1_000)
    assert equal(long[5_990:], datasets.generate("iraven_x", n=10, start=5_990, seed=5, columns=10, maxval=1_000))


def test_every_reference_puzzle_is_possible(reference: Path) -> None:
    read = datasets.read(reference / "I-RAVEN-X")
    assert len(read) == 5
    for stem, puzzles in read.items():
        found = faults(replace(puzzles, dataset="iraven_x"))
        assert {fault: int(bad.sum()) for fault, bad in found.items() if bad.any()} == {}, stem

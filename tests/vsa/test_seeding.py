"""Child seeds: fixed for ever, distinct for distinct paths, independent of each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsa.errors import DtypeError
from vsa.seeding import child_seed

paths = st.lists(st.one_of(st.text(max_size=5), st.integers(-(10**30), 10**30)), max_size=4).map(tuple)


@pytest.mark.parametrize(
    "path, seed",
    [
        ((0,), 4799586192825029750),
        ((0, "a", 1), 8092405974454843249),
        ((-5, "ü"), 5732853578742134463),
        ((2**70, "1"), 2525697703457703417),
        ((0, "ab"), 1113015793978995149),
        ((0, "a", "b"), 2701815984863966181),
    ],
)
def test_golden_values(path: tuple, seed: int) -> None:
    """A change here changes every generated puzzle."""
    assert child_seed(*path) == seed


@given(st.integers(), paths, paths)
def test_paths_and_seeds_correspond(seed: int, one: tuple, other: tuple) -> None:
    assert 0 <= child_seed(seed, *one) < 2**63
    assert (child_seed(seed, *one) == child_seed(seed, *other)) == (
        [(type(name), name) for name in one] == [(type(name), name) for name in other]
    )


def test_numpy_integers_are_integers() -> None:
    assert child_seed(np.int64(3), np.uint8(7)) == child_seed(3, 7)


def test_bits_are_balanced() -> None:
    """20,000 consecutive indices: each of the 63 bits is set in half of them, within 5 standard errors."""
    seeds = np.array([child_seed(0, "puzzle", i) for i in range(20_000)], dtype=np.uint64)
    share = ((seeds[:, None] >> np.arange(63, dtype=np.uint64)) & 1).mean(0)
    assert np.abs(share - 0.5).max() < 5 * 0.5 / np.sqrt(20_000)
    assert len(np.unique(seeds)) == len(seeds)


@pytest.mark.parametrize(
    "path, sentence",
    [
        (("0",), "child_seed, seed: received '0' of type str; expected an integer"),
        ((1.5,), "child_seed, seed: received 1.5 of type float; expected an integer"),
        ((True,), "child_seed, seed: received True of type bool; expected an integer"),
        ((0, None), "child_seed, name: received None of type NoneType; expected strings and integers"),
        ((0, ("a",)), "child_seed, name: received ('a',) of type tuple; expected strings and integers"),
    ],
)
def test_wrong_types(path: tuple, sentence: str) -> None:
    with pytest.raises(DtypeError) as caught:
        child_seed(*path)
    assert str(caught.value) == sentence

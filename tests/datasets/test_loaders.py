"""Data sets for torch: which puzzles, in which order, from where."""

from __future__ import annotations

import functools
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Subset

import datasets
from datasets.arrays import equal
from datasets.loaders import PuzzleBatch, PuzzleDataset, collate, load, split_indices
from datasets.puzzle import Puzzle
from vsa.errors import DtypeError, SettingsError, UnknownNameError, VSAError

FIXTURES = Path(__file__).parents[1] / "fixtures" / "puzzles"


@functools.cache
def small(n: int = 23, constellation: str = "2x2") -> PuzzleDataset:
    return PuzzleDataset(datasets.generate("iraven", constellation, n=n, seed=1))


# ------------------------------------------------------------------------------------------------------------- splits


def test_splits_are_disjoint_and_complete() -> None:
    train, val, test = (split_indices(split, n) for split, n in (("train", 60), ("val", 20), ("test", 20)))
    assert sorted([*train, *val, *test]) == list(range(100))
    assert set(train % 10) == {0, 1, 2, 3, 4, 5}
    assert set(val % 10) == {6, 7}
    assert set(test % 10) == {8, 9}
    np.testing.assert_array_equal(split_indices("all", 7), np.arange(7))


def test_n_counts_the_puzzles_of_the_split() -> None:
    for split, first in (("train", [0, 1, 2]), ("val", [6, 7, 16]), ("test", [8, 9, 18])):
        data = load("iraven", split, "center", n=25)
        assert len(data) == 25
        assert data.arrays.index[:3].tolist() == first
    whole = datasets.generate("iraven", "center_single", n=200)
    assert equal(data.arrays, whole[data.arrays.index])


def test_names_and_defaults() -> None:
    assert load("iraven", constellation="out_in", n=2).arrays.constellation == "in_center_single_out_center_single"
    wide = load("iraven_x", n=2).arrays
    assert (wide.columns, wide.maxval) == (10, 1000)
    other = load("iraven_x", n=2, columns=3, maxval=10, confounders=2).arrays
    assert (other.columns, other.maxval, len(other.components[0].attributes)) == (3, 10, 6)
    assert datasets.load is load
    assert (
        repr(load("iraven_x", n=2)) == "PuzzleDataset(2 puzzles, iraven_x center_single, 10 columns, values 0 to 1000)"
    )


@pytest.mark.parametrize("name", ["raven", "iraven", "raven_fair"])
def test_every_generated_set_loads(name: str) -> None:
    data = load(name, "val", "distribute_four", n=3, seed=5)
    assert data.arrays.dataset == name
    assert equal(data.arrays, load(name, "val", "2x2", n=3, seed=5).arrays)
    assert not equal(data.arrays, load(name, "val", "2x2", n=3, seed=6).arrays)


# -------------------------------------------------------------------------------------------------------------- files


def test_files_use_every_puzzle_unless_a_split_is_named() -> None:
    tree = FIXTURES / "I-RAVEN"
    assert load("files", constellation="center", path=tree).arrays.index.tolist() == [0, 7]
    assert load("files", "train", "center", path=tree).arrays.index.tolist() == [0]
    assert load("files", "val", "center", path=tree).arrays.index.tolist() == [7]
    assert load("files", "all", "center", path=tree, n=1).arrays.index.tolist() == [0]
    with pytest.raises(SettingsError, match="received 0 puzzles in split test; expected at least 1"):
        load("files", "test", "center", path=tree)
    with pytest.raises(SettingsError, match="received 2 puzzles in split all; expected at least 3"):
        load("files", None, "center", path=tree, n=3)


def test_json_files_by_constellation_or_stem(tmp_path: Path) -> None:
    assert len(load("files", None, "left_right", path=FIXTURES / "I-RAVEN-json")) == 5
    stem = "center_single_shuffle_n_3_maxval_10"
    assert load("files", None, stem, path=FIXTURES / "I-RAVEN-X").arrays.maxval == 10
    with pytest.raises(SettingsError, match=r"which 3 of the puzzle sets have; .*name one by its file"):
        load("files", None, "center", path=FIXTURES / "I-RAVEN-X")
    with pytest.raises(SettingsError, match="which 0 of the puzzle sets have"):
        load("files", None, "3x3", path=FIXTURES / "I-RAVEN-json")
    with pytest.raises(UnknownNameError, match=r"puzzle set 'centre_single'.*did you mean 'center_single'"):
        load("files", None, "centre_single", path=FIXTURES / "I-RAVEN-json")
    wide = tmp_path / "center_single.json"
    shutil.copy(FIXTURES / "I-RAVEN-X" / "center_single_shuffle_n_10_maxval_100.json", wide)
    assert load("files", path=wide, maxval=100, columns=10).arrays.maxval == 100


@pytest.mark.parametrize(
    "arguments, options, words",
    [
        (("i-raven",), {}, "data set 'i-raven'; expected one of raven, iraven, .*did you mean 'iraven'"),
        (("iraven", "training"), {}, "split 'training'; expected one of train, val, test, all; did you mean 'train'"),
        (("iraven", "train", "centre"), {}, "constellation 'centre'.*did you mean 'center'"),
        (("iraven",), {"n": 0}, "received n = 0; expected at least 1"),
        (
            ("iraven",),
            {"path": "x"},
            "received path with data set 'iraven'; expected no path; name the data set 'files'",
        ),
        (("files",), {"confounders": 2}, "received confounders = 2; expected none: the files say"),
        (("iraven",), {"columns": 5}, "columns"),
        (("iraven_x",), {"columns": 0}, "columns"),
        (("files",), {}, "received no path; expected a folder or a file; give path="),
    ],
)
def test_wrong_requests(arguments: tuple[str, ...], options: dict[str, object], words: str) -> None:
    with pytest.raises(VSAError, match=words):
        load(*arguments, **options)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------------ batches


@given(
    n=st.integers(1, 40),
    size=st.integers(1, 17),
    seed=st.integers(0, 2**60),
    epoch=st.integers(0, 5),
    drop=st.booleans(),
    start=st.integers(0, 6),
)
@settings(max_examples=60, deadline=None)
def test_a_resumed_epoch_is_the_rest_of_the_epoch(
    n: int, size: int, seed: int, epoch: int, drop: bool, start: int
) -> None:
    data = PuzzleDataset(small(40).arrays[:n])
    options = {"shuffle": True, "seed": seed, "epoch": epoch, "drop_last": drop}
    whole = [batch.index.tolist() for batch in data.batches(size, **options)]
    rest = [batch.index.tolist() for batch in data.batches(size, **options, start=start)]
    assert rest == whole[start:]
    flat = [k for batch in whole for k in batch]
    assert len(set(flat)) == len(flat) == (n - n % size if drop else n)
    assert all(len(batch) == size for batch in whole[: len(whole) if drop else -1])


def test_the_order_depends_on_seed_and_epoch() -> None:
    data = small(200)
    orders = [data.order(seed, epoch).tolist() for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4
    assert data.order(0, 0).tolist() == orders[0]
    # The places of puzzle 0 over 2,000 epochs are uniform: mean 99.5, standard error 57.7 / sqrt(2000); 5 of them.
    places = [int(np.flatnonzero(data.order(3, epoch) == 0)[0]) for epoch in range(2000)]
    assert abs(np.mean(places) - 99.5) < 5 * 57.7 / np.sqrt(2000)
    # A golden order: results of a resumed run must not depend on a library's version.
    assert small(10).order(0, 0).tolist() == GOLDEN


GOLDEN = [3, 2, 6, 1, 7, 0, 4, 5, 8, 9]


def test_unshuffled_batches() -> None:
    batches = list(small(10).batches(4))
    assert [batch.index.tolist() for batch in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    for options, words in (({"batch_size": 0}, "batch_size = 0"), ({"batch_size": 2, "start": -1}, "start = -1")):
        with pytest.raises(SettingsError, match=words):
            small(3).batches(**options)


def test_a_batch_holds_its_puzzles() -> None:
    data = small()
    batch = data.__getitems__([5, 2, 5])
    assert len(batch) == 3
    assert batch.index.tolist() == [5, 2, 5]
    assert batch.target.dtype == batch.index.dtype == torch.int64
    assert batch.target.tolist() == data.arrays.target[[5, 2, 5]].tolist()
    assert equal(batch.arrays, data.arrays[np.array([5, 2, 5])])
    moved = batch.to("meta")
    assert moved.target.device.type == "meta"
    assert batch.target.device.type == "cpu"


@pytest.mark.parametrize("workers", [0, 2])
def test_in_a_data_loader(workers: int) -> None:
    data = small(23)

    def epoch(source: object) -> list[PuzzleBatch]:
        generator = torch.Generator().manual_seed(1)
        loader = DataLoader(
            source,  # type: ignore[arg-type]
            batch_size=5,
            shuffle=True,
            num_workers=workers,
            collate_fn=collate,
            generator=generator,
        )
        return list(loader)

    batches = epoch(data)
    assert [len(batch) for batch in batches] == [5, 5, 5, 5, 3]
    assert sorted(k for batch in batches for k in batch.index.tolist()) == list(range(23))
    for batch in batches:
        assert equal(batch.arrays, data.arrays[batch.index.numpy()])
    part = epoch(Subset(data, range(3, 9)))
    assert sorted(k for batch in part for k in batch.index.tolist()) == list(range(3, 9))


def test_items_are_puzzles_and_everything_pickles() -> None:
    data = small(4)
    assert isinstance(data[3], Puzzle)
    assert data[-1] == data[3]
    assert len(list(data)) == 4
    again = pickle.loads(pickle.dumps(data))
    assert equal(again.arrays, data.arrays)
    assert pickle.loads(pickle.dumps(PuzzleBatch.of(data.arrays))).index.tolist() == [0, 1, 2, 3]
    with pytest.raises(DtypeError, match="received 2 x Puzzle; expected a PuzzleBatch"):
        collate([data[0], data[1]])

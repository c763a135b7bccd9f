"""What a layout says before a puzzle is seen is what the puzzles then show."""

from __future__ import annotations

import pytest

import datasets
from datasets import Layout
from reasoning.perception.oracle import Oracle
from vsa.errors import UnknownNameError, VSAError


def widths(arrays):
    scene = Oracle()(datasets.PuzzleBatch.of(arrays))
    return {tuple(key): value.shape[-1] for key, value in (*scene.pmfs.items(), *scene.sets.items())}


@pytest.mark.parametrize("constellation", datasets.CONSTELLATIONS)
def test_attributes_are_those_of_the_scene(constellation):
    arrays = datasets.generate("iraven", constellation, n=2, seed=0)
    assert Layout.of(arrays).attributes(constellation) == widths(arrays)


@pytest.mark.parametrize(("columns", "maxval", "confounders"), [(3, 10, 0), (4, 20, 3)])
def test_attributes_of_rows_and_ranges(columns, maxval, confounders):
    arrays = datasets.generate("iraven_x", n=2, seed=0, columns=columns, maxval=maxval, confounders=confounders)
    layout = Layout.of(arrays)
    assert (layout.columns, layout.maxval, layout.confounders) == (columns, maxval, confounders)
    assert layout.attributes("center_single") == widths(arrays)


def test_several_sets_make_one_layout():
    sets = [datasets.generate("iraven", name, n=2, seed=0) for name in ("center", "2x2", "center")]
    layout = Layout.of(*sets)
    assert layout.constellations == ("center_single", "distribute_four")
    assert layout.rules == ("Constant", "Progression", "Arithmetic", "Distribute_Three")


def test_wrong_layouts_are_sentences():
    three = datasets.generate("iraven", n=2, seed=0)
    four = datasets.generate("iraven_x", n=2, seed=0, columns=4, maxval=20)
    for sets in ((), (three, four)):
        with pytest.raises(VSAError, match="expected one length"):
            Layout.of(*sets)
    with pytest.raises(VSAError, match="no constellation"):
        Layout("iraven", ())
    with pytest.raises(UnknownNameError, match="5x5"):
        Layout("iraven", ("5x5",))
    with pytest.raises(UnknownNameError, match="distribute_nine"):
        Layout.of(three).attributes("distribute_nine")


def test_a_data_set_is_shown_as_its_arrays_are():
    arrays = datasets.generate("iraven_x", n=2, seed=0, columns=3, maxval=10)
    assert str(datasets.show(datasets.PuzzleDataset(arrays))) == str(datasets.show(arrays))

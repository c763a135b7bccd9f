"""Attribute-rule pairs held out: what training sees, what evaluation sees, and how many puzzles there are."""

from __future__ import annotations

import numpy as np
import pytest

import datasets
from datasets import holdout
from datasets.arrays import RULE_NAMES
from datasets.rules import rule_code
from reasoning import benchmark
from reasoning.setup import build, commands, training_settings
from reasoning.setup.settings import DatasetSettings
from vsa.errors import SettingsError, UnknownNameError


@pytest.fixture
def data(tmp_path):
    return DatasetSettings("iraven", n=30, holdout="Type/Progression", cache_dir=str(tmp_path))


def types(puzzles):
    return [RULE_NAMES[code] for code in puzzles.arrays.components[0].rules[:, 1]]


def test_training_never_sees_the_pair_and_evaluation_nothing_else(data):
    (training,) = build.puzzle_sets(data, "center", "train", 30, training=True).values()
    (testing,) = build.puzzle_sets(data, "center", "test", 30).values()
    assert len(training) == len(testing) == 30
    assert "Progression" not in types(training)
    assert set(types(testing)) == {"Progression"}
    assert set(training.arrays.index % 10) <= set(range(6))
    assert set(testing.arrays.index % 10) <= {8, 9}


def test_the_puzzles_are_the_first_of_the_sequence(data):
    """However many are asked for, and whether they are cached."""
    every = datasets.load("iraven", "test", "center", n=400, cache_dir=data.cache_dir).arrays
    wanted = every.index[holdout.follows(holdout.parse("Type/Progression"), every)]
    for n in (7, 30):
        (found,) = build.puzzle_sets(data, "center", "test", n).values()
        assert found.arrays.index.tolist() == wanted[:n].tolist()


def test_any_component_counts():
    arrays = datasets.generate("iraven", "left_right", n=200, seed=3)
    found = holdout.follows(holdout.Pair("Color", "Constant"), arrays)
    each = [component.rules[:, 3] == rule_code("Constant") for component in arrays.components]
    assert np.array_equal(found, each[0] | each[1])
    assert (each[0] & ~each[1]).any()


def test_number_and_position_are_told_apart():
    arrays = datasets.generate("iraven", "2x2", n=300, seed=3)
    number, position, both = (
        holdout.follows(holdout.Pair(name, "Progression"), arrays) for name in ("Number", "Position", "Number/Position")
    )
    assert number.any()
    assert position.any()
    assert not (number & position).any()
    assert np.array_equal(number | position, both)
    single = datasets.generate("iraven", "center", n=20, seed=3)
    assert not holdout.follows(holdout.parse("Number/Position/Constant"), single).any()


def test_files_are_filtered_too(reference):
    folder = str(reference / "I-RAVEN" / "center_single")
    every, without, only = (
        next(
            iter(
                build.puzzle_sets(
                    DatasetSettings("files", path=folder, holdout=pair), "all", None, None, training=training
                ).values()
            )
        )
        for pair, training in ((None, False), ("Color/Arithmetic", True), ("Color/Arithmetic", False))
    )
    assert len(without) + len(only) == len(every)
    assert len(only) > 0


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("Type", SettingsError, r"Type/Progression"),
        ("Typ/Progression", UnknownNameError, r"did you mean 'Type'"),
        ("Type/Progresion", UnknownNameError, r"did you mean 'Progression'"),
        ("Size/Constant/Arithmetic", UnknownNameError, r"attribute 'Size/Constant'"),
    ],
)
def test_bad_names_are_a_sentence(text, error, words):
    with pytest.raises(error, match=words):
        DatasetSettings("iraven", holdout=text)


def test_a_pair_that_never_occurs_is_a_sentence(data):
    missing = DatasetSettings("iraven", holdout="Type/Arithmetic", cache_dir=data.cache_dir)
    with pytest.raises(SettingsError, match=r"received 0 of 1100 puzzles with it; expected 1; this constellation"):
        build.puzzle_sets(missing, "center", "test", 1)


def test_both_commands_take_it():
    line = ["+model=arlc", "dataset.holdout=Size/Arithmetic"]
    assert training_settings.parse(commands.compose_settings("train", line)).dataset.holdout == "Size/Arithmetic"
    assert benchmark.parse(line).dataset.holdout == "Size/Arithmetic"


def test_several_ranges_are_evaluated(tmp_path):
    line = [
        "+model=arlc",
        "dataset=iraven_x",
        "dataset.maxval=50",
        "dataset.test_maxval=[100,1000]",
        "dataset.test_n=5",
        f"dataset.cache_dir={tmp_path}",
    ]
    settings = training_settings.parse(commands.compose_settings("train", line))
    sets = build.ranges(settings.dataset, "all")
    assert {name: part.arrays.maxval for name, part in sets.items()} == {
        "center_single_n_10_maxval_100": 100,
        "center_single_n_10_maxval_1000": 1000,
    }
    with pytest.raises(SettingsError, match=r"dataset\.test_maxval"):
        training_settings.parse(commands.compose_settings("train", [*line, "dataset.test_maxval=[0]"]))
    with pytest.raises(SettingsError, match=r"expected dataset\.maxval"):
        benchmark.parse(["+model=arlc", "dataset=iraven_x", "dataset.test_maxval=[100]"])

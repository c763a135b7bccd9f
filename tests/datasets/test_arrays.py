"""Puzzle arrays: slicing, joining, validation, names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import datasets
from datasets.arrays import ComponentArrays, PuzzleArrays, equal
from datasets.constellations import CONSTELLATIONS, SHORT_NAMES, resolve_constellation
from vsa.errors import DtypeError, SettingsError, ShapeError, UnknownNameError, VSAError


@pytest.fixture(scope="module")
def puzzles() -> PuzzleArrays:
    return datasets.generate("iraven", "out_in_grid", n=20, seed=5)


def with_component(puzzles: PuzzleArrays, k: int, **changes: object) -> PuzzleArrays:
    components = list(puzzles.components)
    components[k] = replace(components[k], **changes)
    return replace(puzzles, components=tuple(components))


def test_slices_are_views_and_arrays_choose(puzzles: PuzzleArrays) -> None:
    part = puzzles[3:7]
    assert len(part) == 4
    assert np.shares_memory(part.components[1].exists, puzzles.components[1].exists)
    chosen = puzzles[np.array([6, 3])]
    assert equal(chosen[1:2], puzzles[3:4])
    assert equal(puzzles[np.arange(20) < 2], puzzles[:2])
    with pytest.raises(DtypeError, match=r"arrays\[k : k \+ 1\]"):
        puzzles[3]


def test_concatenate_is_the_inverse_of_slicing(puzzles: PuzzleArrays) -> None:
    assert equal(PuzzleArrays.concatenate([puzzles[:3], puzzles[3:4], puzzles[4:]]), puzzles)
    unmarked = replace(puzzles[:3], modified=None)
    assert PuzzleArrays.concatenate([unmarked, puzzles[3:]]).modified is None


def test_concatenate_refuses_other_kinds(puzzles: PuzzleArrays) -> None:
    with pytest.raises(VSAError, match="expected at least one batch"):
        PuzzleArrays.concatenate([])
    with pytest.raises(VSAError, match="constellation"):
        PuzzleArrays.concatenate([puzzles, datasets.generate("iraven", "center", n=1)])
    x = datasets.generate("iraven_x", n=2, maxval=50)
    with pytest.raises(VSAError, match="Confounder0"):
        PuzzleArrays.concatenate([x, datasets.generate("iraven_x", n=2, maxval=50, confounders=1)])


def test_equal_sees_a_single_bit(puzzles: PuzzleArrays) -> None:
    assert equal(puzzles, puzzles[:])
    target = puzzles.target.copy()
    target[7] = (target[7] + 1) % 8
    assert not equal(puzzles, replace(puzzles, target=target))


def test_complete_puts_the_answer_into_the_matrix(puzzles: PuzzleArrays) -> None:
    full = puzzles.complete()
    for ours, theirs in zip(full.components, puzzles.components, strict=True):
        assert ours.exists.shape[1] == 9
        answer = theirs.attributes["Color"][np.arange(20), 8 + puzzles.target.astype(int)]
        assert np.array_equal(ours.attributes["Color"][:, 8], answer)


def _spoil(array: np.ndarray, value: int, where: tuple[int, ...]) -> np.ndarray:
    out = array.copy()
    out[where] = value
    return out


def _size(c: ComponentArrays, value: int) -> dict[str, object]:
    slot = int(np.argmax(c.exists[0, 0]))
    return {"attributes": {**c.attributes, "Size": _spoil(c.attributes["Size"], value, (0, 0, slot))}}


@pytest.mark.parametrize(
    "spoil, error, sentence",
    [
        (lambda p: replace(p, dataset="ravem"), VSAError, "dataset 'ravem'"),
        (lambda p: replace(p, columns=2), VSAError, "columns = 2; expected at least 3"),
        (lambda p: replace(p, constellation="out_in_grid"), VSAError, "expected the published name"),
        (lambda p: replace(p, components=p.components[:1]), VSAError, "1 components; expected 2"),
        (lambda p: replace(p, target=p.target.astype(np.int64)), DtypeError, "target: received int64; expected int8"),
        (lambda p: replace(p, target=_spoil(p.target, 8, (0,))), VSAError, "target: received 8; expected at most 7"),
        (lambda p: replace(p, modified=p.modified[:, :7]), ShapeError, "modified: received shape"),
        (lambda p: with_component(p, 0, exists=p.components[1].exists), ShapeError, "component 0.exists"),
        (lambda p: with_component(p, 1, exists=p.components[1].exists & False), VSAError, "a panel without an entity"),
        (lambda p: with_component(p, 1, **_size(p.components[1], 1)), VSAError, "Size: received 1; expected at least"),
        (lambda p: with_component(p, 1, **_size(p.components[1], -1)), VSAError, "-1 exactly where no entity is"),
        (lambda p: with_component(p, 0, attributes={}), VSAError, "expected Type, Size and Color"),
        (lambda p: with_component(p, 0, rules=p.components[0].rules + 4), VSAError, "rules: received"),
    ],
)
def test_validate_says_what_is_wrong(
    puzzles: PuzzleArrays, spoil: Callable[[PuzzleArrays], PuzzleArrays], error: type[Exception], sentence: str
) -> None:
    assert puzzles.validate() is puzzles
    with pytest.raises(error, match=re.escape(sentence)):
        spoil(puzzles).validate()


def test_constellation_names() -> None:
    assert len(CONSTELLATIONS) == len(SHORT_NAMES) == 7
    for short, name in SHORT_NAMES.items():
        assert resolve_constellation(short) == resolve_constellation(name) == name
    with pytest.raises(UnknownNameError, match="did you mean 'distribute_four'"):
        resolve_constellation("distribute_for")


@pytest.mark.parametrize(
    "call, error, sentence",
    [
        ({"name": "iravn", "n": 1}, UnknownNameError, "did you mean 'iraven'"),
        ({"name": "iraven", "n": 0}, VSAError, "n=0; expected at least 1"),
        ({"name": "iraven", "n": 1, "start": -1}, VSAError, "start=-1"),
        ({"name": "iraven", "n": 1, "start": 10**18}, VSAError, "numbers below 10 ** 18"),
        ({"name": "iraven_x", "n": 1, "start": 10**30}, VSAError, "numbers below 10 ** 18"),
        ({"name": "iraven", "n": 2.5}, DtypeError, "n=2.5"),
        ({"name": "iraven", "n": 1, "columns": 10}, SettingsError, "options of iraven_x"),
        ({"name": "iraven_x", "constellation": "2x2", "n": 1}, SettingsError, "expected center_single"),
        ({"name": "iraven_x", "n": 1, "columns": 10, "maxval": 18}, VSAError, "19 .. 32766"),
        ({"name": "iraven_x", "n": 1, "columns": 2}, VSAError, "columns=2"),
        ({"name": "iraven_x", "n": 1, "confounders": 301}, VSAError, "0 .. 300"),
    ],
)
def test_generate_refuses_with_a_sentence(call: dict[str, object], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=re.escape(sentence)):
        datasets.generate(**call)  # type: ignore[arg-type]

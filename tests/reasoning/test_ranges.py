"""The values that a component may have: said by whoever makes a scene, kept, checked, and used by exact inference."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import datasets
from datasets.loaders import PuzzleBatch
from reasoning.perception.oracle import Oracle
from reasoning.scene import AttributeKey, Scene
from vsa.errors import DtypeError, VSAError

SIZE = AttributeKey(0, "Size")


def scene(constellation: str = "out_in_grid", **options) -> Scene:
    batch = PuzzleBatch.of(datasets.generate("iraven", constellation, n=4, seed=2))
    return Oracle(**options)(batch, entities=True)


def plain(limits: object = (2, 4), **more) -> Scene:
    pmf = torch.zeros(2, 16, 7)
    pmf[..., 2:5] = 1 / 3
    return Scene(3, {SIZE: pmf}, ranges={SIZE: limits, **more})


def test_the_oracle_says_what_the_components_may_have() -> None:
    for options in ({}, {"stress": "calibrated", "p_left": 0.3}):
        ranges = scene(**options).ranges
        assert ranges[SIZE] == (4, 6)  # levels 3 to 5 of the outer component, magnitudes one more
        assert ranges[0, "Color"] == (0, 0)
        assert ranges[1, "Size"] == (3, 6)
        assert ranges[1, "Number"] == (1, 4)
        assert (1, "Position") not in ranges
    assert not scene(smoothing=0.2).ranges
    assert not scene(epsilon=1e-4).ranges
    wide = datasets.generate("iraven_x", n=2, columns=3, maxval=30, confounders=1)
    assert set(Oracle()(PuzzleBatch.of(wide)).ranges.values()) == {(0, 30)}


def test_ranges_are_kept() -> None:
    one = scene()
    for other in (one[:2], one.to(torch.float64), one.with_entities(), one.softened(2.0, 0.1)):
        assert other.ranges == one.ranges
    softened = one.softened(floor=0.3)
    softened.check()
    assert float(softened.pmfs[SIZE][..., :4].sum()) == 0
    assert float(softened.pmfs[0, "Color"][..., 0].min()) == pytest.approx(1)


def test_own_pmfs_are_brought_into_the_range() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = {
        (c, name): torch.randn(3, 16, width, generator=generator)
        for c in (0, 1)
        for name, width in (("Type", 5), ("Size", 6), ("Color", 10))
    }
    found = Scene.from_pmfs(logits, "out_in", logits=True, floor=0.2)
    assert found.ranges[SIZE] == (4, 6)
    pmf = logits[0, "Size"].softmax(-1)[..., 3:]
    wanted = 0.8 * pmf / pmf.sum(-1, keepdim=True) + 0.2 / 3
    torch.testing.assert_close(found.pmfs[SIZE][..., 4:], wanted)
    certain = {
        key: torch.nn.functional.one_hot(torch.zeros(3, 16).long(), value.shape[-1]) for key, value in logits.items()
    }
    assert float(Scene.from_pmfs(certain, "out_in").pmfs[SIZE][..., 4:].min()) == pytest.approx(1 / 3)


def test_what_lies_outside_is_refused() -> None:
    assert plain().ranges == {SIZE: (2, 4)}
    with pytest.raises(VSAError, match=r"0\|Size: received a mass of 0.3333 on values outside its range; expected all"):
        plain((3, 4))
    changed = plain()
    changed.pmfs[SIZE][1, 3] = torch.eye(7)[0]
    with pytest.raises(VSAError, match="a mass of 1 on values outside"):
        changed.check()
    within = scene("2x2")
    within.entities[0, "Type"][0, 0] = torch.eye(within.entities[0, "Type"].shape[-1])[0]
    with pytest.raises(VSAError, match="outside its range"):
        within.check()


@pytest.mark.parametrize(
    ("limits", "kind", "words"),
    [
        ((4, 2), VSAError, r"4 .. 2; expected 0 <= lowest <= highest"),
        ((-1, 2), VSAError, r"-1 .. 2"),
        ((2, 7), VSAError, r"2 .. 7; expected at most 6"),
        ((2,), DtypeError, r"\(2,\); expected two integers"),
        ((2.0, 4.0), DtypeError, "expected two integers"),
        ((False, True), DtypeError, "expected two integers"),
        (3, DtypeError, "received 3; expected two integers"),
    ],
)
def test_what_is_no_range_is_a_sentence(limits: object, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        plain(limits)


def test_a_range_of_nothing_is_a_sentence() -> None:
    with pytest.raises(VSAError, match=r"1\|Size: received no PMF of that attribute; expected one of 0\|Size"):
        Scene(3, {SIZE: torch.full((1, 16, 4), 0.25)}, ranges={(1, "Size"): (0, 1)})
    with pytest.raises(DtypeError, match="ranges as a list"):
        Scene(3, {SIZE: torch.full((1, 16, 4), 0.25)}, ranges=[(0, 1)])  # type: ignore[arg-type]


def test_numpys_integers_are_integers() -> None:
    assert plain((np.int64(2), np.int32(4))).ranges == {SIZE: (2, 4)}

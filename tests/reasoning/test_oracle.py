"""Oracle perception: magnitudes on the axis, shares or missing mass, nothing of rules or target."""

import numpy as np
import pytest
import torch

import datasets
from datasets.rules import rule_code
from reasoning import perception
from reasoning.perception.oracle import Oracle
from reasoning.scene import AttributeKey
from vsa.errors import SettingsError, UnknownNameError


def batch(constellation, n=20, name="iraven", **options):
    data = datasets.PuzzleDataset(datasets.generate(name, constellation, n=n, seed=3, **options))
    return next(iter(data.batches(n)))


def test_axis_is_the_magnitude_that_arithmetic_adds():
    part = batch("center", n=200)
    scene = Oracle()(part)
    component = part.arrays.components[0]
    adding = component.rules[:, 2] == rule_code("Arithmetic")
    size = scene.pmfs[AttributeKey(0, "Size")].argmax(-1).numpy()
    first, second, third = size[adding, 0], size[adding, 1], size[adding, 2]
    assert adding.sum() > 20
    assert np.all((first + second == third) | (first - second == third))
    assert size.min() == 1
    assert np.array_equal(scene.pmfs[AttributeKey(0, "Type")].argmax(-1).numpy(), component.attributes["Type"][..., 0])


def test_keys_of_a_grid_and_of_single_slots():
    grid = Oracle()(batch("out_in_grid"))
    assert set(grid.sets) == {AttributeKey(1, "Position")}
    assert {key.name for key in grid.pmfs if key.component == 1} == {"Number", "Type", "Size", "Color"}
    assert {key.name for key in grid.keys if key.component == 0} == {"Type", "Size", "Color"}


def test_differing_entities_show_shares_or_miss_mass():
    part = batch("3x3", n=100)
    key = AttributeKey(0, "Color")
    shares, missing = Oracle()(part).pmfs[key], Oracle(mixed="missing")(part).pmfs[key]
    torch.testing.assert_close(shares.sum(-1), torch.ones(shares.shape[:2]))
    alike = missing.sum(-1) == 1
    assert 0 < alike.float().mean() < 1
    torch.testing.assert_close(shares[alike], missing[alike])
    assert float(missing[~alike].sum()) == 0
    colors = part.arrays.components[0].attributes["Color"]
    for puzzle, panel in (~alike).nonzero()[:20].tolist():
        present = colors[puzzle, panel][colors[puzzle, panel] >= 0]
        expected = np.bincount(present, minlength=10) / len(present)
        np.testing.assert_allclose(shares[puzzle, panel].numpy(), expected, atol=1e-6)


def test_smoothing_reaches_shares_too():
    part = batch("2x2", n=50)
    pmf = Oracle(smoothing=0.2)(part).pmfs[AttributeKey(0, "Size")]
    torch.testing.assert_close(pmf.sum(-1), torch.ones(pmf.shape[:2]))
    assert float(pmf[..., 1:].min()) > 0


def test_stress_of_a_puzzle_does_not_depend_on_its_batch():
    part = batch("center", n=30, name="iraven_x", columns=3, maxval=50)
    front = Oracle(stress="calibrated", p_left=0.5, seed=4)
    whole = front(part)
    data = datasets.PuzzleDataset(part.arrays[7:9])
    few = front(next(iter(data.batches(2))))
    for key, pmf in few.pmfs.items():
        torch.testing.assert_close(pmf, whole.pmfs[key][7:9])


def test_confounders_can_be_left_out():
    part = batch("center", n=4, name="iraven_x", columns=3, maxval=20, confounders=3)
    assert len(Oracle()(part).pmfs) == 6
    assert len(Oracle(confounders=False)(part).pmfs) == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [({"mixed": "bag"}, "shares"), ({"stress": "hard"}, "calibrated"), ({"p_left": 2.0}, r"\[0, 1\]")],
)
def test_wrong_options_are_a_sentence(options, words):
    with pytest.raises(SettingsError, match=words):
        Oracle(**options)(batch("center", n=1))


def test_unknown_front_end_says_what_exists():
    with pytest.raises(UnknownNameError, match="oracle"):
        perception.get("orcale")

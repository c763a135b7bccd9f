"""PMFs from labels against a plain loop over panels and entities, and the statistics of the two stresses."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import datasets
from datasets.arrays import PuzzleArrays
from datasets.pmf import LabelPMFs, attribute_keys, oracle_pmfs, shown_panels, value_count
from vsa.errors import SettingsError, VSAError

CONSTELLATIONS = list(datasets.CONSTELLATIONS)


@functools.cache
def wide(n: int = 40, confounders: int = 2, maxval: int = 50) -> PuzzleArrays:
    return datasets.generate("iraven_x", n=n, seed=3, columns=5, maxval=maxval, confounders=confounders)


def looped(arrays: PuzzleArrays) -> LabelPMFs:
    """The definition, one entity after the other."""
    n, last = arrays.columns, arrays.columns**2 + 7
    panels = range((n - 3) * n, last)
    pmfs, sets = {}, {}
    for c, component in enumerate(arrays.components):
        names = ["Type", "Size", "Color", *(k for k in component.attributes if k.startswith("Confounder"))]
        for name in names:
            low = 1 if name == "Type" and arrays.maxval is None else 0
            count = {"Type": 5, "Size": 6, "Color": 10}[name] if arrays.maxval is None else arrays.maxval + 1
            pmf = np.zeros((len(arrays), len(panels), count))
            for i in range(len(arrays)):
                for k, p in enumerate(panels):
                    seen = {int(v) for v in component.attributes[name][i, p] if v >= 0}
                    if len(seen) == 1:
                        pmf[i, k, seen.pop() - low] = 1
            pmfs[c, name] = pmf
        if component.slots > 1:
            number = np.zeros((len(arrays), len(panels), component.slots))
            for i in range(len(arrays)):
                for k, p in enumerate(panels):
                    number[i, k, int(component.exists[i, p].sum()) - 1] = 1
            pmfs[c, "Number"] = number
            sets[c, "Position"] = component.exists[:, (n - 3) * n :].astype(float)
    return LabelPMFs(n, pmfs, sets)


@pytest.mark.parametrize("name", ["raven", "iraven"])
@pytest.mark.parametrize("constellation", CONSTELLATIONS)
def test_labels_give_what_the_loop_gives(name: str, constellation: str) -> None:
    arrays = datasets.generate(name, constellation, n=30, seed=1)
    ours, wanted = oracle_pmfs(arrays), looped(arrays)
    assert ours.pmfs.keys() == wanted.pmfs.keys()
    assert ours.sets.keys() == wanted.sets.keys()
    for key, pmf in (*wanted.pmfs.items(), *wanted.sets.items()):
        got = ours.sets[key] if key[1] == "Position" else ours.pmfs[key]
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, pmf)


def test_only_the_last_three_rows_of_a_wide_matrix_are_shown() -> None:
    arrays = wide()
    ours, wanted = oracle_pmfs(arrays), looped(arrays)
    assert ours.pmfs[0, "Type"].shape == (40, 3 * 5 - 1 + 8, 51)
    for key, pmf in wanted.pmfs.items():
        np.testing.assert_array_equal(ours.pmfs[key], pmf)
    assert len(range(*shown_panels(10).indices(107))) == 37


def test_a_panel_whose_entities_differ_has_no_mass() -> None:
    arrays = datasets.generate("iraven", "distribute_nine", n=200, seed=0)
    component = arrays.components[0]
    colors = np.where(component.exists, component.attributes["Color"], 99)
    mixed = colors.min(-1) != np.where(component.exists, component.attributes["Color"], -1).max(-1)
    assert mixed.any()
    assert not mixed.all()
    for options in ({}, {"smoothing": 0.2}, {"epsilon": 1e-4}, {"stress": "calibrated", "p_left": 0.4}):
        mass = oracle_pmfs(arrays, **options).pmfs[0, "Color"].sum(-1)
        np.testing.assert_allclose(mass, 1.0 - mixed, atol=1e-5)


def test_shares_are_those_of_the_entities() -> None:
    arrays = datasets.generate("iraven", "distribute_nine", n=50, seed=2)
    component = arrays.components[0]
    seen = oracle_pmfs(arrays, mixed="shares").pmfs[0, "Size"]
    counts = [(component.attributes["Size"] == level).sum(-1) for level in range(6)]
    np.testing.assert_allclose(seen, np.stack(counts, -1) / component.numbers[..., None], atol=1e-6)
    # Where the entities agree both forms say the same, under stress too.
    for options in ({}, {"stress": "calibrated", "p_left": 0.4, "smoothing": 0.2}):
        missing, shares = (oracle_pmfs(arrays, mixed=m, **options).pmfs[0, "Color"] for m in ("missing", "shares"))
        agree = missing.sum(-1) > 0
        np.testing.assert_allclose(shares[agree], missing[agree], atol=1e-6)
        np.testing.assert_allclose(shares.sum(-1), 1.0, atol=1e-5)


def test_confounders_and_single_slots_are_absent_when_they_should_be() -> None:
    assert list(attribute_keys(wide(n=2, confounders=12), confounders=True))[-1] == (0, "Confounder11")
    assert set(oracle_pmfs(wide(n=2), confounders=False).pmfs) == {(0, "Type"), (0, "Size"), (0, "Color")}
    grid = oracle_pmfs(datasets.generate("iraven", "out_in_grid", n=2))
    assert set(grid.sets) == {(1, "Position")}
    assert (1, "Number") in grid.pmfs
    assert (0, "Number") not in grid.pmfs


def test_smoothing_is_exponential_and_normalised() -> None:
    arrays = datasets.generate("iraven", "2x2", n=20)
    sharp, smooth = oracle_pmfs(arrays), oracle_pmfs(arrays, smoothing=0.2)
    for key, pmf in sharp.pmfs.items():
        values = np.arange(pmf.shape[-1])
        for where in zip(*np.nonzero(pmf.sum(-1)), strict=True):
            weights = np.exp(-np.abs(values - pmf[where].argmax()) / 0.2)
            np.testing.assert_allclose(smooth.pmfs[key][where], weights / weights.sum(), rtol=1e-5, atol=1e-12)
    on = 1 / (1 + np.exp(-5.0))
    occupied = sharp.sets[0, "Position"] == 1
    np.testing.assert_allclose(smooth.sets[0, "Position"], np.where(occupied, on, 1 - on), rtol=1e-5)


def test_epsilon_lies_on_every_other_value() -> None:
    arrays = datasets.generate("iraven", "center", n=20)
    sharp, floor = oracle_pmfs(arrays).pmfs[0, "Color"], oracle_pmfs(arrays, epsilon=1e-4).pmfs[0, "Color"]
    np.testing.assert_allclose(floor, np.where(sharp == 1, 1 - 9e-4, 1e-4), rtol=1e-5)


@pytest.mark.parametrize("stress", ["published", "calibrated"])
@given(start=st.integers(0, 39), stop=st.integers(1, 40), seed=st.integers(0, 2**40))
@settings(max_examples=20, deadline=None)
def test_stress_does_not_depend_on_the_batch(stress: str, start: int, stop: int, seed: int) -> None:
    if start >= stop:
        start, stop = stop - 1, start + 1
    for arrays in (wide(), datasets.generate("iraven", "2x2", n=40)):
        whole = oracle_pmfs(arrays, stress=stress, p_left=0.5, seed=seed)
        order = np.arange(start, stop)[::-1]
        part = oracle_pmfs(arrays[order], stress=stress, p_left=0.5, seed=seed)
        for key, pmf in part.pmfs.items():
            np.testing.assert_array_equal(pmf, whole.pmfs[key][order])
        for key, pmf in part.sets.items():
            np.testing.assert_array_equal(pmf, whole.sets[key][order])


def test_stress_changes_with_seed_attribute_and_panel() -> None:
    arrays = wide(n=300)
    a, b = (oracle_pmfs(arrays, stress="published", p_left=0.5, seed=seed) for seed in (0, 1))
    peak = {key: pmf.max(-1) for key, pmf in a.pmfs.items()}
    assert not np.array_equal(peak[0, "Type"], b.pmfs[0, "Type"].max(-1))
    # Independent draws: correlations of n = 300 * 22 pairs have a standard error of 0.0123; 5 of them are allowed.
    flat = [p.reshape(-1) for p in peak.values()] + [np.roll(peak[0, "Type"], 1, axis=1).reshape(-1)]
    correlations = np.corrcoef(flat)[np.triu_indices(len(flat), 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(flat[0].size)


def test_published_stress_is_centred_on_the_truth() -> None:
    arrays, p_left = wide(n=500), 0.3
    sharp, seen = oracle_pmfs(arrays), oracle_pmfs(arrays, stress="published", p_left=p_left)
    for key, pmf in seen.pmfs.items():
        count = value_count(arrays, key)
        truth = sharp.pmfs[key].argmax(-1)[..., None]
        p, right, left = (np.take_along_axis(pmf, (truth + step) % count, -1)[..., 0] for step in (0, 1, -1))
        np.testing.assert_allclose(p + right + left, 1.0, atol=1e-6)
        np.testing.assert_allclose(pmf.sum(-1), 1.0, atol=1e-6)
        assert p_left <= p.min()
        assert p.max() <= 1
        n = p.size  # 11,000 draws of U(p_left, 1) and of U(0, 1); tolerance 5 standard errors
        assert abs(p.mean() - (1 + p_left) / 2) < 5 * (1 - p_left) / np.sqrt(12 * n)
        assert abs((right / (1 - p)).mean() - 0.5) < 5 / np.sqrt(12 * n)


@pytest.mark.parametrize("p_left", [0.51, 0.0])
def test_calibrated_stress_means_what_it_says(p_left: float) -> None:
    """Of the values that are given a probability q, a share q is true (n > 10,000 per attribute, 5 standard errors)."""
    cases = [(wide(n=500), 3), (datasets.generate("iraven", "3x3", n=700), 1)]
    for arrays, least in cases:
        sharp, seen = oracle_pmfs(arrays), oracle_pmfs(arrays, stress="calibrated", p_left=p_left)
        checked = 0
        for key, pmf in (*seen.pmfs.items(), *seen.sets.items()):
            truth = sharp.sets[key] if key[1] == "Position" else sharp.pmfs[key]
            consistent = np.ones(pmf.shape, bool) if key[1] == "Position" else truth.sum(-1, keepdims=True) > 0
            support = (pmf > 0) & consistent
            says, true = pmf[support], truth[support]
            for low in np.arange(0, 1, 0.1):
                chosen = (says >= low) & (says < low + 0.1)
                if chosen.sum() < 200:
                    continue
                checked += 1
                error = np.sqrt((says[chosen] * (1 - says[chosen])).sum()) / chosen.sum()
                assert abs(true[chosen].mean() - says[chosen].mean()) < 5 * error, (key, low)
        assert checked >= least * 5
    wrong = oracle_pmfs(wide(n=500), stress="calibrated", p_left=0.0).pmfs[0, "Type"].argmax(-1)
    assert (wrong != oracle_pmfs(wide(n=500)).pmfs[0, "Type"].argmax(-1)).mean() > 0.2


def test_no_stress_at_p_left_one() -> None:
    arrays = wide(n=5)
    for stress in ("published", "calibrated"):
        seen = oracle_pmfs(arrays, stress=stress, p_left=1.0)
        np.testing.assert_array_equal(seen.pmfs[0, "Size"], oracle_pmfs(arrays).pmfs[0, "Size"])


def test_smoothing_on_top_of_stress_is_the_mixture_of_smoothed_values() -> None:
    arrays = wide(n=4, maxval=20)
    stressed = oracle_pmfs(arrays, stress="published", p_left=0.5).pmfs[0, "Type"]
    both = oracle_pmfs(arrays, stress="published", p_left=0.5, smoothing=0.5).pmfs[0, "Type"]
    values = np.arange(21)
    kernel = np.exp(-np.abs(values[:, None] - values) / 0.5)
    np.testing.assert_allclose(both, stressed @ (kernel / kernel.sum(1, keepdims=True)), atol=1e-5)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"stress": "hard"}, r"received stress = 'hard'; expected one of none, published, calibrated"),
        ({"mixed": "none"}, r"received mixed = 'none'; expected one of missing, shares"),
        ({"p_left": 1.5}, r"received p_left = 1.5; expected a number in \[0, 1\]"),
        ({"p_left": float("nan")}, "received p_left = nan"),
        ({"smoothing": 0.0}, "received smoothing = 0.0; expected a positive number"),
        ({"smoothing": 0.2, "epsilon": 1e-4}, "expected one of the two"),
        ({"epsilon": 0.5}, "received epsilon = 0.5 on 5 values; expected less than 1 / 4"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        oracle_pmfs(datasets.generate("iraven", "center", n=2), **options)  # type: ignore[arg-type]


def test_labels_out_of_range_are_refused() -> None:
    arrays = datasets.generate("iraven", "center", n=2)
    arrays.components[0].attributes["Color"][1, 3, 0] = 10
    with pytest.raises(VSAError, match=r"Color of component 0: received values from \d to 10; expected 0 to 9"):
        oracle_pmfs(arrays)


def test_entities_one_by_one_add_up_to_the_panels_shares() -> None:
    arrays = datasets.generate("iraven", "3x3", n=20, seed=4)
    for options in ({}, {"smoothing": 0.2}, {"stress": "calibrated", "p_left": 0.4}):
        found = oracle_pmfs(arrays, mixed="shares", entities=True, **options)
        assert set(found.entities) == {(0, "Type"), (0, "Size"), (0, "Color")}
        exists = arrays.components[0].exists
        for key, entities in found.entities.items():
            assert entities.shape[:3] == exists.shape
            np.testing.assert_allclose(entities.sum(-1), exists, atol=1e-5)  # an empty slot says nothing
            np.testing.assert_allclose(entities.sum(2) / exists.sum(-1)[..., None], found.pmfs[key], atol=1e-5)
    assert not oracle_pmfs(arrays).entities
    assert not oracle_pmfs(datasets.generate("iraven", "center", n=2, seed=4), entities=True).entities

"""PMFs from labels against a plain loop over panels and entities, and the statistics of the two stresses."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import datasets
from datasets.arrays import PuzzleArrays
from datasets.pmf import (
    LabelPMFs,
    attribute_keys,
    magnitude_offset,
    oracle_pmfs,
    shown_panels,
    value_count,
    value_range,
)
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
    for options in ({}, {"smoothing": 0.2}, {"epsilon": 1e-4}):
        mass = oracle_pmfs(arrays, **options).pmfs[0, "Color"].sum(-1)
        np.testing.assert_allclose(mass, 1.0 - mixed, atol=1e-5)


def test_shares_are_those_of_the_entities() -> None:
    arrays = datasets.generate("iraven", "distribute_nine", n=50, seed=2)
    component = arrays.components[0]
    seen = oracle_pmfs(arrays, mixed="shares").pmfs[0, "Size"]
    counts = [(component.attributes["Size"] == level).sum(-1) for level in range(6)]
    np.testing.assert_allclose(seen, np.stack(counts, -1) / component.numbers[..., None], atol=1e-6)
    # Where the entities agree both forms say the same.
    for options in ({}, {"smoothing": 0.2}):
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


def at_random(constellation: str, n: int, seed: int = 0) -> PuzzleArrays:
    """Panels of the prior under which calibrated stress is a posterior: any set of slots, any value of each entity."""
    arrays, rng = datasets.generate("iraven", constellation, n=n, seed=seed), np.random.default_rng(seed)
    for component, layout in zip(arrays.components, arrays.layouts, strict=True):
        number = rng.integers(1, 2**layout.slots, size=component.exists.shape[:2])
        component.exists[:] = (number[..., None] >> np.arange(layout.slots)) & 1
        for name in ("Type", "Size", "Color"):
            low, high = layout.range(name)
            values = rng.integers(low, high + 1, size=component.exists.shape)
            component.attributes[name][:] = np.where(component.exists, values, -1)
    return arrays


def assert_calibrated(says: np.ndarray, true: np.ndarray, what: object) -> int:
    """Of what is given a probability q a share q is true: every tenth of at least 200 cases, 5 standard errors."""
    checked = 0
    for low in np.arange(0, 1, 0.1):
        chosen = (says > 0) & (says >= low) & (says < low + 0.1)
        if chosen.sum() < 200:
            continue
        checked += 1
        error = np.sqrt((says[chosen] * (1 - says[chosen])).sum()) / chosen.sum()
        assert abs(true[chosen].mean() - says[chosen].mean()) < 5 * error + 1e-6, (what, low)
    return checked


@pytest.mark.parametrize("p_left", [0.51, 0.0])
@pytest.mark.parametrize("constellation", [None, "center", "2x2", "3x3", "out_in", "out_in_grid"])
def test_calibrated_stress_means_what_it_says(constellation: str | None, p_left: float) -> None:
    """Panels, entities, counts and slots (n > 10,000 per attribute)."""
    arrays = wide(n=500) if constellation is None else at_random(constellation, 700)
    options = {"stress": "calibrated", "p_left": p_left, "entities": True}
    sharp, seen = oracle_pmfs(arrays, entities=True), oracle_pmfs(arrays, **options)
    checked = 0
    for key, pmf in (*seen.pmfs.items(), *seen.sets.items()):
        truth = sharp.sets[key] if key[1] == "Position" else sharp.pmfs[key]
        if key[1] == "Position":  # a slot for itself; that not all are empty is known of the panel
            pmf = pmf / (1 - (1 - pmf).prod(-1, keepdims=True))
        checked += assert_calibrated(pmf.reshape(-1), truth.reshape(-1), key)
        differ = 1 - pmf.sum(-1)  # of entities, in grids
        if key[1] in ("Type", "Size", "Color"):
            checked += assert_calibrated(differ.reshape(-1).clip(0), 1 - truth.sum(-1).reshape(-1), (key, "differ"))
    for key, pmf in seen.entities.items():
        there = arrays.components[key[0]].exists
        checked += assert_calibrated(pmf[there].reshape(-1), sharp.entities[key][there].reshape(-1), (key, "entity"))
    assert checked >= 5


def test_an_empty_slot_does_not_give_itself_away() -> None:
    """Of 3,200 panels of nine slots: mean, spread and largest of the PMFs seen are those of entities (5 errors)."""
    arrays = at_random("3x3", 200)
    seen = oracle_pmfs(arrays, stress="calibrated", p_left=0.3, entities=True).entities
    there = arrays.components[0].exists
    for key, pmf in seen.items():
        np.testing.assert_allclose(pmf.sum(-1), 1, atol=1e-5)
        for of in (pmf[..., 0], pmf[..., -1], pmf.max(-1), pmf.var(-1)):
            error = np.sqrt(of[there].var() / there.sum() + of[~there].var() / (~there).sum())
            assert abs(of[there].mean() - of[~there].mean()) < 5 * error, key


def test_entities_of_a_panel_have_draws_of_their_own() -> None:
    """Correlations of largest probabilities in two slots of 3,200 panels: 5 standard errors of 0.018."""
    arrays = at_random("2x2", 200)
    for stress in ("published", "calibrated"):
        seen = oracle_pmfs(arrays, stress=stress, p_left=0.3, entities=True)
        peaks = [pmf.max(-1).reshape(-1, 4).T for pmf in seen.entities.values()]
        sure = np.abs(seen.sets[0, "Position"] - 0.5).reshape(-1, 4).T
        together = np.corrcoef(np.concatenate([*peaks, sure]))
        assert np.abs(together[np.triu_indices(len(together), 1)]).max() < 5 / np.sqrt(3200)


@pytest.mark.parametrize("constellation", ["out_in", "out_in_grid"])
@pytest.mark.parametrize("stress", ["published", "calibrated"])
def test_stress_stays_within_what_a_component_may_have(constellation: str, stress: str) -> None:
    arrays = datasets.generate("iraven", constellation, n=50, seed=1)
    seen = oracle_pmfs(arrays, stress=stress, p_left=0.2, entities=True)
    for key, pmf in (*seen.pmfs.items(), *seen.entities.items()):
        low, high = (level - magnitude_offset(arrays, key) for level in value_range(arrays, key))
        assert pmf[..., :low].sum() == pmf[..., high + 1 :].sum() == 0
        assert (pmf[..., low : high + 1].max(axis=tuple(range(pmf.ndim - 1))) > 0).all()
    sharp = oracle_pmfs(arrays)
    np.testing.assert_array_equal(seen.pmfs[0, "Color"], sharp.pmfs[0, "Color"])  # it has one value
    assert (seen.pmfs[0, "Size"] != sharp.pmfs[0, "Size"]).any()
    arrays.components[0].attributes["Size"][0, 0] = 1
    with pytest.raises(VSAError, match="Size of component 0: received values from 1 to 5; expected 3 to 5"):
        oracle_pmfs(arrays, stress=stress, p_left=0.2)


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
    for options in ({}, {"smoothing": 0.2}):
        found = oracle_pmfs(arrays, mixed="shares", entities=True, **options)
        assert set(found.entities) == {(0, "Type"), (0, "Size"), (0, "Color")}
        exists = arrays.components[0].exists
        for key, entities in found.entities.items():
            assert entities.shape[:3] == exists.shape
            np.testing.assert_allclose(entities.sum(-1), exists, atol=1e-5)  # an empty slot says nothing
            np.testing.assert_allclose(entities.sum(2) / exists.sum(-1)[..., None], found.pmfs[key], atol=1e-5)
    assert not oracle_pmfs(arrays).entities
    assert not oracle_pmfs(datasets.generate("iraven", "center", n=2, seed=4), entities=True).entities


def test_under_stress_panels_follow_from_their_slots() -> None:
    from reasoning.scene import Scene

    for constellation in ("2x2", "out_in_grid"):
        arrays = datasets.generate("iraven", constellation, n=30, seed=5)
        for mixed in ("missing", "shares"):
            seen = oracle_pmfs(arrays, stress="calibrated", p_left=0.3, mixed=mixed, entities=True)
            grids = {c for c, _ in seen.sets}
            given = {key: seen.entities.get(key, pmf) for key, pmf in seen.pmfs.items() if key[1] != "Number"}
            scene = Scene.from_pmfs({**given, **seen.sets}, arrays, mixed=mixed)
            for key, pmf in seen.pmfs.items():
                if key[0] in grids:
                    found = scene.pmfs[key][..., magnitude_offset(arrays, key) :]
                    np.testing.assert_allclose(pmf, found, atol=1e-5, err_msg=str(key))

"""Exact evidence over few of many values: the same sums as over all of them, in less time and memory."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

import datasets
from datasets.rules import rule_code
from reasoning.learners.grammar.few import few_kernels, takes_few
from reasoning.learners.grammar.values import ValueRange, hypotheses, value_kernels
from reasoning.learners.symbolic import Symbolic
from reasoning.perception.oracle import Oracle
from reasoning.scene import AttributeKey, Scene
from reasoning.sparse import SparsePMF

STRESSES = ({}, {"stress": "calibrated", "p_left": 0.5}, {"stress": "published", "p_left": 0.2})
KINDS = ("constant", "steps", "sum", "difference", "shifts", "any")


def matrix(kind, columns, size, generator):
    """A matrix of the rule, (3, n), or any."""
    found = generator.integers(0, size, (3, columns))
    if kind == "constant":
        found[:] = found[:, :1]
    elif kind == "steps":
        found = generator.integers(0, size - columns, (3, 1)) + np.arange(columns)
    elif kind in ("sum", "difference"):
        parts = generator.multinomial(size // 2, np.ones(columns - 1) / (columns - 1), 3)
        whole = parts.sum(1, keepdims=True)
        found = np.concatenate([parts, whole] if kind == "sum" else [whole, parts], axis=1)
    elif kind == "shifts":
        row = generator.permutation(size)[:columns]
        found = np.stack([np.roll(row, shift) for shift in range(3)])
    return found


def observed(values, size, count, generator, spread):
    """PMFs whose support has the value: its neighbours, the range as a circle, or any others."""
    values = values.reshape(-1)
    if spread == "near":
        others = (values[:, None] + np.arange(count) - generator.integers(0, count, (len(values), 1))) % size
    else:
        others = np.stack([generator.permutation(size)[:count] for _ in values])
        known = (others == values[:, None]).any(1)
        others[~known, 0] = values[~known]
    weights = generator.uniform(0.05, 1, others.shape)
    if count > 2:
        weights[::3, -1] = np.where(others[::3, -1] == values[::3], weights[::3, -1], 0)  # padding
    return others, weights / weights.sum(-1, keepdims=True)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(3, 6), st.integers(33, 70), st.integers(1, 4), st.sampled_from(KINDS), st.sampled_from(["near", "any"]),
    st.integers(0, 2**31),
)  # fmt: skip
def test_few_values_give_the_kernels_of_all(columns, size, count, kind, spread, seed):
    generator = np.random.default_rng(seed)
    shown = [
        observed(matrix(kind, columns, size, generator), size, count, generator, "near" if spread == "near" else "any")
        for _ in range(3)
    ]
    values, weights = (torch.from_numpy(np.stack(part)) for part in zip(*shown, strict=True))
    pmf = SparsePMF(values, weights, size)[:, :-1]
    limits = ValueRange(0, size - 1, split=True)
    rules = hypotheses(None, limits, columns)
    assert takes_few(pmf, columns, limits, rules)
    kernels, scale = few_kernels(pmf, columns, limits, rules)
    found, expected = kernels * scale.exp().unsqueeze(-1), value_kernels(size * pmf.dense(), columns, limits, rules)
    largest = expected.amax(-1, keepdim=True)
    error = ((found - expected).abs() / largest.clamp_min(1e-3)).amax((0, 2))
    assert float(error.max()) < 1e-6, dict(zip(map(str, rules), error.tolist(), strict=True))
    if kind != "any":
        assert bool((largest.amax((1, 2)) > 0).all())  # the rule at least is possible


@pytest.mark.parametrize("sign", [1, -1])
def test_sums_of_ten_panels_are_exact_where_transforms_round(sign):
    size, columns = 1001, 10
    generator = np.random.default_rng(0)
    kind = "sum" if sign > 0 else "difference"
    values, weights = observed(matrix(kind, columns, size, generator), size, 3, generator, "near")
    weights[:, 1:] *= 1e-3  # sums of neighbours are as unlikely as 1e-24
    weights /= weights.sum(-1, keepdims=True)
    pmf = SparsePMF(torch.from_numpy(values)[None], torch.from_numpy(weights)[None], size)
    limits = ValueRange(0, size - 1, split=True)
    rules = tuple(
        rule for rule in hypotheses(None, limits, columns) if rule.rule == "Arithmetic" and rule.parameter == sign
    )
    kernels, scale = few_kernels(pmf[:, :-1], columns, limits, rules)

    table = pmf.dense()[0].numpy().reshape(3, columns, size)
    chance = np.exp([-math.log(size) - math.log(math.comb(total + columns - 2, columns - 2)) for total in range(size)])

    def added(panels):
        whole = panels[0]
        for panel in panels[1:]:
            whole = np.convolve(whole, panel)[:size]
        return whole

    evidence = 1.0
    for row in table[:2]:
        parts, total = (row[:-1], row[-1]) if sign > 0 else (row[1:], row[0])
        evidence *= (added(parts) * chance * total).sum()
    if sign > 0:
        expected = evidence * chance * added(table[2, :-1])
    else:
        left, others = table[2, 0] * chance, added(table[2, 1:-1])
        expected = evidence * np.array([(left[v:] * others[: size - v]).sum() for v in range(size)])
    found = kernels[0, 0].numpy() * math.exp(float(scale[0, 0]) - 29 * math.log(size))
    assert (expected > 0).sum() >= 15  # padding takes some
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def batch(columns, n=12, maxval=300, confounders=2, seed=5):
    options = {"columns": columns, "maxval": maxval, "confounders": confounders}
    return datasets.PuzzleBatch.of(datasets.generate("iraven_x", n=n, seed=seed, **options))


def assert_alike(learner, sparse):
    found, expected = learner(sparse), learner(sparse.dense())
    for name in ("scores", "rule_weights", "agreement", "confidence"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), atol=1e-6, rtol=1e-6)
    assert torch.equal(found.families, expected.families)
    mine, theirs = learner.expected(sparse), learner.expected(sparse.dense())
    for key, value in theirs.items():
        assert mine[key].dtype == value.dtype
        torch.testing.assert_close(mine[key], value, atol=1e-6, rtol=1e-6)
    for (keys, one), (others, other) in zip(
        learner.context_evidence(sparse), learner.context_evidence(sparse.dense()), strict=True
    ):
        assert keys == others
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("options", STRESSES)
@pytest.mark.parametrize("sharpen", [False, True])
@pytest.mark.parametrize("columns", [3, 5])
def test_the_exact_reference_says_the_same(options, sharpen, columns):
    scene = Oracle(**options)(batch(columns))
    assert all(isinstance(pmf, SparsePMF) for pmf in scene.pmfs.values())
    assert_alike(Symbolic(sharpen=sharpen), scene)


def test_what_few_values_do_not_suffice_for_goes_over_all():
    size, color = AttributeKey(0, "Size"), AttributeKey(0, "Color")
    smooth = Oracle(smoothing=0.2)(batch(3, n=3))  # 41 values
    assert smooth.pmfs[size].values.shape[-1] > 8
    assert_alike(Symbolic(), smooth)
    sharp = Oracle(stress="calibrated", p_left=0.5)(batch(3, n=3))
    pmf = sharp.pmfs[size]
    lacking = SparsePMF(pmf.values, pmf.weights * 0.9995, pmf.width)  # what is missing may be any value
    found, whole = Scene(3, {**sharp.pmfs, size: lacking}), Symbolic()(sharp)
    assert_alike(Symbolic(), found)
    assert not torch.allclose(Symbolic()(found).scores, whole.scores)
    narrow = datasets.PuzzleBatch.of(datasets.generate("iraven", "center", n=4, seed=1))
    plain = Oracle()(narrow)
    few = {key: SparsePMF(*reversed(pmf.topk(1)), pmf.shape[-1]) for key, pmf in plain.pmfs.items()}
    assert_alike(Symbolic(), Scene(3, few))
    assert plain.pmfs[color].shape[-1] == 10


def test_rounding_excludes_no_value_and_admits_none():
    scene = Oracle(stress="published", p_left=0.5)(batch(5))
    lacking = {key: (1 - pmf.double().sum(-1)).abs().max() for key, pmf in scene.pmfs.items()}
    assert max(lacking.values()) > 0  # of single precision
    assert_alike(Symbolic(), scene)


@pytest.mark.parametrize("options", STRESSES[:2])
def test_rows_of_a_hundred_stay_in_the_range_of_floats(options):
    """Of the rows that have the total of one that adds up, one in 1e130 is as it is: all three are 1e390."""
    part = batch(100, n=12, maxval=1000, confounders=0)
    rules = part.arrays.components[0].rules[:, 1:4]
    assert (rules == rule_code("Arithmetic")).any(1).sum() >= 4
    learner = Symbolic()
    prediction = learner(Oracle(**options)(part))
    assert bool(prediction.scores.isfinite().all()) and bool(prediction.rule_weights.isfinite().all())
    assert torch.equal(prediction.answers, part.target)
    columns = [prediction.keys.index(AttributeKey(0, name)) for name in ("Type", "Size", "Color")]
    assert torch.equal(prediction.families[:, columns], torch.from_numpy(rules))
    expected = learner.expected(Oracle(**options)(part))
    assert all(bool(pmf.isfinite().all()) and float(pmf.sum(-1).max()) < 1 + 1e-5 for pmf in expected.values())


class Largest(TorchDispatchMode):
    """The largest tensor that is made."""

    size = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple | list) else (result,):
            if isinstance(value, torch.Tensor) and value.untyped_storage().nbytes() > self.size:
                self.size = value.untyped_storage().nbytes()
        return result


@pytest.mark.parametrize("options", STRESSES)
def test_nothing_is_as_large_as_the_pmfs_of_all_values(options):
    part = batch(10, n=250, maxval=1000)
    with Largest() as made:
        Symbolic()(Oracle(**options)(part))
    assert 0 < made.size < 250 * 37 * 1001 * 4 / 2  # half of one attribute's

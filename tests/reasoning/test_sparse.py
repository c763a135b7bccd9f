"""PMFs of few of many values: the same as the tensors they stand for, wherever a scene or a learner meets them."""

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import datasets
import vsa
from datasets.pmf import oracle_pmfs
from reasoning import learners
from reasoning.learners.arlc import ARLC
from reasoning.learners.base import Learner, Prediction
from reasoning.learners.learn_vrf import LearnVRF
from reasoning.learners.nvsa import NVSA
from reasoning.learners.symbolic import Symbolic
from reasoning.perception.base import Perception
from reasoning.perception.oracle import Oracle
from reasoning.scene import CANDIDATES, AttributeKey, Scene
from reasoning.solver import Solver
from reasoning.sparse import SparsePMF
from vsa.errors import DtypeError, ShapeError, VSAError

SIZE, COLOR = AttributeKey(0, "Size"), AttributeKey(0, "Color")
STRESSES = (
    {},
    {"stress": "calibrated", "p_left": 0.5},
    {"stress": "published", "p_left": 0.2},
    {"smoothing": 0.2},
    {"epsilon": 1e-4},
    {"smoothing": 0.3, "stress": "calibrated", "p_left": 0.5},
)


def few(*lead, width=100, count=3, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(*lead, width, generator=generator).topk(count).indices
    weights = torch.rand(*lead, count, generator=generator, dtype=dtype) + 0.01
    return SparsePMF(values, weights / weights.sum(-1, keepdim=True), width)


def puzzles(n=4, maxval=1000, columns=10, confounders=2):
    return datasets.generate("iraven_x", n=n, seed=4, columns=columns, maxval=maxval, confounders=confounders)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4), max_size=3), st.integers(1, 20), st.integers(1, 5), st.integers(0, 999))
def test_it_answers_as_its_tensor_does(lead, width, count, seed):
    pmf = few(*lead, width=width, count=min(count, width), seed=seed)
    weights = torch.where(pmf.weights == pmf.weights.amax(-1, keepdim=True), pmf.weights, pmf.weights.round(decimals=1))
    pmf = SparsePMF(pmf.values, weights, width)
    whole = pmf.dense()
    assert (pmf.shape, pmf.ndim, pmf.dtype, pmf.device) == (whole.shape, whole.ndim, whole.dtype, whole.device)
    torch.testing.assert_close(pmf.sum(-1), whole.sum(-1))
    assert torch.equal(pmf.amax(-1, keepdim=True), whole.amax(-1, keepdim=True))
    assert torch.equal(pmf.max(-1).values, whole.max(-1).values)
    assert torch.equal(pmf.max(-1).indices, whole.max(-1).indices)
    assert torch.equal(pmf.at(torch.arange(width).expand(whole.shape)), whole)
    if lead:
        assert len(pmf) == len(whole) and torch.equal(pmf[: lead[0] // 2].dense(), whole[: lead[0] // 2])
        order = torch.randperm(lead[0], generator=torch.Generator().manual_seed(seed))
        assert torch.equal(pmf[order].dense(), whole[order])
    if len(lead) > 1:
        assert torch.equal(pmf[:, 1:].dense(), whole[:, 1:])
    assert pmf.double().dense().dtype == torch.float64


def test_it_says_what_was_made_in_inference_mode():
    assert not few(2, 3).is_inference()
    with torch.inference_mode():
        made = few(2, 3)
        scene = Oracle(stress="calibrated", p_left=0.5)(datasets.PuzzleBatch.of(puzzles()))
        scene.check()
        assert Symbolic()(scene).scores.isfinite().all()
    assert made.is_inference() and made[:1].is_inference()


AS_TENSORS = (
    lambda pmf: 0.9 * pmf + 0.1 * pmf.mean(-1, keepdim=True),
    lambda pmf: 1 - pmf,
    lambda pmf: -pmf / 2,
    lambda pmf: pmf + pmf,
    lambda pmf: pmf * torch.arange(9.0),
    lambda pmf: torch.arange(9.0) * pmf,
    lambda pmf: pmf @ torch.ones(9, 2),
    lambda pmf: pmf > 0.3,
    lambda pmf: pmf**2,
    lambda pmf: torch.stack([pmf, pmf], dim=1),
    lambda pmf: torch.einsum("bpv,bpv->bp", pmf, pmf),
    lambda pmf: torch.nn.functional.pad(pmf, (1, 0)),
    lambda pmf: torch.cat([pmf, torch.zeros(2, 3, 1)], dim=-1),
    lambda pmf: pmf[..., 1:],
    lambda pmf: pmf[:, None],
    lambda pmf: pmf[1, 2, 3],
    lambda pmf: pmf[pmf > 0.2],
    lambda pmf: pmf.sum(1),
    lambda pmf: pmf.amax(0, keepdim=True),
    lambda pmf: pmf.max(1).indices,
    lambda pmf: pmf.argmax(-1),
    lambda pmf: pmf.clamp_min(0.1).log(),
    lambda pmf: pmf.unbind(1)[0],
    lambda pmf: torch.tensor(pmf.tolist()),
    lambda pmf: torch.from_numpy(pmf.numpy()),
    lambda pmf: torch.stack([row.sum(-1) for row in pmf]),
    lambda pmf: copy.deepcopy(pmf).dense() if isinstance(pmf, SparsePMF) else pmf,
    lambda pmf: pickle.loads(pickle.dumps(pmf)) + 0,
)


@pytest.mark.parametrize("use", AS_TENSORS)
def test_what_is_written_for_tensors_goes_on(use):
    pmf = few(2, 3, width=9)
    torch.testing.assert_close(use(pmf), use(pmf.dense()))


def test_padding_is_no_value_and_a_gradient_reaches_the_weights():
    weights = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]], requires_grad=True)
    pmf = SparsePMF(torch.tensor([[4, 0, 4], [1, 1, 1]]), weights, 6)
    assert pmf.dense().tolist() == [[0.5, 0, 0, 0, 0.5, 0], [0.0] * 6]
    assert pmf.max(-1).indices.tolist() == [0, 0] and pmf.requires_grad and not pmf.detach().requires_grad
    (pmf.dense() * torch.arange(6.0)).sum().backward()
    assert weights.grad.tolist() == [[4, 0, 4], [1, 1, 1]]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: SparsePMF([1], torch.ones(1), 4), DtypeError, "of type list; expected a tensor of int64"),
        (lambda: SparsePMF(torch.ones(1), torch.ones(1), 4), DtypeError, "int64"),
        (lambda: SparsePMF(torch.tensor([1]), torch.tensor([1]), 4), DtypeError, "floats"),
        (lambda: SparsePMF(torch.tensor([1]), torch.ones(2), 4), ShapeError, r"\(\.\.\., K\) both"),
        (lambda: SparsePMF(torch.tensor([1]), torch.ones(1), 0), DtypeError, "width=0"),
        (
            lambda: SparsePMF(torch.tensor([4]), torch.ones(1), 4),
            VSAError,
            "values from 4 to 4; expected values",
        ),
        (lambda: SparsePMF(torch.tensor([-1]), torch.ones(1), 4), VSAError, "values from -1"),
        (lambda: SparsePMF(torch.tensor([2, 0, 2]), torch.ones(3) / 3, 4), VSAError, "value 2 twice"),
        (lambda: few(2, 3).mul_(2), AttributeError, "no mul_"),
        (lambda: few(2, 3).colour, AttributeError, "no colour"),
        (lambda: Scene(3, {SIZE: few(2, 15)}), ShapeError, r"\(B, 16, V\)"),
        (lambda: Scene(3, {SIZE: few(2, 16)}, {COLOR: few(2, 16)}), DtypeError, "SparsePMF"),
        (lambda: Scene(3, {SIZE: few(2, 16), COLOR: few(3, 16)}), ShapeError, "3 puzzles"),
    ],
)
def test_what_is_no_sparse_pmf_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


# -- scenes ------------------------------------------------------------------------------------------------------


def same(found, expected):
    assert found.columns == expected.columns and found.keys == expected.keys
    for part in ("pmfs", "sets", "entities"):
        mine, theirs = getattr(found.dense(), part), getattr(expected, part)
        for key, value in theirs.items():
            assert mine[key].dtype == value.dtype and torch.equal(mine[key], value), key


def test_what_a_scene_offers_it_offers_with_sparse_pmfs_too():
    sparse = Scene(3, {SIZE: few(5, 16), COLOR: few(5, 16, width=7)})
    dense = sparse.dense()
    assert isinstance(sparse.pmfs[SIZE], SparsePMF) and isinstance(dense.pmfs[SIZE], torch.Tensor)
    assert dense.dense() is dense and len(sparse) == 5 and sparse.device == dense.device
    for change in (
        lambda scene: scene[1:3],
        lambda scene: scene[torch.tensor([4, 0])],
        lambda scene: scene.to(torch.float64),
        lambda scene: scene.to("cpu"),
        lambda scene: scene.softened(),
        lambda scene: scene.softened(2.0, 0.1),
        lambda scene: scene.softened({"Size": 0.5}),
        lambda scene: scene.with_entities(),
    ):
        same(change(sparse), change(dense))
    same(Scene.from_pmfs({"Size": few(2, 16, width=6), "Color": few(2, 16, width=10), "Type": few(2, 16, width=5)},
                         "center"),
         Scene.from_pmfs({"Size": few(2, 16, width=6).dense(), "Color": few(2, 16, width=10).dense(),
                          "Type": few(2, 16, width=5).dense()}, "center"))  # fmt: skip


def test_a_scene_of_grids_may_be_sparse():
    place = AttributeKey(0, "Position")
    occupied = torch.rand(2, 16, 4, generator=torch.Generator().manual_seed(1))
    sparse = Scene(3, {SIZE: few(2, 16)}, {place: occupied})
    same(sparse.with_entities(), sparse.dense().with_entities())


def test_a_scene_has_one_precision():
    scene = Scene(3, {SIZE: few(2, 16), COLOR: few(2, 16).dense().double()})
    assert scene.pmfs[SIZE].dtype == torch.float64
    assert Scene(3, {SIZE: few(2, 16).to(torch.float16)}).pmfs[SIZE].dtype == torch.float32


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda pmf: pmf.weights.mul_(2), "sum to 2"),
        (lambda pmf: pmf.weights.neg_(), "probabilities from -"),
        (lambda pmf: pmf.weights.fill_(float("nan")), "NaN"),
        (lambda pmf: pmf.weights.mul_(0.5), "1 in a component without slots"),
        (lambda pmf: pmf.values.fill_(100), "values from 100"),
        (lambda pmf: pmf.values.fill_(3), "value 3 twice"),
    ],
)
def test_what_was_written_since_is_seen(harm, words):
    scene = Scene(3, {SIZE: few(2, 16)})
    scene.check()
    harm(scene.pmfs[SIZE])
    with pytest.raises(VSAError, match=words):
        scene.check()


# -- from labels -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", STRESSES)
@pytest.mark.parametrize("maxval", [20, 100, 1000])
def test_few_values_are_the_pmfs_of_the_labels(options, maxval):
    arrays = puzzles(maxval=maxval, columns=5)
    whole, narrow = oracle_pmfs(arrays, **options), oracle_pmfs(arrays, few=True, **options)
    assert not whole.few and {**narrow.pmfs, **narrow.few}.keys() == whole.pmfs.keys()
    for key, found in narrow.few.items():
        pmf = SparsePMF(torch.from_numpy(found.values), torch.from_numpy(found.weights), found.width)
        assert np.array_equal(pmf.dense().numpy(), whole.pmfs[key])
        assert found.values.shape[-1] * 4 < maxval + 1
    for key, found in narrow.pmfs.items():
        assert np.array_equal(found, whole.pmfs[key])
    assert bool(narrow.few) == (
        maxval > 20 and options in STRESSES[:4] and not (maxval == 100 and options == {"smoothing": 0.2})
    )


@pytest.mark.parametrize("options", STRESSES)
def test_the_oracle_shows_the_same_with_few_values(options):
    batch = datasets.PuzzleBatch.of(puzzles())
    scene = Oracle(**options)(batch)
    same(scene, Scene.from_pmfs(oracle_pmfs(batch.arrays, **options).pmfs, batch))
    assert all(isinstance(pmf, SparsePMF) == (options in STRESSES[:4]) for pmf in scene.pmfs.values())


def test_magnitudes_are_written_where_they_belong():
    arrays = datasets.generate("iraven", "out_in_grid", n=5, seed=1)
    plain, shifted = oracle_pmfs(arrays, entities=True), oracle_pmfs(arrays, entities=True, magnitudes=True, few=True)
    assert not shifted.few
    for part in ("pmfs", "entities"):
        for key, value in getattr(plain, part).items():
            offset = datasets.pmf.magnitude_offset(arrays, key)
            found = getattr(shifted, part)[key]
            assert np.array_equal(found[..., offset:], value) and not found[..., :offset].any()


# -- learners ----------------------------------------------------------------------------------------------------


class Doubtful(Perception):
    """A front-end as docs/plugins.md has it, made of the oracle's tensors."""

    def __init__(self):
        super().__init__()
        self.labels = Oracle(stress="calibrated", p_left=0.5)

    def forward(self, batch, *, mixed="shares", entities=False):
        seen = self.labels(batch, mixed=mixed, entities=entities)
        pmfs = {key: 0.9 * pmf + 0.1 * pmf.mean(-1, keepdim=True) for key, pmf in seen.pmfs.items()}
        return Scene(seen.columns, pmfs, seen.sets, seen.entities)


def test_a_front_end_written_for_tensors_goes_on():
    batch = datasets.PuzzleBatch.of(puzzles())
    scene, dense = Doubtful()(batch), Doubtful().labels(batch).dense()
    torch.testing.assert_close(scene.pmfs[SIZE], 0.9 * dense.pmfs[SIZE] + 0.1 / 1001)


class Plain(Learner):
    """A learner that knows tensors only."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, scene):
        return self.answer(scene)

    def describe(self):
        return ["is alike"]

    def answer(self, scene):
        pmfs = torch.stack([pmf / pmf.sum(-1, keepdim=True) for pmf in scene.pmfs.values()], dim=1)
        context, candidates = pmfs[:, :, : scene.context_panels], pmfs[:, :, scene.context_panels :]
        agreement = torch.einsum("bapv,bacv->bac", context, candidates)
        shape = agreement.shape[:2]
        index = torch.zeros(shape, dtype=torch.long)
        return Prediction(self.scale * agreement.sum(1), scene.keys, index, torch.ones(*shape, 1), agreement,
                          torch.ones(shape), index.to(torch.int8))  # fmt: skip

    def training_loss(self, scene, target, generator):
        return torch.nn.functional.cross_entropy(self.answer(scene).scores, target)

    def expected(self, scene):
        return {key: pmf[:, 0] * 1.0 for key, pmf in scene.pmfs.items()}


class Reader(Plain):
    """One that reads both."""

    sparse = True

    def forward(self, scene):
        assert any(isinstance(pmf, SparsePMF) for pmf in scene.pmfs.values())
        return self.answer(scene.dense())

    def training_loss(self, scene, target, generator):
        assert any(isinstance(pmf, SparsePMF) for pmf in scene.pmfs.values())
        return super().training_loss(scene.dense(), target, generator)

    def expected(self, scene):
        return super().expected(scene.dense())


@pytest.mark.parametrize("kind", [Plain, Reader])
def test_a_learner_written_for_tensors_is_given_tensors(kind):
    learner, batch = kind(), datasets.PuzzleBatch.of(puzzles())
    scene = Oracle(stress="calibrated", p_left=0.5)(batch)
    generator = torch.Generator().manual_seed(0)
    plain = Plain()
    assert torch.equal(learner(scene).scores, plain(scene.dense()).scores)
    loss = learner.training_loss(scene, batch.target, generator)
    assert loss == plain.training_loss(scene.dense(), batch.target, generator) and loss.requires_grad
    expected = Plain.expected(plain, scene)
    assert expected[SIZE].shape == (4, 1001) and torch.equal(expected[SIZE], scene.dense().pmfs[SIZE][:, 0])


@pytest.mark.parametrize("kind", [Plain, Reader])
def test_a_solver_shows_what_its_learner_reads(kind):
    solver, batch = Solver(Oracle(stress="calibrated", p_left=0.5), kind()), datasets.PuzzleBatch.of(puzzles())
    shown = solver.scene(batch)
    assert all(isinstance(pmf, SparsePMF) == kind.sparse for pmf in shown.pmfs.values())
    assert solver.solve(batch).scores.shape == (4, CANDIDATES)
    assert str(solver.explain(batch))


def made(name):
    gsbc = vsa.get("gsbc", dim=512, blocks=2)
    return {
        "symbolic": lambda: Symbolic(),
        "nvsa": lambda: NVSA(gsbc),
        "arlc": lambda: ARLC(gsbc, columns=5, mode="programmed_then_learned", frequencies=None),
        "learn_vrf": lambda: LearnVRF(gsbc, columns=5, frequencies=None),
    }[name]()


def lacking(scene):
    """A scene whose PMFs lack a little: rounding then decides nothing."""
    pmfs = {key: SparsePMF(pmf.values, pmf.weights * 0.9995, pmf.width) for key, pmf in scene.pmfs.items()}
    return Scene(scene.columns, pmfs)


@pytest.mark.parametrize("name", learners.names())
@pytest.mark.parametrize("options", STRESSES[:3])
def test_our_learners_say_the_same_of_sparse_scenes(name, options):
    if name not in ("symbolic", "nvsa", "arlc", "learn_vrf"):
        pytest.skip("another learner, of a test or a package")
    learner = made(name)
    assert learner.sparse
    part = datasets.PuzzleBatch.of(puzzles(n=3, maxval=200, columns=5))
    scene = lacking(Oracle(**options)(part).to(torch.float64))
    found, expected = learner(scene), learner(scene.dense())
    assert torch.equal(found.answers, expected.answers) and torch.equal(found.families, expected.families)
    for field in ("scores", "rule_weights", "agreement", "confidence"):
        torch.testing.assert_close(getattr(found, field), getattr(expected, field), atol=2e-4, rtol=2e-4)
    whole = learner.expected(scene.dense())
    for key, value in learner.expected(scene).items():
        torch.testing.assert_close(value, whole[key], atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize("name", ["nvsa", "arlc", "learn_vrf"])
def test_a_gradient_passes_from_a_loss_to_sparse_weights(name):
    learner, losses, gradients = made(name), [], []
    part = datasets.PuzzleBatch.of(puzzles(n=3, maxval=200, columns=5))
    scene = lacking(Oracle(stress="calibrated", p_left=0.5)(part).to(torch.float64))
    for view in (lambda pmf: pmf, lambda pmf: pmf.dense()):
        weights = {key: pmf.weights.clone().requires_grad_() for key, pmf in scene.pmfs.items()}
        pmfs = {key: SparsePMF(pmf.values, weights[key], pmf.width) for key, pmf in scene.pmfs.items()}
        shown = Scene(5, {key: view(pmf) for key, pmf in pmfs.items()})
        losses.append(learner.training_loss(shown, part.target, torch.Generator().manual_seed(0)))
        gradients.append(torch.autograd.grad(losses[-1], list(weights.values())))
    torch.testing.assert_close(*losses, atol=1e-4, rtol=1e-4)
    for one, other in zip(*gradients, strict=True):
        assert float(other.abs().max()) > 0
        torch.testing.assert_close(one, other, atol=1e-3 * float(other.abs().max()), rtol=1e-3)

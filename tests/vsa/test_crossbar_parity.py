"""Reads and arrays on a CUDA device as on the CPU. Each function runs on the CPU, too, where it checks itself."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch

import vsa
from vsa.backends import BACKENDS, get
from vsa.backends.crossbar import Crossbar
from vsa.backends.stored import read_noise

CROSSBARS = [name for name in BACKENDS.names() if issubclass(BACKENDS.get(name), Crossbar)]
EXACT = [name for name in BACKENDS.names() if BACKENDS.get(name)().exact]
READS = ["matvec", "rmatvec", "block_matvec", "block_min", "topk"]
QUIET = [  # everything but noise: answers are those of the CPU up to rounding
    {},
    {"share_devices": False},
    {"mapping": "offset", "scaling": "column"},
    {"scaling": "tile", "tile_rows": 5, "tile_columns": 3},
    {"slices": 3, "slice_bits": 4},
    {"dac_bits": 8, "adc_bits": 12, "adc_range": "full"},
    {"dac_bits": 8, "adc_bits": 12, "adc_range": "per_input"},
    {"adc_bits": 16, "adc_range": 2.0, "bound_management": True, "tile_rows": 6},
    {"wire_ohm": 2.0, "compensation": "column"},
]


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    return torch.device(request.param)


def rng(seed=0, device="cpu"):
    return torch.Generator(device=device).manual_seed(seed)


def close(found, wanted, tolerance=1e-4):
    """The same values and dtype; the error's norm against that of the output, for converters round either way."""
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    error = float((found.cpu().double() - wanted.double()).norm())
    assert error <= tolerance * float(wanted.double().norm()) + 1e-6


def questions(read, count, width, dtype, lead=(7,), stack=()):
    x = torch.randn(*lead, *stack, count if read == "rmatvec" else width, generator=rng(2))
    return x.sign().to(dtype) if dtype == torch.int8 else x.to(dtype)


def answer(stored, read, x):
    return getattr(stored, read)(x, 3)[0] if read == "topk" else getattr(stored, read)(x)


# -- exact reads ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("kind", ["dense", "bipolar", "onehot_blocks"])
@pytest.mark.parametrize("name", EXACT)
def test_exact_reads(name, kind, read, device):
    for stack, batch in (((), 7), ((), 1), ((), 300), ((2,), 5)):
        atoms = {
            "dense": torch.randn(*stack, 11, 32, generator=rng(1)),
            "bipolar": torch.randn(*stack, 11, 32, generator=rng(1)).sign(),
            "onehot_blocks": torch.randint(8, (*stack, 11, 4), generator=rng(1)),
        }[kind]
        here, there = (get(name).store(a, kind, block_length=8) for a in (atoms, atoms.to(device)))
        dtypes = [torch.float32, torch.float64] if kind != "dense" else [torch.float32]
        if kind == "bipolar" and read in ("matvec", "rmatvec", "topk"):
            dtypes.append(torch.int8)
        for dtype in dtypes:
            x = questions(read, 11, 32, dtype, (batch,), stack)
            found = answer(there, read, x.to(device))
            assert found.device.type == device.type
            close(found, answer(here, read, x))


def test_codebook_reads(algebra_name, device):
    algebra = vsa.get(algebra_name, dim=64)
    x = algebra.random(9, generator=rng(1))
    book = vsa.Codebook.random(algebra, 20, seed=0)
    there = copy.deepcopy(book).to(device)
    close(there.similarity(x.to(device)), book.similarity(x))
    assert torch.equal(there.cleanup(x.to(device)).indices.cpu(), book.cleanup(x).indices)
    weights = torch.rand(5, 20, generator=rng(2))
    if "superpose" not in algebra.laws.lacks:
        wanted, found = book.superpose(weights), there.superpose(weights.to(device))
        assert found.dtype == wanted.dtype
        apart = found.cpu().to(torch.complex128) - wanted.to(torch.complex128)
        assert float(apart.abs().mean()) < 1e-3
    for name in ("crossbar_ideal", "crossbar_pcm"):
        array = there.on(get(name), seed=1)
        similarities = array.similarity(x.to(device)).cpu()
        wanted = book.similarity(x)
        close(similarities.to(wanted.dtype), wanted, 1e-4 if name == "crossbar_ideal" else 0.5)


# -- arrays --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", QUIET, ids=str)
@pytest.mark.parametrize("read", READS)
def test_quiet_arrays_answer_alike(read, options, device):
    tolerance = 2e-3 if "adc_bits" in options else 1e-4
    for stack in ((), (2,)):
        atoms = torch.randn(*stack, 11, 32, generator=rng(1))
        backend = get("crossbar", **options)
        here, there = (backend.store(a, block_length=8, seed=1) for a in (atoms, atoms.to(device)))
        x = questions(read, 11, 32, torch.float32, stack=stack)
        found = answer(there, read, x.to(device))
        assert found.device.type == device.type
        close(found, answer(here, read, x), tolerance)


@pytest.mark.parametrize("name", CROSSBARS)
def test_noisy_arrays_have_the_same_moments(name, device):
    """Errors of programming and reads, of 16,384 devices and 200 reads: deviations agree within a tenth."""
    atoms, x = torch.randn(128, 128, generator=rng(1)), torch.randn(200, 128, generator=rng(2))
    spreads = []
    for place in (torch.device("cpu"), device):
        stored = get(name).store(atoms.to(place), seed=1)
        array = stored.handle.arrays["forward"]
        programming = float((array.state["g_us"] - array.target_us).std())
        one, two = (stored.matvec(x.to(place)).cpu() for _ in range(2))
        stored.handle.advance(86_400)
        late = stored.matvec(x.to(place)).cpu()
        exact = x @ atoms.T
        spreads.append([programming, *(float((seen - exact).std()) for seen in (one, late)), float((one - two).std())])
    assert spreads[1] == pytest.approx(spreads[0], rel=0.1, abs=1e-4)


@pytest.mark.parametrize("name", CROSSBARS)
def test_an_array_is_repeated_saved_copied_and_given_noise(name, device):
    algebra = vsa.get("map_real", dim=64)
    plain = vsa.Codebook.random(algebra, 30, seed=0).to(device)
    x = torch.randn(4, 64, generator=rng(3)).to(device)
    book, same = (plain.on(get(name), seed=7) for _ in range(2))
    assert torch.equal(book.similarity(x), same.similarity(x))
    book.stored.handle.advance(3600)
    file = io.BytesIO()
    torch.save(book.state_dict(), file)
    file.seek(0)
    restored = plain.on(get(name), seed=99)
    restored.load_state_dict(torch.load(file, map_location=device))
    copies = [restored, copy.deepcopy(book), pickle.loads(pickle.dumps(book))]
    wanted = book.similarity(x), book.superpose(torch.ones(2, 30, device=device))
    for other in copies:
        assert torch.equal(other.similarity(x), wanted[0])
        assert torch.equal(other.superpose(torch.ones(2, 30, device=device)), wanted[1])
    given = []
    for _ in range(2):
        with read_noise(rng(5, device)):
            given.append(book.similarity(x))
    assert torch.equal(*given)


def test_verify_faults_calibration_and_costs(device):
    atoms, x = torch.randn(30, 64, generator=rng(1)), torch.randn(200, 64, generator=rng(2))
    options = {"verify_rounds": 2, "stuck_share": 0.05, "dead_share": 0.05, "adc_bits": 8, "adc_gain_std": 0.01}
    backend = get("crossbar_pcm", **options)
    found = []
    for place in (torch.device("cpu"), device):
        stored = backend.store(atoms.to(place), seed=1)
        stored.handle.calibrate(x.to(place))
        stored.matvec(x.to(place))
        array = stored.handle.arrays["forward"]
        shares = [float(array.state[name].float().mean()) for name in ("stuck", "dead")]
        found.append([*array.ranges.tolist(), stored.handle.cost().energy_joules, *shares])
    assert found[1] == pytest.approx(found[0], rel=0.2, abs=0.02)


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # of torch, for what it maps one by one
@pytest.mark.parametrize("read", ["matvec", "rmatvec"])
@pytest.mark.parametrize("options", QUIET, ids=str)
def test_vmap(read, options, device):
    atoms = torch.randn(11, 32, generator=rng(1))
    here, there = (get("crossbar", **options).store(a, seed=1) for a in (atoms, atoms.to(device)))
    x = questions(read, 11, 32, torch.float32)
    close(torch.func.vmap(getattr(there, read))(x.to(device)), getattr(here, read)(x), 2e-3)


@pytest.mark.parametrize("name", ["digital", *CROSSBARS])
def test_gradients_and_layers(name, device):
    """Train view and programmed array: the gradient of the exact matrix, wherever it is."""
    layer = vsa.nn.Linear(16, 8, backend=get(name), seed=1).to(device)
    for training in (True, False):
        layer.train(training)
        x = torch.randn(5, 16, generator=rng(1)).to(device).requires_grad_()
        layer(x).sum().backward()
        close(x.grad, layer.weight.detach().cpu().sum(0).expand(5, -1))
        if training:
            close(layer.weight.grad, x.detach().cpu().sum(0).expand(8, -1))
    again = vsa.nn.Linear(16, 8, backend=get(name), seed=2).to(device)
    again.load_state_dict(layer.state_dict())
    again.eval()
    assert torch.equal(again(x), layer(x))


@pytest.mark.gpu
def test_state_does_not_cross_devices():
    """Generators of two kinds of devices are not those of each other."""
    atoms = torch.randn(6, 8, generator=rng(1))
    here, there = (get("crossbar_pcm").store(a, seed=1) for a in (atoms, atoms.cuda()))
    with pytest.raises(vsa.VSAError, match="torch_device"):
        there.handle.load_state_dict(here.handle.state_dict())


def test_the_self_check_can_fail():
    with pytest.raises(AssertionError):
        close(torch.ones(3), torch.tensor([1.0, 1.0, 1.1]))
    with pytest.raises(AssertionError):
        close(torch.ones(3).double(), torch.ones(3))

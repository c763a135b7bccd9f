"""Uses of arrays beside the plain read: inside vmap, in workers, in inference mode, at the ends of their settings."""

from __future__ import annotations

import contextvars
import dataclasses
import math
from contextlib import suppress

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import vsa
from vsa.backends import array_seed, array_seeds, get, places
from vsa.backends.crossbar import DEVICES, HERMES_CORE, Crossbar
from vsa.backends.crossbar import arrays as arrays_module
from vsa.backends.crossbar import backend as backend_module
from vsa.errors import VSAError

MANAGED = {"adc_bits": 20, "adc_range": 10.0, "bound_management": True, "tile_rows": 128, "tile_columns": 128}
QUIET = {"name": "gaussian", "program_std_us": 0.5, "read_std_us": 0.0, "g_min_us": 5.0}  # far from the cut at zero

SLOWER = pytest.mark.filterwarnings("ignore:There is a performance drop")  # of torch, for what it maps one by one


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


# -- inside vmap -----------------------------------------------------------------------------------------------------


def law_vmap_reads_as_a_batch_does(side):
    """The same answers, attempts and counts; with noise, the noise of the last attempt."""
    atoms = torch.rand(256, 256, generator=rng(1))
    x = torch.rand(6, 256, generator=rng(2)) * torch.tensor([0.1, 1.0, 4.0, 0.0, 2.0, 1.0])[:, None]
    plain, mapped = (get("crossbar", cost_model=HERMES_CORE, **MANAGED).store(atoms, seed=1) for _ in range(2))
    wanted = getattr(plain, side)(x)
    found = torch.func.vmap(getattr(mapped, side))(x)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-3)
    assert mapped.handle.cost() == plain.handle.cost()
    noisy = get("crossbar", output_noise=0.04, **MANAGED).store(torch.ones(256, 256), seed=1)
    found = torch.func.vmap(getattr(noisy, side), randomness="different")(torch.ones(50, 256))
    # Two tiles of 128 each, whose sums of 128 take four halvings in a range of 10.
    assert float(found.std()) == pytest.approx(math.sqrt(2) * 16 * 0.04, rel=5 / math.sqrt(2 * 50 * 256))


@SLOWER
@pytest.mark.parametrize("side", ["matvec", "rmatvec"])
def test_vmap_reads_as_a_batch_does(side, monkeypatch):
    law_vmap_reads_as_a_batch_does(side)
    monkeypatch.setattr(arrays_module, "stands_for_many", lambda x: False)
    with pytest.raises(RuntimeError, match="dynamic shape"):
        law_vmap_reads_as_a_batch_does(side)


@SLOWER
@pytest.mark.parametrize("name", ["crossbar_pcm", "crossbar_hermes", "crossbar_reram", "crossbar_gaussian"])
def test_derivatives_of_many_outputs(name):
    atoms, x = torch.randn(6, 16, generator=rng(1)), torch.randn(16, generator=rng(2))
    stored = get(name).store(atoms, seed=1)
    torch.testing.assert_close(torch.func.jacrev(stored.matvec)(x), atoms)
    each = torch.func.vmap(torch.func.grad(lambda v: stored.matvec(v).sum()), randomness="different")
    torch.testing.assert_close(each(x.expand(3, -1)), atoms.sum(0).expand(3, -1))


@pytest.mark.parametrize("name", ["crossbar_pcm", "crossbar_hermes"])
def test_what_was_programmed_in_inference_mode_lends_its_gradient(name):
    layer = vsa.nn.Linear(8, 4, backend=get(name), seed=1).eval()
    x = torch.randn(3, 8, generator=rng(1))
    with torch.inference_mode():
        layer(x)
        stored = get(name).store(torch.ones(4, 8), seed=1)
    for read, weights in ((layer, layer.weight), (stored.matvec, torch.ones(4, 8))):
        asked = x.clone().requires_grad_()
        read(asked).sum().backward()
        torch.testing.assert_close(asked.grad, weights.detach().sum(0).expand(3, -1))


# -- in workers ------------------------------------------------------------------------------------------------------


class Programs(Dataset):
    """Arrays that are programmed in the worker: without a seed, by name, of a run of its own, and anew."""

    def __init__(self):
        atoms = torch.randn(4, 8, generator=rng(1))
        self.book = vsa.Codebook(vsa.get("map_real", dim=8), atoms).on(get("crossbar", device=QUIET), seed=1)

    def __len__(self):
        return 2

    def __getitem__(self, item):
        free, named = (self.book.on(self.book.backend, seed=seed) for seed in (None, array_seed("colours")))
        with array_seeds(5):
            own = self.book.on(self.book.backend)
        self.book.stored.handle.reprogram()
        made = [free, named, own, self.book]
        return torch.stack([each.stored.handle.arrays["forward"].state["g_us"].flatten() for each in made])


def law_workers_program_arrays_of_their_own(context):
    """Two workers, two epochs: only what is asked for by name or run is the same array. A script repeats itself."""

    def made():
        loader = DataLoader(Programs(), num_workers=2, multiprocessing_context=context, generator=rng(1))
        return torch.cat([*loader, *loader]).transpose(0, 1)

    free, named, own, anew = first = made()
    assert len(free.unique(dim=0)) == len(anew.unique(dim=0)) == 4
    assert len(named.unique(dim=0)) == len(own.unique(dim=0)) == 1
    assert torch.equal(made(), first)
    return first


def test_workers_program_arrays_of_their_own(monkeypatch):
    plain = contextvars.Context().run  # in the process's own run, as a script is: a spawned worker has none but that
    forked, spawned = (plain(law_workers_program_arrays_of_their_own, context) for context in ("fork", "spawn"))
    assert torch.equal(forked, spawned)
    monkeypatch.setattr(places, "worker_seed", lambda: None)
    with pytest.raises(AssertionError):
        law_workers_program_arrays_of_their_own("fork")


# -- states and moves ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["layer", "book"])
def test_a_refused_move_changes_nothing(kind):
    x = torch.randn(3, 8, generator=rng(1))
    if kind == "layer":
        made = vsa.nn.Linear(8, 4, backend=get("crossbar_ideal"), seed=1).eval()
        read = made
    else:
        made = vsa.Codebook(vsa.get("map_real", dim=8), torch.ones(4, 8), unrelated=False).on(get("crossbar_ideal"))
        read = made.similarity
    before = read(x)
    with pytest.raises(VSAError, match=r"\.to: .*stays where it was programmed"):
        made.double()
    assert torch.equal(read(x), before)
    made.float().to("cpu")
    assert torch.equal(read(x), before)


@pytest.mark.parametrize("compensation", ["global", "column"])
@pytest.mark.parametrize("wires", [(20.0, 0.0), (0.0, 100.0)])
def test_devices_are_compensated_behind_the_wires_they_are_read_through(compensation, wires):
    """The same devices in an array of other wires: as if they had been there from the first."""
    atoms, x = torch.randn(20, 64, generator=rng(1)), torch.randn(8, 64, generator=rng(2))
    device = {"name": "gaussian", "read_std_us": 0.0, "drift_nu": 0.05}
    saved, loading, there = (
        get("crossbar", device=device, compensation=compensation, wire_ohm=ohm).store(atoms, seed=seed)
        for ohm, seed in ((wires[0], 1), (wires[1], 2), (wires[1], 1))
    )
    for stored in (saved, there):
        stored.handle.advance(1e7)
    loading.handle.load_state_dict(saved.handle.state_dict())
    assert torch.equal(loading.matvec(x), there.matvec(x))


def test_a_learned_book_goes_on_with_the_noise_of_its_view():
    def book():
        atoms = torch.randn(4, 16, generator=rng(1))
        return vsa.LearnableCodebook(vsa.get("map_real", dim=16), atoms, view=get("crossbar_gaussian"), seed=3)

    one, other, x = book(), book(), torch.randn(2, 16, generator=rng(2))
    for _ in range(3):
        one.refresh()
    other.load_state_dict(one.state_dict())
    assert torch.equal(other.similarity(x), one.similarity(x))
    assert not torch.equal(book().similarity(x), one.similarity(x))
    plain = vsa.LearnableCodebook(one.algebra, torch.zeros(4, 16), constraint="free")
    plain.load_state_dict(one.state_dict())
    one.load_state_dict(plain.state_dict())


# -- settings and arguments ------------------------------------------------------------------------------------------

QUANTITIES = [f.name for f in dataclasses.fields(Crossbar) if "float" in str(f.type)]
ENDS = (0.0, 1e-300, 1e-12, 1e12, 1e30, 1e308, 10**30, 10**400, math.inf, math.nan, -1.0)


def law_what_is_accepted_answers(make):
    """A sentence, or finite answers on a fresh array and on an old one."""
    with suppress(VSAError):
        stored = make().store(torch.randn(6, 8, generator=rng(1)), seed=1)
        for seconds in (0.0, 1e11):
            stored.handle.advance(seconds)
            for found in (stored.matvec(torch.ones(2, 8)), stored.rmatvec(torch.ones(2, 6))):
                assert bool(torch.isfinite(found).all())


@pytest.mark.parametrize("name", ["crossbar", "crossbar_pcm"])
@pytest.mark.parametrize("option", QUANTITIES)
def test_whatever_quantity_is_accepted_answers(name, option, monkeypatch):
    for value in ENDS:
        law_what_is_accepted_answers(lambda value=value: get(name, **{option: value}))
    if option == "output_noise" and name == "crossbar":
        monkeypatch.setattr(backend_module, "LARGEST", 1e308)
        with pytest.raises(AssertionError):
            law_what_is_accepted_answers(lambda: get(name, output_noise=1e30))


def test_whatever_parameter_is_accepted_answers(device_name):
    for field in dataclasses.fields(DEVICES.get(device_name)):
        for value in (end for end in ENDS if not end < 0):
            device = {"name": device_name, field.name: value}
            law_what_is_accepted_answers(lambda device=device: get("crossbar", device=device))


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(HERMES_CORE) if f.name not in ("name", "source")])
@pytest.mark.parametrize("value", ["x", None, True, [1], -1, math.nan, math.inf, 10**400])
def test_figures_of_a_chip_are_numbers(field, value):
    with pytest.raises(VSAError, match=f"cost model HERMES core {field}: .*a number"):
        dataclasses.replace(HERMES_CORE, **{field: value})
    with pytest.raises(VSAError, match="a CostModel, or null"):
        get("crossbar", cost_model="hermes")


def test_times_are_numbers():
    atoms = torch.ones(3, 4)
    for stored in (get("crossbar_pcm").store(atoms), get("digital").store(atoms)):
        for value in ("x", "1", None, True, [1], torch.ones(2), 1j, 10**400, math.nan, math.inf, -1.0, 1e13):
            with pytest.raises(VSAError, match=r"^advance"):
                stored.handle.advance(value)
        for value in (1, 1.0, -0.0, np.float32(1), np.int64(1), torch.tensor(1.0)):
            stored.handle.advance(value)
    stored = get("crossbar_pcm").store(atoms)
    stored.handle.advance(np.float32(1))
    assert type(stored.handle.t_seconds) is float


def test_calibration_and_states_refuse_what_they_cannot_use():
    handle = get("crossbar_pcm").store(torch.ones(3, 4)).handle
    good = torch.ones(5, 4)
    for x in (None, "x", [[1.0] * 4], good.long(), good.to(torch.complex64), good * math.nan, good * 0, good[:0]):
        with pytest.raises(VSAError, match=r"^calibrate"):
            handle.calibrate(x)
    for quantile in ("x", None, True, math.nan, 0, 2):
        with pytest.raises(VSAError, match=r"^calibrate"):
            handle.calibrate(good, quantile)
    assert handle.arrays["forward"].ranges is None
    for state in (None, 3, [1], {"forward.time": 3}, {3: good}):
        for each in (handle, get("digital").store(good).handle):
            with pytest.raises(VSAError, match=r"^load_state_dict"):
                each.load_state_dict(state)

"""The crossbar: ideal equals digital; noise where it belongs and nowhere else. Its devices: tests/test_device.py."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import re
from pathlib import Path

import pytest
import torch

import vsa
from vsa.backends import BACKENDS, crossbar, get
from vsa.backends.crossbar import DEVICES, HERMES_CORE, Crossbar, CrossbarHandle
from vsa.backends.crossbar.conductance import slice_shares, slice_weights, targets, wire_share
from vsa.backends.crossbar.periphery import quantize
from vsa.checks import check_backend
from vsa.errors import SettingsError, VSAError

ALGEBRAS = [
    vsa.get("map", dim=32),
    vsa.get("map_real", dim=32),
    vsa.get("bsc", dim=32),
    vsa.get("hrr", dim=16),
    vsa.get("fhrr", dim=16),
    vsa.get("sbc", dim=32, blocks=4),
    vsa.get("gsbc", dim=32, blocks=4),
]
IDEAL = [
    {},
    {"share_devices": False},
    {"mapping": "offset"},
    {"scaling": "tile", "tile_rows": 7, "tile_columns": 5},
    {"scaling": "column", "tile_rows": 7},
    {"slices": 4, "slice_bits": 6},
]
YEAR = 365.0 * 86400
CROSSBARS = [name for name in BACKENDS.names() if issubclass(BACKENDS.get(name), Crossbar)]
NOISY = [
    name
    for name in CROSSBARS
    if get(name).cell.moments(get(name).cell.g_max_us, 1.0).read_std_us or get(name).output_noise
]
PRICED = [name for name in CROSSBARS if get(name).cost_model is not None]


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def matrix(backend, atoms, seed=0, **options):
    return get(backend, **options).store(atoms, "dense", seed=seed)


def relative(found, wanted):
    return float((found - wanted).norm() / wanted.norm())


# -- the seam ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algebra", ALGEBRAS, ids=lambda a: a.name)
@pytest.mark.parametrize("options", IDEAL, ids=str)
def test_ideal_equals_digital(algebra, options):
    """Every codebook read, plain and stacked, to 1e-5 of the output's norm (slices of 6 bits: 24 bits in all)."""
    check_backend(get("crossbar_ideal", **options), algebra, tolerance=1e-5)


@pytest.mark.parametrize("name", CROSSBARS)
@pytest.mark.parametrize("algebra", ALGEBRAS, ids=lambda a: a.name)
def test_every_preset_answers_every_read(name, algebra):
    check_backend(get(name), algebra, tolerance=None)


@pytest.mark.parametrize("name", NOISY)
def test_a_seed_repeats_an_array_exactly_and_another_does_not(name):
    atoms, x = torch.randn(40, 64, generator=rng(1)), torch.randn(5, 64, generator=rng(2))
    first, again, other = (matrix(name, atoms, seed) for seed in (3, 3, 4))
    one = first.matvec(x)
    assert torch.equal(one, again.matvec(x))
    assert not torch.equal(one, other.matvec(x))
    assert not torch.equal(first.matvec(x), one)  # read noise is drawn anew


@pytest.mark.parametrize("name", NOISY)
def test_the_generator_of_a_read_can_be_given(name):
    book = matrix(name, torch.randn(20, 32, generator=rng(1)))
    x = torch.randn(3, 32, generator=rng(2))
    assert torch.equal(book.matvec(x, generator=rng(5)), book.matvec(x, generator=rng(5)))


@pytest.mark.parametrize("name", CROSSBARS)
def test_a_saved_array_continues_exactly(name):
    algebra = vsa.get("map_real", dim=64)
    book = vsa.Codebook.random(algebra, 30, seed=0).on(get(name), seed=7)
    x = torch.randn(4, 64, generator=rng(3))
    book.stored.handle.advance(3600)
    book.similarity(x)
    state = {key: value.clone() for key, value in book.state_dict().items()}
    wanted = book.similarity(x), book.superpose(torch.rand(2, 30, generator=rng(4)))
    other = vsa.Codebook.random(algebra, 30, seed=0).on(get(name), seed=99)
    other.load_state_dict(state)
    assert torch.equal(other.similarity(x), wanted[0])
    assert torch.equal(other.superpose(torch.rand(2, 30, generator=rng(4))), wanted[1])
    with pytest.raises(VSAError, match="no entry"):
        other.stored.handle.load_state_dict({})


@pytest.mark.parametrize("name", CROSSBARS)
def test_arrays_are_copied_with_their_state(name):
    algebra = vsa.get("map_real", dim=32)
    book = vsa.Codebook.random(algebra, 5, seed=0).on(get(name), seed=1)
    book.stored.handle.advance(60.0)
    x = torch.randn(2, 32, generator=rng(1))
    for other in (pickle.loads(pickle.dumps(book)), copy.deepcopy(book)):
        again = copy.deepcopy(book)
        assert torch.equal(other.similarity(x), again.similarity(x))


# -- faults ------------------------------------------------------------------------------------------------------


def test_stuck_and_dead_devices():
    atoms = torch.randn(100, 100, generator=rng(1))
    stored = get("crossbar_ideal", stuck_share=0.1, dead_share=0.2).store(atoms, "dense", seed=1)
    g_us, _ = stored.handle.arrays["forward"].conductances()
    assert float((g_us == 25.0).float().mean()) == pytest.approx(0.1, abs=0.01)
    assert float((g_us == 0.0).float().mean()) == pytest.approx(0.2 + 0.7 * 0.5, abs=0.01)  # half of each pair is zero
    before = stored.matvec(atoms[:3])
    stored.handle.advance(YEAR)
    assert torch.equal(stored.matvec(atoms[:3]), before)


# -- arrays and periphery ----------------------------------------------------------------------------------------


def test_slices_add_up():
    weights = torch.rand(50, 60, generator=rng(1)) * 2 - 1
    for slices, bits in ((1, 4), (2, 3), (3, 2)):
        shares = torch.tensor(slice_shares(slices, bits))
        digits = slice_weights(weights, slices, bits)
        assert float(shares.sum()) == pytest.approx(1)
        total = (digits * shares.view(-1, 1, 1)).sum(0)
        assert float((total - weights).abs().max()) <= 0.5 / (2 ** (bits * slices) - 1) + 1e-6
        assert float(digits.abs().max()) <= 1
        levels = digits.abs() * (2**bits - 1)
        torch.testing.assert_close(levels, levels.round(), atol=1e-5, rtol=0)


def test_pairs_and_offsets_hold_the_same_weight(device_name):
    device, weights = DEVICES.get(device_name)(), torch.linspace(-1, 1, 9)
    pair, single = targets(weights, "differential", device), targets(weights, "offset", device)
    span = device.g_max_us - device.g_min_us
    torch.testing.assert_close((pair[0] - pair[1]) / span, weights)
    torch.testing.assert_close(2 * (single[0] - device.g_min_us) / span - 1, weights)
    assert float(torch.cat([pair, single]).min()) >= device.g_min_us


def test_wires_against_the_network_of_resistances():
    """The ladder of a column solved as a linear system, node by node."""
    g_us, ohm, n = torch.rand(7, 3, generator=rng(1), dtype=torch.float64) * 1e5, 0.5, 7
    share = wire_share(g_us, ohm)
    for column in range(3):
        g = g_us[:, column] * 1e-6
        system = torch.diag(g)
        for place in range(n):  # a segment to the next node; the last one to ground
            system[place, place] += 1 / ohm
            if place + 1 < n:
                system[place + 1, place + 1] += 1 / ohm
                system[place, place + 1] -= 1 / ohm
                system[place + 1, place] -= 1 / ohm
        for source in range(n):
            injected = torch.zeros(n, dtype=torch.float64)
            injected[source] = g[source]  # an input of 1 V drives this device alone
            nodes = torch.linalg.solve(system, injected)
            assert float(nodes[-1] / ohm) == pytest.approx(float(g[source] * share[source, column]))
    torch.testing.assert_close(wire_share(g_us, 0.0), torch.ones_like(g_us))


def test_converters():
    x = torch.linspace(-1.5, 1.5, 6001)
    for bits in (2, 4, 8):
        seen = quantize(x, bits)
        steps = 2 ** (bits - 1) - 1
        assert len(seen.unique()) == 2 * steps + 1
        assert torch.equal(seen.abs() <= 1, torch.ones(6001, dtype=torch.bool))
        inside = x.abs() <= 1
        assert float((seen - x)[inside].abs().max()) <= 0.5 / steps + 1e-6
    assert torch.equal(quantize(x, None), x)


def test_saturation_and_bound_management():
    atoms = torch.ones(4, 64)
    x = torch.ones(1, 64)
    clipped = get("crossbar_ideal", adc_bits=12, adc_range=10.0).store(atoms).matvec(x)
    managed = get("crossbar_ideal", adc_bits=12, adc_range=10.0, bound_management=True).store(atoms).matvec(x)
    torch.testing.assert_close(clipped, torch.full((1, 4), 10.0))
    torch.testing.assert_close(managed, torch.full((1, 4), 64.0), rtol=1e-2, atol=0)


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_more_bits_and_smaller_tiles_are_more_exact(bits):
    atoms, x = torch.randn(64, 256, generator=rng(1)), torch.randn(32, 256, generator=rng(2))
    wanted = x @ atoms.T

    def error(**options):
        return relative(get("crossbar_ideal", dac_bits=12, adc_range="full", **options).store(atoms).matvec(x), wanted)

    assert error(adc_bits=bits + 2) < 0.5 * error(adc_bits=bits)
    assert error(adc_bits=bits + 2, adc_gain_std=0.1) > error(adc_bits=bits + 2)


def test_calibrated_ranges_waste_no_levels():
    """6-bit converters whose range fits the data beat those that allow for the strongest possible output."""
    atoms, x = torch.randn(64, 256, generator=rng(1)), torch.randn(500, 256, generator=rng(2))
    stored = get("crossbar_ideal", adc_bits=6, dac_bits=10).store(atoms)
    wanted = x[:100] @ atoms.T
    before = relative(stored.matvec(x[:100]), wanted)
    stored.handle.calibrate(x[100:])
    after = relative(stored.matvec(x[:100]), wanted)
    assert after < 0.3 * before
    other = get("crossbar_ideal", adc_bits=6, dac_bits=10).store(atoms)
    other.handle.load_state_dict(stored.handle.state_dict())
    assert torch.equal(other.matvec(x[:5]), stored.matvec(x[:5]))
    with pytest.raises(VSAError, match=r"calibrate: .*expected \(B, 256\)"):
        stored.handle.calibrate(x[:, :5])
    with pytest.raises(VSAError, match="quantile"):
        stored.handle.calibrate(x, 0.0)


def test_averaging_makes_noise_smaller():
    atoms, x = torch.randn(20, 64, generator=rng(1)), torch.randn(64, generator=rng(2)).expand(3000, -1)
    one = get("crossbar_ideal", output_noise=1.0).store(atoms).matvec(x).std(0)
    four = get("crossbar_ideal", output_noise=1.0, averages=4).store(atoms).matvec(x).std(0)
    torch.testing.assert_close(one / four, torch.full((20,), 2.0), rtol=0.1, atol=0)


# -- time --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CROSSBARS)
def test_reprogramming_starts_again(name):
    stored = matrix(name, torch.randn(20, 32, generator=rng(1)))
    handle = stored.handle
    assert isinstance(handle, CrossbarHandle)
    handle.advance(YEAR)
    assert handle.t_seconds > YEAR
    handle.reprogram()
    assert handle.t_seconds == 1.0


# -- costs, training, errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRICED)
def test_costs_count_arrays_and_reads(name):
    atoms = torch.randn(300, 600, generator=rng(1))
    backend = get(name, tile_rows=256, tile_columns=256)
    stored = backend.store(atoms, "dense")
    before = stored.handle.cost()
    stored.matvec(torch.randn(5, 600, generator=rng(2)))
    after = stored.handle.cost()
    # 600 inputs are three tiles, 300 outputs two: six cores, which read at the same time.
    model = backend.cost_model
    assert after.energy_joules - before.energy_joules == pytest.approx(5 * 6 * model.read_joules)
    assert after.reads - before.reads == 5
    assert after.latency_seconds - before.latency_seconds == pytest.approx(5 * model.read_seconds)


def test_the_core_has_its_published_figures_and_others_no_cost():
    """131,072 operations at 10.5 TOPS/W and 1.008 TOPS."""
    assert pytest.approx(131072 / 10.5e12) == HERMES_CORE.read_joules
    assert pytest.approx(131072 / 1.008e12) == HERMES_CORE.read_seconds
    assert PRICED
    for name in set(CROSSBARS) - set(PRICED):
        assert matrix(name, torch.ones(3, 4)).handle.cost() is None


@pytest.mark.parametrize("name", NOISY)
def test_training_sees_fresh_noise_and_exact_gradients(name):
    backend = get(name)
    atoms = torch.randn(20, 32, generator=rng(1), requires_grad=True)
    x = torch.randn(4, 32, generator=rng(2))
    one, two = (backend.train_view(atoms, seed=seed).matvec(x) for seed in (1, 2))
    assert not torch.equal(one, two)
    one.sum().backward()
    torch.testing.assert_close(atoms.grad, x.sum(0).expand(20, -1))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mapping": "diferential"}, "differential"),
        ({"scaling": "row"}, "column"),
        ({"device": "pmc"}, "pcm"),
        ({"compensation": "all"}, "global"),
        ({"tile_rows": 0}, "from 1 to"),
        ({"adc_bits": 1}, "2 to 24"),
        ({"adc_range": "wide"}, "full, per_input"),
        ({"stuck_share": -0.1}, "not negative"),
        ({"stuck_share": 0.7, "dead_share": 0.7}, "more than all"),
        ({"slices": 2}, "slice_bits"),
        ({"input_range": 0.0}, "positive"),
        ({"averages": 1.5}, "from 1 to"),
        ({"device": 3}, "a device or its name"),
    ],
)
def test_wrong_settings_are_sentences(options, words):
    with pytest.raises((SettingsError, VSAError), match=words):
        get("crossbar", **options)


def test_wrong_uses_are_sentences():
    stored = matrix(NOISY[0], torch.randn(4, 8, generator=rng(1)))
    with pytest.raises(VSAError, match=r"advance: received -1\.0 seconds"):
        stored.handle.advance(-1.0)
    with pytest.raises(VSAError, match=r"\(\.\.\., 8\)"):
        stored.matvec(torch.zeros(3, 9))
    book = vsa.Codebook.random(vsa.get("map_real", dim=16), 4, seed=0).on(get(NOISY[0]))
    with pytest.raises(VSAError, match="stays where it was programmed"):
        book.to(torch.float64)


PAGE = (Path(crossbar.__file__).parent / "README.md").read_text(encoding="utf-8")


def test_the_folders_readme_runs(capsys):
    sources = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(sources) == 2
    for source in sources:
        exec(compile(source, "README.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "7"
    assert printed[-1] == "crossbar_pcm(device=pcm(read_scale=0.5))"


def test_the_folders_readme_lists_presets_and_devices_with_their_defaults():
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*?)\|", PAGE, re.MULTILINE))
    modules = [DEVICES.get(name) for name in DEVICES.names()]
    ours = {cls.name: cls for cls in modules if cls.__module__.startswith("vsa.")}
    assert set(rows) - set(ours) - {"adc_range", "input_noise"} == set(CROSSBARS) - {"crossbar"}
    for name, cls in ours.items():
        own = [f for f in dataclasses.fields(cls) if f.name not in ("g_max_us", "g_min_us")]
        assert rows[name].strip() == ", ".join(f"`{f.name}={f.default}`" for f in own)


@pytest.mark.parametrize("name", CROSSBARS)
def test_presets_print_what_they_change(name):
    assert str(get(name)) == name
    assert str(get(name, wire_ohm=1.0)) == f"{name}(wire_ohm=1.0)"

"""Every device, a dummy of the test's own as well: its moments are as it declares them, and arrays of it work."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

import vsa
from vsa.backends import get
from vsa.backends.crossbar import DEVICES, Moments
from vsa.errors import VSAError
from vsa.law_suite import LawError

YEAR = 3.15e7


def variants(name):
    """A device as it is, and with each of its own parameters changed."""
    cls = DEVICES.get(name)
    own = [f for f in dataclasses.fields(cls) if f.name not in ("g_max_us", "g_min_us")]
    return [cls(), *(cls(**{f.name: 1.5 * f.default or 0.3}) for f in own), cls(g_max_us=1.2 * cls().g_max_us)]


def noisy(name):
    """A variant that declares read noise; skips where none does."""
    found = [device for device in variants(name) if device.moments(device.g_max_us, 1.0).read_std_us > 0]
    return found[0] if found else pytest.skip(f"{name} declares no read noise")


# -- the laws ----------------------------------------------------------------------------------------------------


def test_devices_keep_their_laws(device_name):
    for device in variants(device_name):
        results = vsa.check_device(device)
        assert len(results) == 5 * 4
        assert {result.status for result in results} == {"held"}


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Moments)])
def test_a_moment_that_is_declared_wrong_is_found(leaky, field):
    class Boaster(leaky):
        name = "boaster"

        def moments(self, target_us, t_seconds):
            right = super().moments(target_us, t_seconds)
            return dataclasses.replace(right, **{field: 1.1 * getattr(right, field) + 0.02})

    with pytest.raises(LawError, match=r"device boaster at .* as declared"):
        vsa.check_device(Boaster())


ANEW = torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    ("hook", "replacement", "words"),
    [
        ("program", lambda self, t, g: {"g": t}, "an entry g_us"),
        ("program", lambda self, t, g: {"g_us": t - 100.0}, "negative conductances"),
        ("program", lambda self, t, g: {"g_us": t[:3]}, "shape|conductance"),
        ("program", lambda self, t, g: {"g_us": t, "x": t * math.nan}, "x malformed"),
        ("program", lambda self, t, g: {"g_us": t * 0.99}, "conductance as programmed, mean"),
        ("drift", lambda self, s, t: s["g_us"].mul_(0.9), "hooks that change the state"),
        ("drift", lambda self, s, t: s["g_us"] * torch.rand(1, generator=ANEW), "two answers"),
        ("drift", lambda self, s, t: s["g_us"] * 0.9, r"ln\(g\(t\) / g\(0\)\), mean"),
        ("drift", lambda self, s, t: s["g_us"][:5], "another shape"),
        ("read_std", lambda self, s, g, t: -g, "negative values"),
        ("read_std", lambda self, s, g, t: None, "read noise squared"),
    ],
)
def test_a_broken_hook_is_found(leaky, hook, replacement, words):
    broken = type("Broken", (leaky,), {hook: replacement})
    with pytest.raises(LawError, match=words):
        vsa.check_device(broken())


def test_a_device_that_takes_every_target_is_found(leaky):
    class Careless(leaky):
        def check_target(self, target_us):
            pass

    with pytest.raises(LawError, match=r"a target of 33 uS, accepted"):
        vsa.check_device(Careless())


def test_parameters_are_checked(device_name):
    cls = DEVICES.get(device_name)
    for field in dataclasses.fields(cls):
        with pytest.raises(VSAError, match=f"device {device_name} {field.name}: received 'x'; expected a number"):
            cls(**{field.name: "x"})
    with pytest.raises(VSAError, match="expected 0 <= g_min_us < g_max_us"):
        cls(g_max_us=1.0, g_min_us=2.0)


# -- on arrays ---------------------------------------------------------------------------------------------------


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def relative(found, wanted):
    return float((found - wanted).norm() / wanted.norm())


def test_every_codebook_read_on_every_device(device_name, algebra_name):
    sizes = {"dim": 32, **({"blocks": 4} if "blocks" in algebra_name or "sbc" in algebra_name else {})}
    vsa.check_backend(get("crossbar", device=device_name), vsa.get(algebra_name, **sizes), tolerance=None)


def test_read_noise_at_the_output_is_that_of_the_devices(device_name):
    """An output's variance is the squared inputs times the devices' variances; 4,000 reads, five standard errors."""
    device = noisy(device_name)
    atoms, x = torch.randn(6, 50, generator=rng(1)), torch.randn(50, generator=rng(2))
    stored = get("crossbar", device=device).store(atoms, "dense", seed=1)
    reads = stored.matvec(x.expand(4000, -1))
    _, std = stored.handle.arrays["forward"].conductances()
    unit = float(atoms.abs().max()) / (device.g_max_us - device.g_min_us)
    wanted = (unit**2 * std.square().sum(0)[0, 0, 0].mul(x.square()[:, None]).sum(0)).sqrt()
    torch.testing.assert_close(reads.std(0), wanted, rtol=5 / math.sqrt(8000), atol=0)


def test_a_seed_repeats_an_array_and_reads_differ_where_noise_is_declared(device_name):
    atoms, x = torch.randn(40, 64, generator=rng(1)), torch.randn(5, 64, generator=rng(2))
    for device in variants(device_name):
        first, again, other = (get("crossbar", device=device).store(atoms, seed=seed) for seed in (3, 3, 4))
        moments = device.moments(device.g_max_us, 1.0)
        one = first.matvec(x)
        assert torch.equal(one, again.matvec(x))
        assert torch.equal(one, other.matvec(x)) == (moments.std_us == 0 == moments.read_std_us)
        assert torch.equal(one, first.matvec(x)) == (moments.read_std_us == 0)


def test_a_saved_array_continues_exactly(device_name):
    """With options of the device; an array of another seed takes the state over."""
    algebra = vsa.get("map_real", dim=64)
    x = torch.randn(4, 64, generator=rng(3))
    for device in variants(device_name):
        backend = get("crossbar", device=device)
        book = vsa.Codebook.random(algebra, 30, seed=0).on(backend, seed=7)
        book.stored.handle.advance(3600)
        book.similarity(x)
        state = {key: value.clone() for key, value in book.state_dict().items()}
        wanted = book.similarity(x), book.superpose(torch.rand(2, 30, generator=rng(4)))
        other = vsa.Codebook.random(algebra, 30, seed=0).on(backend, seed=99)
        other.load_state_dict(state)
        assert torch.equal(other.similarity(x), wanted[0])
        assert torch.equal(other.superpose(torch.rand(2, 30, generator=rng(4))), wanted[1])


def test_programming_persists_and_read_noise_averages_out(device_name):
    atoms, x = torch.randn(40, 64, generator=rng(1)), torch.randn(5, 64, generator=rng(2))
    stored = get("crossbar", device=device_name).store(atoms, "dense", seed=1)
    one, two = (torch.stack([stored.matvec(x) for _ in range(400)]).mean(0) for _ in range(2))
    exact = get("crossbar", device=device_name, averages=10**12).store(atoms, "dense", seed=1).matvec(x)
    single = relative(stored.matvec(x), exact)
    # The mean of 400 reads is off by a twentieth of what one is off.
    assert relative(one, exact) < 0.1 * single + 1e-5
    assert relative(two, one) < 0.15 * single + 1e-5


def test_backward_reads_share_devices_or_not(device_name):
    """Through the same devices a transposed read has the same errors; through its own, others where there are any."""
    atoms = torch.randn(30, 40, generator=rng(1))
    for shared in (True, False):
        backend = get("crossbar", device=device_name, share_devices=shared, averages=10**12)
        stored = backend.store(atoms, "dense", seed=1)
        forward = stored.matvec(torch.eye(40)).T  # (30, 40): the matrix that similarity sees
        error = relative(stored.rmatvec(torch.eye(30)), forward)
        alike = shared or backend.cell.moments(backend.cell.g_max_us, 1.0).std_us == 0
        assert error < 1e-5 if alike else error > 0.005


def test_drift_and_its_compensation_are_as_declared(device_name):
    atoms, x = torch.randn(64, 128, generator=rng(1)), torch.randn(50, 128, generator=rng(2))
    for device in variants(device_name):
        late = {}
        for kind in ("none", "global", "column"):
            stored = get("crossbar", device=device, compensation=kind, averages=10**12).store(atoms, "dense", seed=1)
            fresh = stored.matvec(x)
            stored.handle.advance(YEAR)
            late[kind] = relative(stored.matvec(x), fresh)
        lost = 1 - math.exp(device.moments(device.g_max_us / 2, YEAR).log_kept_mean)
        assert late["none"] == pytest.approx(lost, rel=0.2, abs=1e-5)
        for kind in ("global", "column"):
            assert late[kind] < 0.5 * late["none"] + 1e-5


def test_program_and_verify_comes_closer(device_name):
    atoms, device = torch.randn(100, 100, generator=rng(1)), DEVICES.get(device_name)()
    spread = device.moments(device.g_max_us, 1.0).std_us
    tolerance = spread / 2 or 0.5
    errors, pulses = [], []
    for rounds in (0, 1, 3):
        backend = get("crossbar", device=device, verify_rounds=rounds, verify_tolerance_us=tolerance)
        array = backend.store(atoms, seed=1).handle.arrays["forward"]
        errors.append(float((array.state["g_us"] - array.target_us).std()))
        pulses.append(array.pulses)
    assert pulses[0] == 20_000
    if spread:
        assert errors[0] > errors[1] > errors[2]
        assert pulses[0] < pulses[1] < pulses[2]

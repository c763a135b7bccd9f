"""Linear over a stored matrix: exact where the backend is, noisy where it is not, and trainable on both."""

from __future__ import annotations

import pytest
import torch

import vsa
from vsa.errors import VSAError
from vsa.nn import Linear


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_digital_equals_torch():
    layer = Linear(7, 3, seed=1)
    x = torch.randn(5, 7, generator=rng(1), requires_grad=True)
    for mode in (True, False):
        layer.train(mode)
        torch.testing.assert_close(layer(x), torch.nn.functional.linear(x, layer.weight, layer.bias))
    layer(x).sum().backward()
    torch.testing.assert_close(layer.weight.grad, x.detach().sum(0).expand(3, -1))


def test_evaluation_programs_once_and_training_draws_anew(device_name):
    backend = vsa.backends.get("crossbar", device=device_name)
    layer = Linear(16, 8, backend=backend, seed=1)
    x = torch.randn(4, 16, generator=rng(1))
    moments = backend.cell.moments(backend.cell.g_max_us, 1.0)
    quiet = moments.std_us == 0 == moments.read_std_us
    assert torch.equal(layer(x), layer(x)) == quiet, "training: fresh noise in every call, where there is any"
    layer.eval()
    layer(x)
    array = layer.stored
    layer(x)
    assert layer.stored is array
    layer.stored.handle.advance(3600)
    layer.load_state_dict({"weight": layer.weight, "bias": layer.bias})
    with pytest.raises(VSAError, match="call program"):
        _ = layer.stored


def test_the_same_seed_trains_the_same():
    def trained():
        layer = Linear(6, 1, backend=vsa.backends.get("crossbar_pcm"), seed=3)
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.05)
        x = torch.randn(64, 6, generator=rng(2))
        for _ in range(20):
            optimizer.zero_grad()
            (layer(x) - x.sum(-1, keepdim=True)).square().mean().backward()
            optimizer.step()
        return layer.weight.detach()

    assert torch.equal(trained(), trained())


def test_training_with_noise_learns_on_arrays():
    """A sum of inputs, on PCM: the error falls to that of the devices."""
    layer = Linear(6, 1, backend=vsa.backends.get("crossbar_pcm", output_noise=0.01), seed=3)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
    x = torch.randn(256, 6, generator=rng(2))
    target = x.sum(-1, keepdim=True)
    first = float((layer(x) - target).detach().square().mean())
    for _ in range(150):
        optimizer.zero_grad()
        (layer(x) - target).square().mean().backward()
        optimizer.step()
    layer.eval()
    assert float((layer(x) - target).detach().square().mean()) < 0.05 * first


def test_the_range_is_learned():
    """Inputs up to 3 through a fixed range of 1: the layer finds the range that loses least."""
    backend = vsa.backends.get("crossbar_ideal", input_range=1.0, dac_bits=8)
    layer = Linear(4, 2, backend=backend, learn_range=True, seed=1)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
    x = 3 * (2 * torch.rand(256, 4, generator=rng(3)) - 1)
    wanted = x @ torch.randn(4, 2, generator=rng(4))
    for _ in range(300):
        optimizer.zero_grad()
        (layer(x) - wanted).square().mean().backward()
        optimizer.step()
    assert float(layer.range.detach().abs()) > 2.0
    layer.eval()
    assert float((layer(x) - wanted).detach().square().mean() / wanted.square().mean()) < 0.01

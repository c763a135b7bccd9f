"""Every algorithm on every device, a dummy of the test's own as well: named and given options by settings."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
import yaml

import factorizers
import vsa
from factorizers import capacity, measuring
from factorizers.screen import read_cells
from reasoning import benchmark
from reasoning.setup import commands
from vsa.backends import get
from vsa.backends.crossbar import DEVICES, Device
from vsa.commands import screen
from vsa.errors import SettingsError, UnknownNameError, VSAError


def test_factorizers_on_every_device(device_name):
    algebra = vsa.get("map", dim=512)
    for name in ("in_memory", "resonator"):
        backend = get("crossbar", device=device_name)
        books = [vsa.Codebook.random(algebra, 8, seed=factor).on(backend, seed=factor) for factor in (1, 2)]
        indices = torch.tensor([[3, 4], [0, 7]])
        query = algebra.bind(books[0].atoms[indices[:, 0]], books[1].atoms[indices[:, 1]])
        answer = factorizers.get(name, books)(query, generator=torch.Generator().manual_seed(5))
        assert torch.equal(answer.indices, indices)


def options_of(name):
    """A parameter of the device's own, at another value than its default; none where it has none."""
    own = [f for f in dataclasses.fields(DEVICES.get(name)) if f.name not in ("g_max_us", "g_min_us")]
    return {own[-1].name: 1.5 * own[-1].default or 0.3} if own else {}


def test_capacity_takes_a_device_and_its_options(device_name, tmp_path):
    options = options_of(device_name)
    common = ("+factorizer=in_memory", "factorizer.noise=0.0", "dim=256", "size=8", "queries=8", "draws=1")
    given = (f"backend.device.name={device_name}", *(f"backend.device.{k}={v}" for k, v in options.items()))
    settings = capacity.compose_settings([*common, "backend=crossbar", *given, f"out={tmp_path / 'a.json'}"])
    (cell,) = measuring.run(settings)
    assert cell["backend"]["device"] == {"name": device_name, **options}
    assert cell["right"] == 8
    assert read_cells(tmp_path / "a.json") == [cell]
    settings = capacity.compose_settings([*common, "backend=crossbar", f"backend.device={device_name}"])
    (old,) = measuring.cells_of(settings)
    assert old.make_backend() == get("crossbar", device=device_name)


@pytest.fixture
def reasoned(tmp_path, capsys):
    """Runs a benchmark of NVSA in this process: settings.yaml, run.json, results of the puzzle set."""

    def call(*arguments):
        threads = torch.get_num_threads()
        screen._console.cache_clear()
        try:
            given = ["+model=nvsa", "constellation=center", "dataset.n=6", f"out={tmp_path / str(len(arguments))}"]
            assert benchmark.main([*given, *arguments]) in (0, None)
        finally:
            torch.set_num_threads(threads)
        folder = tmp_path / str(len(arguments))
        capsys.readouterr()
        run = json.loads((folder / "run.json").read_text())
        results = json.loads((folder / "results.json").read_text())
        return yaml.safe_load((folder / "settings.yaml").read_text()), run, results["center_single"]["answers"]

    return call


def test_a_reasoner_takes_a_device_and_its_options(device_name, reasoned):
    options = options_of(device_name)
    given = (f"backend.device.name={device_name}", *(f"backend.device.{k}={v}" for k, v in options.items()))
    settings, run, answers = reasoned("backend=crossbar", *given)
    assert settings["backend"]["options"]["device"] == {"name": device_name, **options}
    device = DEVICES.get(device_name)(**options)
    assert run["backend"] == ("crossbar" if device == get("crossbar").cell else f"crossbar(device={device})")
    assert answers["correct"] >= answers["total"] - 1


def test_the_options_reach_the_device(leaky, reasoned):
    """A device that has lost everything makes a reasoner guess."""
    _, run, answers = reasoned(
        "backend=crossbar", "backend.device.name=leaky", "backend.device.loss_per_year=700", "backend.age_seconds=1e9"
    )
    assert run["backend"] == "crossbar(device=leaky(loss_per_year=700.0), age_seconds=1000000000.0)"
    assert answers["correct"] <= 4


# -- how it is spelled -------------------------------------------------------------------------------------------


def composed(*arguments):
    return commands.compose_settings("benchmark", ["+model=nvsa", *arguments])["backend"]["device"]


def presets_with_options():
    return [name for name in vsa.backends.BACKENDS.names() if hasattr(vsa.backends.BACKENDS.get(name), "cell")]


@pytest.mark.parametrize("preset", presets_with_options())
def test_a_name_brings_none_of_the_former_devices_options(preset, leaky):
    own = composed(f"backend={preset}")
    assert own == {"name": get(preset).cell.name}
    for new in (
        ("backend.device=leaky",),
        ("backend.device.name=leaky",),
        ("backend.device={name:leaky}",),
        ("+backend.device.name=leaky",),
    ):
        assert composed(f"backend={preset}", *new) == {"name": "leaky"}
    mixed = composed("backend.device.read_share=0.5", f"backend={preset}", "backend.device=leaky")
    assert mixed == {"name": "leaky", "read_share": 0.5}
    more = ("backend.device.g_max_us=${seed}", "seed=7", "model.training.epochs=3", "perception.stress=published")
    kept = commands.compose_settings("train", ["+model=arlc", f"backend={preset}", *more])
    assert kept["backend"]["device"] == {**own, "g_max_us": 7}
    assert (kept["epochs"], kept["perception"]["stress"]) == (3, "published")


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (
            ["backend.device.read_shar=1"],
            SettingsError,
            r"setting of device leaky, backend.device.read_shar: .*one of g_max_us, .*did you mean 'read_share'",
        ),
        (["backend.device.read_share=much"], VSAError, r"device.read_share: received 'much' \(text\); .*number"),
        (["backend.device.name=leakey"], UnknownNameError, "device 'leakey'; expected one of .*did you mean 'leaky'"),
        (["backend.device.name=ideal"], SettingsError, "expected one of the two"),
        (["backend.device=null"], VSAError, "backend.device: received None .*; expected a name"),
        (["~backend.device.name"], SettingsError, "a setting to be taken away"),
        (["backend.devise.name=leaky"], SettingsError, "backend.devise.name: received an unknown key"),
    ],
)
def test_wrong_spellings_are_sentences(arguments, error, words, leaky):
    mine = [] if arguments == ["backend.device=null"] else ["backend.device=leaky"]
    if arguments[0].endswith("leakey"):
        mine = []
    with pytest.raises(error, match=words):
        benchmark.main(["+model=nvsa", "backend=crossbar", "dataset.n=2", *mine, *arguments, "out=never", "--debug"])


def test_a_mapping_in_python(leaky):
    backend = get("crossbar", device={"name": "leaky", "read_share": 0.5})
    assert backend.cell == leaky(read_share=0.5)
    assert str(backend) == "crossbar(device=leaky(read_share=0.5))"
    for same in ("leaky", {"name": "leaky"}):
        assert get("crossbar", device=same) == get("crossbar", device=leaky())
    assert isinstance(backend.device, Device)
    with pytest.raises(UnknownNameError, match=r"device.read_shar: .*g_max_us.*did you mean 'read_share'"):
        get("crossbar", device={"name": "leaky", "read_shar": 1.0})
    with pytest.raises(SettingsError, match="without a name"):
        get("crossbar", device={"read_share": 1.0})

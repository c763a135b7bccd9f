"""Front-ends as people write them: torch's own modules, which draw from the global generator, of any precision."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

import datasets
import reasoning
from datasets.pmf import magnitude_offset, oracle_pmfs
from reasoning.perception import PERCEPTIONS
from reasoning.perception.base import Perception
from reasoning.records.checkpoints import read_tensors, write_tensors
from reasoning.scene import AttributeKey, Scene
from reasoning.setup.weights import WEIGHTS
from reasoning.training.engine import Trainer
from vsa.errors import SettingsError

SMALL = (
    "dataset.n=24",
    "dataset.test_n=6",
    "epochs=2",
    "batch_size=8",
    "constellation=center",
    "test_constellation=center",
    "algebra.dim=256",
    "checkpoints.every_seconds=1e-9",
)


class Usual(Perception):
    """Linear layers drawn as torch draws them, a lazy one, one in double precision, dropout, normalisation, ties."""

    def __init__(self, *, layout: datasets.Layout, out: str = "float32", late: bool = False) -> None:
        super().__init__()
        self.width = max(v for (_, name), v in layout.attributes(layout.constellations[0]).items())
        self.first = nn.LazyLinear(16)
        self.norm, self.drop = nn.BatchNorm1d(16), nn.Dropout(0.3)
        self.last, self.tied = nn.Linear(16, self.width), nn.Linear(16, self.width)
        self.tied.weight = self.last.weight
        self.precise = nn.Linear(self.width, self.width, dtype=torch.float64)
        self.fixed = nn.Linear(self.width, self.width).requires_grad_(False)
        self.out, self.late = getattr(torch, out), late

    def forward(self, batch, *, mixed="shares", entities=False):
        if self.late and "made" not in self._parameters:
            self.made = nn.Parameter(torch.ones(()))
        labels = oracle_pmfs(batch.arrays, mixed=mixed, entities=entities)
        sets = {AttributeKey(*key): torch.from_numpy(values) for key, values in labels.sets.items()}
        pmfs = {AttributeKey(*key): self.look(batch, key, values) for key, values in labels.pmfs.items()}
        entity = {AttributeKey(*key): self.look(batch, key, values) for key, values in labels.entities.items()}
        return Scene(labels.columns, pmfs, sets, entity)

    def look(self, batch, key, values):
        pmf = nn.functional.pad(torch.from_numpy(values), (magnitude_offset(batch.arrays, key), 0))
        x = nn.functional.pad(pmf, (0, self.width - pmf.shape[-1]))
        h = self.norm(self.first(x).flatten(0, -2)).unflatten(0, x.shape[:-1])
        y = self.last(self.drop(h)) + self.tied(h) + self.fixed(x) + self.precise(x.double()) + 5 * x
        return y[..., : pmf.shape[-1]].softmax(-1).to(self.out) * pmf.sum(-1, keepdim=True).to(self.out)


@pytest.fixture(autouse=True)
def usual():
    PERCEPTIONS.register("usual")(Usual)
    yield
    del PERCEPTIONS._entries["usual"]


def done(command, name, *arguments, code=0):
    got, screen, err = command(name, *arguments)
    assert got == code, err
    return " ".join((screen if code == 0 else err).split())


def puzzles(n=24):
    return datasets.generate("iraven", "center", n=n, seed=0)


def test_unnamed_draws_are_repeatable(command, tmp_path):
    """Initial weights and dropout descend from the seed; whatever was drawn before or is drawn elsewhere."""
    line = ("+model=nvsa", "perception=usual", *SMALL)
    for name, more in (("a", ()), ("b", ()), ("other", ("seed=1",))):
        with torch.random.fork_rng():
            torch.rand(3)
            before = torch.get_rng_state()
            done(command, "train", *line, *more, f"out={tmp_path / name}")
            assert torch.equal(torch.get_rng_state(), before), "the global generator is put back"
    a, b, other = (read_tensors(tmp_path / name / WEIGHTS)[0] for name in ("a", "b", "other"))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["perception.fixed.weight"], other["perception.fixed.weight"])


@pytest.mark.parametrize("step", [1, 4])
def test_killed_and_resumed_to_the_same_bits(command, tmp_path, monkeypatch, step):
    line = ("+model=arlc", "perception=usual", *SMALL)
    done(command, "train", *line, f"out={tmp_path / 'whole'}")
    real, calls = Usual.forward, []

    def interrupted(self, *arguments, **options):
        calls.append(self.training)
        if sum(calls) > step:
            raise KeyboardInterrupt
        return real(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Usual, "forward", interrupted)
        done(command, "train", *line, f"out={tmp_path / 'cut'}", code=130)
    done(command, "train", f"resume={tmp_path / 'cut'}")
    for name in (WEIGHTS, "results.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_it_comes_back(command, tmp_path):
    """Lazy, tied, frozen and double weights, and statistics, through the file."""
    done(command, "train", "+model=nvsa", "perception=usual", *SMALL, f"out={tmp_path / 'run'}")
    line = (f"checkpoint={tmp_path / 'run'}", "dataset.n=6", "constellation=center")
    done(command, "benchmark", *line, f"out={tmp_path / 'again'}")
    assert (tmp_path / "again" / "results.json").read_bytes() == (tmp_path / "run" / "results.json").read_bytes()
    solver = reasoning.make_solver("nvsa", f"checkpoint={tmp_path / 'run'}")
    tensors = read_tensors(tmp_path / "run" / WEIGHTS)[0]
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in solver.state_dict().items())
    assert solver.perception.tied.weight is solver.perception.last.weight
    assert solver.perception.precise.weight.dtype == torch.float64


@pytest.mark.parametrize("model", ["nvsa", "arlc", "learn_vrf"])
@pytest.mark.parametrize("precision", ["float64", "bfloat16"])
def test_pmfs_of_another_precision(model, precision):
    """A learner computes in single precision, whatever the front-end does."""
    options = ("perception=usual", f"perception.out={precision}", "algebra.dim=256")
    solver = reasoning.fit(model, puzzles(8), *options, epochs=1, batch_size=8)
    batch = datasets.PuzzleBatch.of(puzzles(8))
    assert {value.dtype for value in solver.scene(batch).pmfs.values()} == {torch.float32}
    assert reasoning.evaluate(solver, puzzles(8)).answers.total == 8


def test_weights_made_too_late_are_refused():
    """They would be neither optimised nor saved, silently."""
    with pytest.raises(SettingsError, match=r"the weight perception\.made, which was made after the training"):
        reasoning.fit("nvsa", puzzles(8), "perception=usual", "perception.late=true", epochs=1)


ARRAYS = ("backend=crossbar", "backend.device.name=gaussian", "backend.device.read_std_us=2.0", "backend.adc_bits=6")


@pytest.mark.parametrize("model", ["nvsa", "arlc"])
def test_killed_and_resumed_on_noisy_arrays(command, tmp_path, monkeypatch, model):
    """Reads are drawn anew in each step from the seed: an array that is made again has no memory of earlier reads."""
    line = (f"+model={model}", "perception=usual", *ARRAYS, *SMALL)
    done(command, "train", *line, f"out={tmp_path / 'whole'}")
    real = Trainer._train_step

    def interrupted(self, batch):
        if self.step == 4:
            raise KeyboardInterrupt
        return real(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_train_step", interrupted)
        done(command, "train", *line, f"out={tmp_path / 'cut'}", code=130)
    done(command, "train", f"resume={tmp_path / 'cut'}")
    for name in (WEIGHTS, "results.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    line = (f"checkpoint={tmp_path / 'whole'}", "dataset.n=6", "constellation=center")
    done(command, "benchmark", *line, f"out={tmp_path / 'again'}")
    own, again = (tmp_path / name / "results.json" for name in ("whole", "again"))
    assert own.read_bytes() == again.read_bytes(), "the run's own evaluation is the benchmark's"


def test_options_of_a_device_are_restored_and_said(command, tmp_path):
    """One option of the device that was trained on changes; the others, and its name, stay."""
    run = tmp_path / "run"
    done(command, "train", "+model=arlc", *ARRAYS, "backend.device.g_max_us=20.0", *SMALL, f"out={run}")
    for name, more, words in (
        ("other", ("backend.device.read_std_us=0.5",), "backend.device.read_std_us=0.5 (trained with 2.0)"),
        ("default", ("backend.device.g_min_us=1.0",), "backend.device.g_min_us=1.0 (trained with 0.0)"),
        ("named", ("backend.device.name=reram",), "backend.device=reram (trained with gaussian)"),
        ("same", ("backend.device.read_std_us=2.0", "backend.device.g_min_us=0.0"), None),
    ):
        out = tmp_path / name
        line = (f"checkpoint={run}", "dataset.n=6", "constellation=center", *more, f"out={out}")
        got, _, err = command("benchmark", *line)
        assert got == 0, err
        assert words is None or words in " ".join(err.split())
        assert ("applied" in err) == (words is not None), err
        device = json.loads((out / "run.json").read_text())["recipe"]["backend"]["options"]["device"]
        assert device["name"] == ("reram" if name == "named" else "gaussian")
        assert device.get("g_max_us", 0) == (0 if name == "named" else 20.0)
    words = done(command, "explain", f"checkpoint={run}", "constellation=center", "backend.device.read_std_us=0.5")
    assert "Type" in words


def test_a_default_that_old_weights_do_not_name(command, tmp_path):
    """An option that came later: saying its default is saying nothing otherwise."""
    run = tmp_path / "run"
    done(command, "train", "+model=arlc", *SMALL, f"out={run}")
    tensors, header = read_tensors(run / WEIGHTS)
    for part in (header["model"], header["perception"]["perception"], header["algebra"]):
        for name in ("weighting", "stress", "blocks"):
            part["options"].pop(name, None)
    write_tensors(run / WEIGHTS, tensors, {key: header[key] for key in header if key != "sha256"})
    line = (f"checkpoint={run}", "dataset.n=6", "constellation=center", "+model=arlc")
    same = ("model.weighting=confidence", "perception.stress=none", "algebra.blocks=4")
    _, _, err = command("benchmark", *line, *same, f"out={tmp_path / 'same'}")
    assert "applied" not in err
    _, _, err = command("benchmark", *line, "perception.stress=calibrated", f"out={tmp_path / 'other'}")
    assert "perception.stress=calibrated (trained with none)" in " ".join(err.split())

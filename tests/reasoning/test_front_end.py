"""A front-end with weights: trained with the model behind it, saved, killed, resumed, restored, put beside others."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import datasets
import reasoning
from reasoning.records.checkpoints import read_tensors, write_tensors
from reasoning.setup import weights
from reasoning.setup.recipe import FrontEnd, Recipe
from reasoning.setup.settings import ModelSettings, Named
from vsa.errors import DtypeError, SettingsError, VSAError

pytestmark = pytest.mark.usefixtures("foggy")

SMALL = (
    "dataset.n=24",
    "dataset.test_n=6",
    "epochs=2",
    "batch_size=8",
    "constellation=center",
    "test_constellation=center",
    "algebra.dim=256",
)
TEACHERS = ("nvsa", "arlc", "learn_vrf")


def run(command, name, *arguments, code=0):
    got, screen, err = command(name, *arguments)
    assert got == code, err
    return " ".join((screen if code == 0 else err).split())


def both(command, name, *arguments):
    got, screen, err = command(name, *arguments)
    assert got == 0, err
    return " ".join(screen.split()), " ".join(err.split())


@pytest.fixture
def trained(command, tmp_path):
    """NVSA, which has nothing to learn itself, with a front-end that has."""
    out = tmp_path / "trained"
    seen = ("perception=foggy", "perception.sharpness=2.0")
    run(command, "train", "+model=nvsa", *seen, "lr=0.05", *SMALL, f"out={out}")
    return out


def recipe(model="nvsa", mode="programmed", backend="digital", **options):
    algebra, layout = Named("gsbc", {"dim": 256, "blocks": 4}), datasets.Layout("iraven", ("distribute_four",))
    seen = FrontEnd(Named("foggy", {"noise": 0.0}), algebra, Named(backend), layout=layout)
    return Recipe(ModelSettings(model, options=options), algebra, Named(backend), seen, layout, mode)


def gradient(made):
    solver = made.solver(training=True).train()
    batch = datasets.PuzzleBatch.of(datasets.generate("iraven", "2x2", n=8, seed=3))
    draw = torch.Generator().manual_seed(5)
    loss = solver.learner.training_loss(solver.scene(batch, draw), batch.target, draw)
    loss.backward()
    return {name: parameter.grad for name, parameter in solver.perception.named_parameters()}


@pytest.mark.parametrize(
    ("model", "mode"), [("nvsa", "programmed"), ("arlc", "programmed"), ("arlc", "learned"), ("learn_vrf", "learned")]
)
def test_the_gradient_reaches_the_front_end(model, mode):
    for name, found in gradient(recipe(model, mode)).items():
        assert found is not None, name
        assert torch.isfinite(found).all(), name
        assert float(found.abs().max()) > 0, name


@pytest.mark.parametrize("model", ["nvsa", "arlc"])
def test_the_gradient_passes_codebooks_on_arrays(model):
    """Ideal devices: the gradient of the exact backend. Noisy ones: another value, and still a gradient."""
    exact = gradient(recipe(model))
    for name, found in gradient(recipe(model, backend="crossbar_ideal")).items():
        torch.testing.assert_close(found, exact[name], rtol=1e-3, atol=1e-5)
    noisy = gradient(recipe(model, backend="crossbar_gaussian"))
    assert all(float(found.abs().max()) > 0 for found in noisy.values())


def test_train_saves_what_it_has_trained(command, trained, tmp_path):
    tensors, header = read_tensors(trained / weights.WEIGHTS)
    assert {name.partition(".")[0] for name in tensors} == {"perception"}, "NVSA has no weights"
    assert int(tensors["perception.batches"]) == 6, "nothing but training moves the buffer"
    assert header["format"] == weights.FORMAT
    seen = header["perception"]
    assert seen["perception"] == {"name": "foggy", "options": {"sharpness": 2.0, "noise": 0.1}}
    assert seen["layout"]["constellations"] == ["center_single"]
    assert (header["model"]["name"], header["algebra"]["options"]["dim"]) == ("nvsa", 256)
    fresh = reasoning.make_solver  # the same constructor, untrained, has other weights
    with pytest.raises(SettingsError, match="no weights for it"):
        fresh("nvsa", "perception=foggy", searchpath())
    start = recipe_of(trained).solver(training=True).perception.state_dict()
    assert all(not torch.equal(start[name], tensors[f"perception.{name}"]) for name in start)


def searchpath():
    import fake_learner

    return f"hydra.searchpath=[file://{fake_learner.CONF}]"


def recipe_of(run_folder):
    """The recipe of a run's header, without its weights."""
    header = weights.read_header(run_folder / weights.WEIGHTS)
    return Recipe(header.model, header.algebra, header.backend, header.perception, header.layout, "programmed")


def test_what_was_trained_comes_back(command, trained, tmp_path):
    """The evaluations of the run itself, of the benchmark, which names nothing but the run, and of Python agree."""
    own = json.loads((trained / "results.json").read_text())
    for number, more in enumerate(((), ("+model=nvsa",))):
        out = tmp_path / f"again{number}"
        arguments = (f"checkpoint={trained}", *more, "dataset.n=6", "constellation=center", f"out={out}")
        _, err = both(command, "benchmark", *arguments)
        assert "applied" not in err, "nothing was said otherwise"
        assert json.loads((out / "results.json").read_text()) == own
        record = json.loads((out / "run.json").read_text())["recipe"]
        assert record["perception"]["perception"]["options"] == {"sharpness": 2.0, "noise": 0.1}
    solver = reasoning.make_solver("nvsa", f"checkpoint={trained}")
    puzzles = datasets.load("iraven", "test", "center", n=6, seed=0)
    assert reasoning.evaluate(solver, puzzles).results() == own["center_single"]
    assert reasoning.evaluate(solver, puzzles.arrays).results() == own["center_single"]
    words = run(command, "explain", f"checkpoint={trained}", "constellation=center", "index=2")
    assert "Type" in words


def test_what_is_said_otherwise_is_applied_and_said(command, trained, tmp_path):
    common = (f"checkpoint={trained}", "dataset.n=6", "constellation=center")
    _, err = both(command, "benchmark", *common, "algebra.dim=512", f"out={tmp_path / 'a'}")
    assert "algebra.dim=512 (trained with 256)" in err
    _, err = both(command, "benchmark", *common, "backend=crossbar_ideal", f"out={tmp_path / 'b'}")
    assert "backend=crossbar_ideal (trained with digital)" in err
    record = json.loads((tmp_path / "b" / "run.json").read_text())["recipe"]
    assert record["perception"]["backend"]["name"] == "crossbar_ideal", "the front-end reads from arrays too"
    _, err = both(command, "benchmark", *common, "perception=oracle", f"out={tmp_path / 'c'}")
    assert "perception=oracle (trained with foggy)" in err
    assert json.loads((tmp_path / "c" / "results.json").read_text())["center_single"]["answers"]["correct"] == 6
    _, err = both(command, "benchmark", *common, "perception.sharpness=3.0", f"out={tmp_path / 'd'}")
    assert "perception.sharpness=3.0 (trained with 2.0)" in err


def test_labels_as_they_were_seen_in_training(command, tmp_path):
    """Smoothing and the treatment of mixed panels shape results; they were forgotten once."""
    seen = ("perception.smoothing=0.4", "perception.mixed=missing")
    small = ("dataset.n=64", "dataset.test_n=60", "epochs=1", "constellation=2x2", "test_constellation=2x2")
    run(command, "train", "+model=arlc", "algebra.dim=256", *seen, *small, f"out={tmp_path / 'run'}")
    own = json.loads((tmp_path / "run" / "results.json").read_text())
    again = (f"checkpoint={tmp_path / 'run'}", "dataset.n=60", "constellation=2x2")
    run(command, "benchmark", *again, f"out={tmp_path / 'again'}")
    assert json.loads((tmp_path / "again" / "results.json").read_text()) == own
    _, err = both(command, "benchmark", *again, "perception.smoothing=null", f"out={tmp_path / 'other'}")
    assert "perception.smoothing=None (trained with 0.4)" in err

    options = reasoning.make_solver("arlc", f"checkpoint={tmp_path / 'run'}").recipe.perception.perception.options
    assert (options["smoothing"], options["mixed"]) == (0.4, "missing")


def test_an_experiment_counts_as_said(command, tmp_path):
    run(command, "train", "+model=arlc", "algebra.dim=256", *SMALL[:-1], f"out={tmp_path / 'run'}")
    _, err = both(
        command,
        "benchmark",
        "+model=arlc",
        f"checkpoint={tmp_path / 'run'}",
        "experiment=ravenx_stress_calibrated",
        "dataset.n=4",
        "dataset.columns=3",
        "dataset.maxval=20",
        f"out={tmp_path / 'out'}",
    )
    for words in ("algebra.dim=4096 (trained with 256)", "perception.stress=calibrated (trained with none)"):
        assert words in err


@pytest.mark.parametrize("model", TEACHERS)
def test_killed_and_resumed(command, foggy, tmp_path, monkeypatch, model):
    """The same bits as a run that was not killed: front-end, its buffer, its draws, its schedule, the optimiser."""
    line = (f"+model={model}", "perception=foggy", "perception.lr=0.02", "checkpoints.every_seconds=1e-9", *SMALL)
    run(command, "train", *line, f"out={tmp_path / 'whole'}")
    real = foggy.Foggy.forward

    def interrupted(self, batch, *, generator=None, **options):
        if self.training and int(self.batches) == 4:
            raise KeyboardInterrupt
        return real(self, batch, generator=generator, **options)

    with monkeypatch.context() as patch:
        patch.setattr(foggy.Foggy, "forward", interrupted)
        run(command, "train", *line, f"out={tmp_path / 'cut'}", code=130)
    run(command, "train", f"resume={tmp_path / 'cut'}")
    for name in (weights.WEIGHTS, "results.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_killed_by_the_system(fake_script, tmp_path):
    """SIGKILL in the middle of writing the third checkpoint, then resume, as programs."""
    environment = {**os.environ, "PYTHONPATH": str(fake_script.parents[2])}
    line = ["train", "+model=nvsa", "perception=foggy", "checkpoints.every_seconds=1e-9", *SMALL]

    def start(*arguments):
        return subprocess.run(
            [sys.executable, str(fake_script), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            cwd=tmp_path,
        )

    assert start(*line, "out=whole").returncode == 0
    assert start("--die-in-write", "3", *line, "out=cut").returncode == -signal.SIGKILL
    assert start("train", "resume=cut").returncode == 0
    assert (tmp_path / "cut" / weights.WEIGHTS).read_bytes() == (tmp_path / "whole" / weights.WEIGHTS).read_bytes()
    done = start("benchmark", "checkpoint=cut", "dataset.n=6", "constellation=center", "out=again")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "again" / "results.json").read_bytes() == (tmp_path / "whole" / "results.json").read_bytes()


def test_beside_another_learner(command, trained, tmp_path):
    """perception.checkpoint: a run's or a file's front-end, with its own algebra and layout, before any learner."""
    for model in ("symbolic", "arlc", "nvsa"):
        out = tmp_path / model
        run(
            command,
            "benchmark",
            f"+model={model}",
            f"perception.checkpoint={trained}",
            "dataset.n=6",
            "constellation=center",
            f"out={out}",
        )
        record = json.loads((out / "run.json").read_text())["recipe"]["perception"]
        assert record["perception"]["name"] == "foggy"
        assert record["algebra"]["options"]["dim"] == 256, "its own, not the learner's"
    own = json.loads((trained / "results.json").read_text())
    assert json.loads((tmp_path / "nvsa" / "results.json").read_text())["center_single"]["answers"]["total"] == 6
    assert own["center_single"]["answers"]["total"] == 6
    alone = tmp_path / "front_end.safetensors"
    tensors, header = read_tensors(trained / weights.WEIGHTS)
    write_tensors(alone, tensors, {**header, "model": None})
    made = reasoning.make_solver("symbolic", f"perception.checkpoint={alone}")
    for name, tensor in made.perception.state_dict().items():
        assert torch.equal(tensor, tensors[f"perception.{name}"])
    small = ("dataset.n=6", "constellation=center", f"out={tmp_path / 'no'}")
    words = run(command, "benchmark", f"checkpoint={alone}", *small, code=2)
    assert f"write +model=NAME perception.checkpoint={alone}" in words
    named = ("+model=symbolic", "perception=oracle", f"perception.checkpoint={trained}")
    words = run(command, "benchmark", *named, *small, code=2)
    assert "the weights of foggy; expected those of perception=oracle" in words
    named = ("+model=symbolic", f"perception.checkpoint={tmp_path / 'nowhere'}")
    words = run(command, "benchmark", *named, *small, code=2)
    assert "no such folder" in words
    assert not (tmp_path / "no").exists()


def test_trained_on_or_left_as_it_is(command, trained, tmp_path):
    before = read_tensors(trained / weights.WEIGHTS)[0]
    line = ("+model=arlc", f"perception.checkpoint={trained}", "lr=0.05", *SMALL)
    for name, more, same in (("on", (), False), ("frozen", ("perception.frozen=true",), True)):
        out = tmp_path / name
        run(command, "train", *line, *more, f"out={out}")
        after, header = read_tensors(out / weights.WEIGHTS)
        assert header["perception"]["perception"]["options"]["sharpness"] == 2.0
        kept = [torch.equal(before[key], after[key]) for key in before]
        assert all(kept) if same else not any(kept)
        assert "learner.logits" in after
        settings = (out / "settings.yaml").read_text()
        assert "name: foggy" in settings, "the settings say what was restored"


def test_a_run_keeps_the_front_end_that_it_began_with(command, trained, fake, foggy, tmp_path, monkeypatch):
    """The file may be gone when the run goes on."""
    line = (
        "+model=fake",
        f"perception.checkpoint={trained}",
        "perception.frozen=true",
        "checkpoints.every_seconds=1e-9",
        *SMALL,
    )
    run(command, "train", *line, f"out={tmp_path / 'whole'}")
    real = fake.Fake.training_loss

    def interrupted(self, *arguments):
        if self.calls == 4:
            raise KeyboardInterrupt
        return real(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(fake.Fake, "training_loss", interrupted)
        run(command, "train", *line, f"out={tmp_path / 'cut'}", code=130)
    trained.rename(tmp_path / "moved")
    run(command, "train", f"resume={tmp_path / 'cut'}")
    assert (tmp_path / "cut" / weights.WEIGHTS).read_bytes() == (tmp_path / "whole" / weights.WEIGHTS).read_bytes()


TRAINING = "+model.training={epochs:1,batch_size:4,lr:1.0,weight_decay:0.0,schedule:constant}"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("+model=symbolic", "perception=foggy"), "a model that learns"),
        (("+model=symbolic", TRAINING, "perception=foggy"), "a front-end Foggy with weights before a Symbolic"),
        (("+model=nvsa",), "nothing to train"),
        (("+model=nvsa", "perception=foggy", "perception.frozen=true"), "Foggy without a free weight"),
        (("+model=arlc", "model.mode=programmed"), "nothing to train"),
        (("+model=arlc", "perception=foggy", "perception.lr=0"), "perception.lr: received 0.0"),
        (("+model=arlc", "perception=foggy", "perception.typo=1"), "perception.typo"),
        (("+model=arlc", "perception.checkpoint=nowhere"), "no such folder"),
    ],
)
def test_refusals_of_training(command, tmp_path, arguments, sentence):
    words = run(command, "train", *arguments, *SMALL, f"out={tmp_path / 'out'}", code=2)
    assert sentence in words
    assert not (tmp_path / "out").exists()


def test_a_front_end_without_weights_is_not_evaluated(command, tmp_path):
    line = ("+model=nvsa", "perception=foggy", "dataset.n=6", f"out={tmp_path / 'out'}")
    words = run(command, "benchmark", *line, code=2)
    assert "no weights for it, which it has to learn" in words
    assert not (tmp_path / "out").exists()


def test_a_front_end_is_trained_through_programmed_rules(command, tmp_path):
    out = tmp_path / "run"
    run(command, "train", "+model=arlc", "model.mode=programmed", "perception=foggy", "lr=0.05", *SMALL, f"out={out}")
    run(command, "benchmark", f"checkpoint={out}", "dataset.n=6", "constellation=center", f"out={tmp_path / 'again'}")
    assert json.loads((out / "results.json").read_text()) == json.loads((tmp_path / "again/results.json").read_text())
    assert json.loads((tmp_path / "again" / "run.json").read_text())["mode"] == "programmed"


def test_seeds_and_processes(command, tmp_path):
    line = ("+model=nvsa", "perception=foggy", *SMALL, "seeds=[0,1]")
    run(command, "train", *line, f"out={tmp_path / 'runs'}")
    first, second = (read_tensors(tmp_path / "runs" / seed / weights.WEIGHTS)[0] for seed in "01")
    assert not torch.equal(first["perception.tables.Size"], second["perception.tables.Size"])


def test_learning_through_nvsa_clears_the_fog(tmp_path):
    """Answers alone, through the back-end: from near chance to nearly all (measured 22 and 99 % of 200)."""
    puzzles, fresh = (datasets.generate("iraven", "center", n=n, seed=seed) for n, seed in ((400, 1), (200, 2)))
    made = recipe("nvsa")
    before = reasoning.evaluate(made.solver(training=True), fresh).answers.percent
    solver = reasoning.fit(
        "nvsa",
        puzzles,
        "perception=foggy",
        "perception.sharpness=2.5",
        "algebra.dim=256",
        searchpath(),
        epochs=6,
        lr=0.1,
    )
    after = reasoning.evaluate(solver, fresh).answers.percent
    assert before < 60
    assert after > before + 25


def test_the_page_on_front_ends_runs(monkeypatch):
    """Its class is registered, trained, and as right as the page says: processors differ, and training enlarges it."""
    from reasoning.perception import PERCEPTIONS

    page = (Path(reasoning.__file__).parents[1] / "docs" / "front_ends.md").read_text(encoding="utf-8")
    source, shown = (re.search(rf"```{kind}\n(.*?)```", page, re.DOTALL).group(1) for kind in ("python", "text"))
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(source, "docs/front_ends.md", "exec"), {"__name__": "page"})
    monkeypatch.delitem(PERCEPTIONS._entries, "lens")
    expected, found = ([int(line.split()[0]) for line in text.splitlines()] for text in (shown, output.getvalue()))
    assert found[0] == pytest.approx(expected[0], abs=5)
    assert found[1] >= expected[1] - 7


# -- reasoning.fit and the files it writes ---------------------------------------------------------------------------


def test_fit_is_the_training_of_the_command(command, fake, tmp_path):
    line = ("algebra.dim=256", "perception=foggy")
    run(command, "train", "+model=arlc", *line, *SMALL[:-1], f"out={tmp_path / 'run'}")
    puzzles = datasets.load("iraven", "train", "center", n=24, seed=0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the command does: sums by several threads may differ in their last bits
    try:
        solver = reasoning.fit("arlc", puzzles, *line, searchpath(), epochs=2, batch_size=8)
    finally:
        torch.set_num_threads(threads)
    tensors = read_tensors(tmp_path / "run" / weights.WEIGHTS)[0]
    state = solver.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in tensors.items())
    solver.save(tmp_path / "mine.safetensors", "24 puzzles of center")
    again = reasoning.make_solver("arlc", f"checkpoint={tmp_path / 'mine.safetensors'}")
    assert all(torch.equal(again.state_dict()[name], tensor) for name, tensor in tensors.items())
    assert weights.read_header(tmp_path / "mine.safetensors").protocol == "24 puzzles of center"


def test_fit_goes_on_in_its_folder(fake, tmp_path):
    puzzles = [datasets.generate("iraven", name, n=20, seed=4) for name in ("center", "2x2")]
    whole = reasoning.fit("fake", puzzles, searchpath(), epochs=2, batch_size=8, folder=tmp_path / "whole")

    def stop(epoch, batch, loss):
        if (epoch, batch) == (1, 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reasoning.fit("fake", puzzles, searchpath(), epochs=2, batch_size=8, folder=tmp_path / "cut", watch=stop)
    again = reasoning.fit("fake", puzzles, searchpath(), epochs=2, batch_size=8, folder=tmp_path / "cut")
    assert torch.equal(whole.learner.weights, again.learner.weights)
    assert (tmp_path / "cut" / weights.WEIGHTS).is_file()


def test_fit_mixes_no_trainings(fake, tmp_path):
    """Another training's checkpoints are not gone on from: other puzzles, settings, start."""
    one, other = (datasets.generate("iraven", "center", n=16, seed=seed) for seed in (0, 1))
    folder = tmp_path / "here"
    reasoning.fit("fake", one, searchpath(), epochs=1, folder=folder)
    for puzzles, options, what in (
        (other, {}, "puzzles"),
        (one, {"lr": 0.3}, "plan"),
        (one, {"seed": 3}, "recipe, weights before"),
    ):
        with pytest.raises(SettingsError, match=f"another training \\(other {what}"):
            reasoning.fit("fake", puzzles, searchpath(), **{"epochs": 1, **options}, folder=folder)
    again = reasoning.fit("fake", one, searchpath(), epochs=1, folder=folder)
    assert torch.equal(again.learner.weights, read_tensors(folder / weights.WEIGHTS)[0]["learner.weights"])
    with pytest.raises(SettingsError, match="the argument seed="):
        reasoning.fit("fake", one, searchpath(), "seed=3")
    for wrong in ([], [one, datasets.generate("iraven_x", "center", n=4, seed=0, columns=4, maxval=20)]):
        with pytest.raises(VSAError, match="expected one length"):
            reasoning.fit("fake", wrong, searchpath())


def test_fit_leaves_the_process_as_it_was(fake):
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    reasoning.fit("fake", datasets.generate("iraven", "center", n=8, seed=0), searchpath(), epochs=1)
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before


def test_the_same_value_is_no_difference(command, trained, tmp_path):
    """What is named as it was, or by default as it was where an old header lacks it, is not said."""
    tensors, header = read_tensors(trained / weights.WEIGHTS)
    del header["perception"]["perception"]["options"]["noise"]
    header["backend"]["options"] = header["perception"]["backend"]["options"] = {}
    write_tensors(tmp_path / "older.safetensors", tensors, header)
    same = ("perception.sharpness=2.0", "perception.noise=0.1", "backend=digital", "algebra.dim=256")
    for given in (trained, tmp_path / "older.safetensors"):
        out = tmp_path / "out" / given.stem
        line = (f"checkpoint={given}", *same, "dataset.n=4", "constellation=center", f"out={out}")
        _, err = both(command, "benchmark", *line)
        assert "applied" not in err


def test_fit_refuses(fake, tmp_path):
    puzzles = datasets.generate("iraven", "center", n=8, seed=0)
    solver = reasoning.fit("fake", puzzles, searchpath(), epochs=1)
    with pytest.raises(SettingsError, match=r"model.size=9 for a solver that exists"):
        reasoning.fit(solver, puzzles, "model.size=9", searchpath())
    with pytest.raises(DtypeError, match="PuzzleArrays or a PuzzleDataset"):
        reasoning.fit("fake", "puzzles", searchpath())
    with pytest.raises(SettingsError, match=r"without a free weight"):
        reasoning.fit("nvsa", puzzles)
    with pytest.raises(SettingsError, match="one model, one seed"):
        reasoning.make_solver("arlc", "seeds=[0,1]")
    further = reasoning.fit(solver, datasets.PuzzleDataset(puzzles), searchpath(), epochs=1)
    assert further is solver


# -- the header of weights -------------------------------------------------------------------------------------------


def old_format(folder, out, settings=True):
    """The form of version 1, as runs had it: the learner's tensors alone, a header of five entries."""
    tensors, header = read_tensors(folder / weights.WEIGHTS)
    out.mkdir()
    bare = {name.removeprefix("learner."): tensor for name, tensor in tensors.items()}
    kept = {key: header[key] for key in ("model", "algebra", "seed", "protocol")}
    write_tensors(out / weights.WEIGHTS, bare, {**kept, "columns": 3})
    if settings:
        (out / "settings.yaml").write_bytes((folder / "settings.yaml").read_bytes())


def test_weights_of_the_old_format(command, tmp_path):
    """With the run's settings their meaning is clear; without, nobody knows what the model was shown."""
    line = ("+model=arlc", "perception.smoothing=0.4", "perception.mixed=missing", *SMALL)
    run(command, "train", *line, f"out={tmp_path / 'run'}")
    old_format(tmp_path / "run", tmp_path / "old")
    old_format(tmp_path / "run", tmp_path / "bare", settings=False)
    small = ("dataset.n=6", "constellation=center")
    for name in ("run", "old"):
        run(command, "benchmark", f"checkpoint={tmp_path / name}", *small, f"out={tmp_path / name}-out")
        record = json.loads((tmp_path / f"{name}-out" / "run.json").read_text())["recipe"]
        assert record["perception"]["perception"]["options"]["smoothing"] == 0.4
        own = json.loads((tmp_path / "run" / "results.json").read_text())
        assert json.loads((tmp_path / f"{name}-out" / "results.json").read_text()) == own
    words = run(command, "benchmark", f"checkpoint={tmp_path / 'bare'}", *small, f"out={tmp_path / 'x'}", code=2)
    assert "weights of format 1, which do not say what perception they were trained with" in words
    assert not (tmp_path / "x").exists()


def test_weights_of_a_newer_format(command, trained, tmp_path):
    tensors, header = read_tensors(trained / weights.WEIGHTS)
    write_tensors(tmp_path / "new.safetensors", tensors, {**header, "format": 3})
    words = run(command, "benchmark", f"checkpoint={tmp_path / 'new.safetensors'}", "dataset.n=6", code=2)
    assert "weights of format 3; expected at most 2" in words
    write_tensors(tmp_path / "odd.safetensors", tensors, {**header, "algebra": 3})
    words = run(command, "benchmark", f"checkpoint={tmp_path / 'odd.safetensors'}", "dataset.n=6", code=2)
    assert "a header that is no model's" in words


def test_rows_and_range_are_restored(command, tmp_path):
    """A model of rows of four, values to 20: the benchmark generates such puzzles unless told otherwise."""
    run(
        command,
        "train",
        "+model=fake",
        "dataset=iraven_x",
        "dataset.columns=4",
        "dataset.maxval=20",
        "dataset.n=16",
        "dataset.test_n=6",
        "epochs=1",
        f"out={tmp_path / 'run'}",
    )
    own = json.loads((tmp_path / "run" / "results.json").read_text())
    for name, more, words in (
        ("a", (), "evaluated on dataset=iraven_x, as it was trained"),
        ("b", ("dataset=iraven_x",), "evaluated with dataset.columns=4 dataset.maxval=20, as it was trained"),
    ):
        line = (f"checkpoint={tmp_path / 'run'}", *more, "dataset.n=6", f"out={tmp_path / name}")
        _, err = both(command, "benchmark", *line)
        assert words in err
        assert json.loads((tmp_path / name / "results.json").read_text()) == own
    run(
        command,
        "benchmark",
        f"checkpoint={tmp_path / 'run'}",
        "dataset=iraven_x",
        "dataset.maxval=30",
        "dataset.n=6",
        f"out={tmp_path / 'c'}",
    )
    assert "maxval: 30" in (tmp_path / "c" / "settings.yaml").read_text()


def test_rows_of_another_length_are_a_sentence(command, tmp_path):
    run(command, "train", "+model=arlc", *SMALL, f"out={tmp_path / 'run'}")
    line = (f"checkpoint={tmp_path / 'run'}", "dataset=iraven_x", "dataset.maxval=20", "dataset.n=4")
    words = run(command, "benchmark", *line, f"out={tmp_path / 'out'}", code=2)
    assert "rows of 10 panels (trained on rows of 3), which the weights do not fit" in words


def test_seeds_of_a_checkpoint(command, tmp_path):
    """Atoms are those of the training, unless a seed is named."""
    run(command, "train", "+model=arlc", "seed=3", *SMALL, f"out={tmp_path / 'run'}")
    assert reasoning.make_solver("arlc", f"checkpoint={tmp_path / 'run'}").recipe.seed == 3
    assert reasoning.make_solver("arlc", f"checkpoint={tmp_path / 'run'}", "seed=4").recipe.seed == 4


@pytest.mark.parametrize(
    ("arguments", "mode"),
    [
        (("+model=nvsa",), "programmed"),
        (("+model=arlc",), "pretrained"),
        (("+model=arlc", "model.mode=programmed"), "programmed"),
        (("+model=arlc", "dataset=iraven_x"), "programmed"),
        (("+model=learn_vrf",), "pretrained"),
    ],
)
def test_where_weights_come_from_by_default(arguments, mode):
    """Those that come along, where they are for rows of this length; else the rules written by hand."""
    from reasoning import benchmark
    from reasoning.setup import jobs

    assert jobs.make_jobs(benchmark.parse(arguments), arguments)[0].mode == mode


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("+model=arlc", "model.mode=learned"), "no checkpoint; expected checkpoint=RUN_DIR"),
        (("+model=arlc", "model.mode=programmed_then_learned"), "no checkpoint"),
        (("+model=nvsa", "model.mode=pretrained"), "comes without weights"),
        (("+model=arlc", "model.mode=pretrained", "model.rules=4"), "model.rules=4"),
        (("+model=arlc", "model.mode=pretrained", "dataset=iraven_x"), "rows of 10 panels"),
    ],
)
def test_modes_that_contradict(arguments, sentence):
    with pytest.raises(SettingsError, match=sentence):
        reasoning.make_solver(arguments[0].removeprefix("+model="), *arguments[1:])


def test_shipped_weights_say_what_they_are(caplog):
    """Each file that comes along is of the newest format, and scores what its row in the documents says."""
    caplog.set_level(logging.WARNING)
    folder = weights.shipped_weights("arlc").parent
    for path in sorted(folder.glob("*.safetensors")):
        stored = read_tensors(path)[1]
        assert stored["format"] == weights.FORMAT, path.name
        assert "puzzles" in stored["protocol"]
        started = time.perf_counter()
        model, _, which = path.stem.partition("-")
        chosen = [f"model.weights={which}"] if which else []
        assert reasoning.make_solver(model, *chosen, "model.mode=pretrained").recipe.mode == "pretrained"
        assert time.perf_counter() - started < 60
    assert not caplog.records

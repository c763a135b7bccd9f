"""Runs that are stopped, killed, prolonged, shared, or started twice: nothing lost, nothing mixed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
import yaml

from reasoning.records.checkpoints import CheckpointFolder, read_tensors, write_tensors
from vsa.commands import files

SMALL = ("dataset.n=24", "dataset.test_n=6", "epochs=2")
WHOLE = ("weights.safetensors", "results.json", "rules.json")


def run(command, out, *arguments, code=0):
    found, stdout, err = command("train", "+model=fake", *SMALL, f"out={out}", *arguments)
    assert found == code, err
    return " ".join((stdout + err).split())


def same(one, other):
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in WHOLE)


def at_step(monkeypatch, fake, step, act):
    """Do something in a training step."""
    real = fake.Fake.training_loss

    def loss(self, *arguments):
        value = real(self, *arguments)
        return act(value) if self.calls == step + 1 else value

    monkeypatch.setattr(fake.Fake, "training_loss", loss)


# -- asked to stop ---------------------------------------------------------------------------------------------------


def test_sigterm_saves_and_says_so(command, fake, tmp_path, monkeypatch):
    run(command, tmp_path / "whole")
    with monkeypatch.context() as patch:

        def terminate(value):
            os.kill(os.getpid(), signal.SIGTERM)
            return value

        at_step(patch, fake, 3, terminate)
        said = run(command, tmp_path / "cut", code=143)
    assert "asked to stop; saved after step 4 (epoch 1, batch 1)" in said
    assert f"go on with python -m reasoning.train resume={tmp_path / 'cut'}" in said
    assert CheckpointFolder(tmp_path / "cut" / "checkpoints").newest().step == 4
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert command("train", f"resume={tmp_path / 'cut'}")[0] == 0
    assert same(tmp_path / "cut", tmp_path / "whole")


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_sigterm_of_a_process(fake_script, tmp_path):
    arguments = ("train", "+model=fake", "dataset.n=80", "dataset.test_n=5", "epochs=40", "model.pause=0.02")
    out = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, str(fake_script), *arguments, f"out={out}"], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (out / "metrics.jsonl").is_file() or not (out / "metrics.jsonl").stat().st_size:
        assert time.monotonic() < deadline, "the training did not begin"
        time.sleep(0.05)
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "asked to stop; saved after step" in err
    assert CheckpointFolder(out / "checkpoints").newest().step > 0
    assert not (out / files.LOCK).exists()


# -- numbers that are none -------------------------------------------------------------------------------------------


def test_gradients_that_are_not_finite_end_the_training(command, fake, tmp_path, monkeypatch):
    class Spoiled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            return value.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * float("nan")

    with monkeypatch.context() as patch:
        at_step(patch, fake, 4, Spoiled.apply)
        said = run(command, tmp_path / "run", code=2)
    assert "received gradients that are not finite" in said
    newest = CheckpointFolder(tmp_path / "run" / "checkpoints").newest()
    assert newest.step == 3
    assert all(bool(tensor.isfinite().all()) for tensor in newest.tensors.values() if tensor.is_floating_point())


def test_a_checkpoint_of_nan_is_passed_over_and_such_weights_are_refused(command, fake, tmp_path):
    run(command, tmp_path / "whole", "checkpoints.keep=3")
    folder = CheckpointFolder(tmp_path / "whole" / "checkpoints", keep=3)
    for path in folder.files()[:2]:
        tensors, state = read_tensors(path)
        spoiled = {name: tensor.clone() for name, tensor in tensors.items()}
        spoiled["learner.weights"][0] = float("nan")
        write_tensors(path, spoiled, state)
    assert folder.newest().step == 3
    tensors, state = read_tensors(tmp_path / "whole" / "weights.safetensors")
    for value, words in ((float("nan"), "not a number"), (float("inf"), "infinite")):
        broken = {name: torch.full_like(tensor, value) for name, tensor in tensors.items()}
        write_tensors(tmp_path / "broken.safetensors", broken, state)
        code, _, err = command("benchmark", f"checkpoint={tmp_path / 'broken.safetensors'}", "dataset.n=4")
        assert code == 2
        assert words in " ".join(err.split())


# -- other people's files --------------------------------------------------------------------------------------------


def test_edited_settings_are_refused(command, tmp_path):
    out = tmp_path / "run"
    run(command, out)
    (out / "settings.yaml").write_text((out / "settings.yaml").read_text().replace("epochs: 2", "epochs: 3"))
    code, _, err = command("train", f"resume={out}")
    assert code == 2
    assert "a file that was changed since the run wrote it" in " ".join(err.split())


def test_a_checkpoint_of_another_run_is_refused(command, fake, tmp_path, monkeypatch):
    run(command, tmp_path / "other", "seed=1")
    with monkeypatch.context() as patch:

        def interrupt(value):
            raise KeyboardInterrupt

        at_step(patch, fake, 4, interrupt)
        run(command, tmp_path / "run", code=130)
    (newest,) = (tmp_path / "other" / "checkpoints").glob("step-000000006.safetensors")
    (tmp_path / "run" / "checkpoints" / newest.name).write_bytes(newest.read_bytes())
    code, _, err = command("train", f"resume={tmp_path / 'run'}")
    assert code == 2
    assert "a checkpoint of another run (step 6)" in " ".join(err.split())


def test_a_shared_folder_does_not_say_where_to_write(command, tmp_path):
    run(command, tmp_path / "run", f"dataset.cache_dir={tmp_path / 'cache'}")
    assert (tmp_path / "cache").is_dir()
    (tmp_path / "cache").rename(tmp_path / "before")
    code, _, err = command("train", f"resume={tmp_path / 'run'}", "more_epochs=1")
    assert code == 0, err
    assert "dataset.cache_dir" in err
    assert not (tmp_path / "cache").exists()


def test_overwriting_removes_our_files_alone(command, tmp_path):
    out, theirs = tmp_path / "run", tmp_path / "theirs"
    run(command, out)
    theirs.mkdir()
    (theirs / "step-000000001.safetensors").write_text("keep")
    kept = {out / "checkpoints" / "my_own_model.pt", out / "notes.txt", theirs / "step-000000001.safetensors"}
    for path in kept:
        path.write_text("keep")
    run(command, out, "overwrite=true", "seed=2")
    assert all(path.read_text() == "keep" for path in kept)
    for path in (out / "checkpoints").iterdir():
        path.unlink()
    (out / "checkpoints").rmdir()
    (out / "checkpoints").symlink_to(theirs)
    run(command, out, "overwrite=true", "seed=3")
    assert [path.read_text() for path in theirs.iterdir()] == ["keep"]
    assert not (out / "checkpoints").is_symlink()


# -- one folder, one program -----------------------------------------------------------------------------------------


def test_a_folder_that_another_program_writes_to_is_refused(command, tmp_path):
    run(command, tmp_path / "run")
    with files.alone(tmp_path / "run"):
        for arguments in (("+model=fake", *SMALL, f"out={tmp_path / 'run'}"), (f"resume={tmp_path / 'run'}",)):
            code, _, err = command("train", *arguments)
            assert code == 2
            assert "an output that another program is writing to" in " ".join(err.split())
    run(command, tmp_path / "run")


def test_two_at_once_on_one_folder(fake_script, tmp_path):
    """One does it, the other is refused; and what is there is the work of one."""
    line = ("train", "+model=fake", *SMALL, f"out={tmp_path / 'run'}", "model.pause=0.05")
    both = [
        subprocess.Popen([sys.executable, str(fake_script), *line, f"seed={seed}"], stderr=subprocess.PIPE, text=True)
        for seed in (0, 1)
    ]
    said = [process.communicate(timeout=100)[1] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 2], said
    winner = codes.index(0)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["seed"] == winner
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(6))


def test_a_run_killed_before_it_had_begun_is_begun_again(command, tmp_path):
    run(command, tmp_path / "whole")
    cut = tmp_path / "cut"
    cut.mkdir()
    (cut / "run.json").write_bytes((tmp_path / "whole" / "run.json").read_bytes())
    (cut / ".tmp-0123456789ab-settings.yaml").write_text("half")
    (cut / files.LOCK).write_text("")
    code, _, err = command("train", f"resume={cut}")
    assert code == 2
    assert "the command that was to begin this run begins it" in " ".join(err.split())
    run(command, cut)
    assert same(cut, tmp_path / "whole")
    assert not [path for path in cut.iterdir() if files.is_stray(path.name)]


# -- further ---------------------------------------------------------------------------------------------------------


def test_a_finished_run_is_trained_on(command, tmp_path):
    run(command, tmp_path / "one")
    before = (tmp_path / "one" / "metrics.jsonl").read_bytes()
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    for name in ("one", "two"):
        code, _, err = command("train", f"resume={tmp_path / name}", "more_epochs=2")
        assert code == 0, err
        assert "from epoch 2 to 4" in " ".join(err.split())
    assert same(tmp_path / "one", tmp_path / "two")
    after = (tmp_path / "one" / "metrics.jsonl").read_bytes()
    assert after.startswith(before)
    assert [json.loads(line)["step"] for line in after.splitlines()] == list(range(12))
    assert yaml.safe_load((tmp_path / "one" / "settings.yaml").read_text())["epochs"] == 4
    code, stdout, _ = command("train", f"resume={tmp_path / 'one'}")
    assert code == 0
    assert "is finished already" in stdout


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", "true"])
def test_how_many_more_epochs(command, tmp_path, value):
    run(command, tmp_path / "run")
    code, _, err = command("train", f"resume={tmp_path / 'run'}", f"more_epochs={value}")
    assert code == 2
    assert "expected a number of epochs" in " ".join(err.split())


def test_the_runs_of_several_seeds_are_resumed(command, fake, tmp_path, monkeypatch):
    run(command, tmp_path / "whole", "seeds=[0,1]")
    with monkeypatch.context() as patch:

        def interrupt(value):
            raise KeyboardInterrupt

        at_step(patch, fake, 4, interrupt)
        said = run(command, tmp_path / "cut", "seeds=[0,1]", code=130)
    assert f"resume={tmp_path / 'cut'}" in said
    code, _, err = command("train", f"resume={tmp_path / 'cut'}")
    assert code == 0, err
    for seed in "01":
        assert same(tmp_path / "cut" / seed, tmp_path / "whole" / seed)
    assert (tmp_path / "cut" / "table.csv").read_bytes() == (tmp_path / "whole" / "table.csv").read_bytes()
    code, _, err = command("train", f"resume={tmp_path / 'cut'}", "more_epochs=1")
    assert code == 2
    assert "seed by seed" in err

"""A run that was killed, wherever, and continued ends with the weights of one that was not, bit for bit."""

from __future__ import annotations

import errno
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import datasets
import reasoning
from reasoning.perception import get
from reasoning.records import checkpoints
from reasoning.records.checkpoints import Checkpoint, CheckpointFolder, read_tensors, write_tensors
from reasoning.solver import Solver
from reasoning.training.engine import Trainer, TrainingError
from reasoning.training.joined import JoinedPuzzles
from reasoning.training.plan import Plan, learning_rate
from vsa.commands import WriteError, files
from vsa.errors import CorruptFileError, SettingsError

PLAN = Plan(epochs=4, batch_size=8, lr=0.05, schedule="cosine", seed=3, every_seconds=1e-9)


class Killed(BaseException):
    """Like a kill: no handler of errors sees it."""


@pytest.fixture(scope="module")
def puzzles():
    return datasets.PuzzleDataset(datasets.generate("iraven", "distribute_four", n=44, seed=0))


def make(fake, puzzles, folder, plan=PLAN, watch=None, **options):
    solver = Solver(get("oracle")(), fake.Fake(seed=1, **options))
    checkpoints = CheckpointFolder(folder / "checkpoints")
    return Trainer(solver, puzzles, plan, checkpoints, folder / "metrics.jsonl", watch=watch)


def state(trainer):
    moments = trainer.optimizer.state_dict()["state"][0]
    random_state = trainer.generator.get_state()
    return {**trainer.weights(), "m": moments["exp_avg"], "v": moments["exp_avg_sq"], "g": random_state}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def lines(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        del row["seconds"]
    return rows


@pytest.fixture(scope="module")
def whole(fake, puzzles, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    trainer = make(fake, puzzles, folder)
    outcome = trainer.run()
    assert outcome.steps == 24
    return state(trainer), lines(folder)


def killer(step):
    def watch(epoch, batch, loss):
        watch.step += 1
        if watch.step == step:
            raise Killed

    watch.step = 0
    return watch


@pytest.mark.parametrize("every_seconds", [1e-9, 1e9], ids=["checkpoint every step", "checkpoint every epoch"])
def test_killed_at_twenty_moments(fake, puzzles, tmp_path, whole, every_seconds):
    """20 lives, each killed after a random number of steps; several within the same epoch."""
    draw = random.Random(5)
    plan = Plan(**{**vars(PLAN), "every_seconds": every_seconds})
    for _ in range(20):
        trainer = make(fake, puzzles, tmp_path, plan, killer(draw.randint(1, 3)))
        try:
            trainer.run()
        except Killed:
            continue
    trainer = make(fake, puzzles, tmp_path, plan)
    trainer.run()
    assert same(state(trainer), whole[0])
    assert lines(tmp_path) == whole[1]


@pytest.mark.parametrize("where", ["write", "fsync", "replace"])
@pytest.mark.parametrize("number", [1, 2, 9, 24])
def test_killed_while_writing_a_checkpoint(fake, puzzles, tmp_path, whole, monkeypatch, where, number):
    seen = [0]

    class OS:
        def __getattr__(self, name):
            return getattr(os, name)

    patched = OS()

    def strike(real):
        def call(*arguments):
            seen[0] += 1
            if seen[0] == number:
                raise Killed
            return real(*arguments)

        return call

    if where == "write":  # the disk holds half of the file

        def half(path, content):
            seen[0] += 1
            if seen[0] == number:
                path.with_name(f".tmp-0123456789ab-{path.name}").write_bytes(content[: len(content) // 2])
                raise Killed
            return real_write(path, content)

        real_write = checkpoints.write_whole
        monkeypatch.setattr(checkpoints, "write_whole", half)
    else:
        setattr(patched, where, strike(getattr(os, where)))
        monkeypatch.setattr(files, "os", patched)
    with pytest.raises(Killed):
        make(fake, puzzles, tmp_path).run()
    monkeypatch.undo()
    trainer = make(fake, puzzles, tmp_path)
    trainer.run()
    assert same(state(trainer), whole[0])
    assert lines(tmp_path) == whole[1]
    assert not list((tmp_path / "checkpoints").glob(".*"))
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


def test_killed_while_finishing(fake, puzzles, tmp_path, whole, monkeypatch):
    def stop(self, scenes):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(fake.Fake, "finish", stop)
        with pytest.raises(Killed):
            make(fake, puzzles, tmp_path).run()
    trainer = make(fake, puzzles, tmp_path)
    trainer.run()
    assert same(state(trainer), whole[0])


def test_a_finished_run_is_not_trained_again(fake, puzzles, tmp_path, whole):
    make(fake, puzzles, tmp_path).run()
    trainer = make(fake, puzzles, tmp_path, watch=killer(1))
    assert trainer.run().loss is None
    assert same(state(trainer), whole[0])


@pytest.mark.parametrize("damage", ["truncated", "flipped bit", "empty", "not safetensors"])
def test_damaged_newest_checkpoint_falls_back(fake, puzzles, tmp_path, whole, damage, caplog):
    with pytest.raises(Killed):
        make(fake, puzzles, tmp_path, watch=killer(15)).run()
    newest, before = CheckpointFolder(tmp_path / "checkpoints").files()
    content = bytearray(newest.read_bytes())
    content[-3] ^= 1
    replaced = {"truncated": content[:-40], "flipped bit": content, "empty": b"", "not safetensors": b"{}" * 99}
    newest.write_bytes(replaced[damage])
    trainer = make(fake, puzzles, tmp_path)
    with caplog.at_level(logging.WARNING, logger="reasoning"):
        trainer.run()
    assert "going back to the checkpoint before it" in caplog.text
    assert str(newest) in caplog.text
    assert same(state(trainer), whole[0])
    assert lines(tmp_path) == whole[1]
    assert before.name == "step-000000013.safetensors"


def test_all_damaged_is_an_error(fake, puzzles, tmp_path):
    with pytest.raises(Killed):
        make(fake, puzzles, tmp_path, watch=killer(15)).run()
    for path in (tmp_path / "checkpoints").iterdir():
        path.write_bytes(b"x")
    with pytest.raises(CorruptFileError, match="2 checkpoints, all damaged"):
        make(fake, puzzles, tmp_path).run()


def test_full_disk_keeps_the_last_checkpoint(fake, puzzles, tmp_path, whole, monkeypatch):
    calls = [0]
    real = os.fsync

    def full(handle):
        calls[0] += 1
        if calls[0] > 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(WriteError, match="No space left on device"):
            make(fake, puzzles, tmp_path).run()
    assert CheckpointFolder(tmp_path / "checkpoints").newest() is not None
    trainer = make(fake, puzzles, tmp_path)
    trainer.run()
    assert same(state(trainer), whole[0])


def test_file_size_limit(tmp_path):
    """A real refusal of the system (RLIMIT_FSIZE), in a process of its own."""
    program = (
        "import resource, sys, torch; from pathlib import Path;"
        "from reasoning.records.checkpoints import *; from vsa.commands import WriteError;"
        "folder = CheckpointFolder(Path(sys.argv[1]));"
        "folder.save(Checkpoint(1, {'w': torch.ones(10)}, {}));"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));"
        "\ntry:\n folder.save(Checkpoint(2, {'w': torch.ones(9999)}, {}))"
        "\nexcept WriteError as error:\n sys.stderr.write(str(error)); sys.exit(7)"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, timeout=120)
    assert done.returncode == 7, done.stderr
    assert "File too large" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001.safetensors"]
    assert CheckpointFolder(tmp_path).newest().step == 1


def test_checkpoint_holds_every_kind_of_tensor(tmp_path):
    shared = torch.arange(6.0).reshape(2, 3)
    tensors = {
        "a": shared,
        "b": shared.T,
        "c": torch.tensor(2.5, dtype=torch.bfloat16),
        "d": torch.tensor(True),
        "e": torch.zeros(0),
        "f": torch.arange(4, dtype=torch.int64),
    }
    write_tensors(tmp_path / "x.safetensors", tensors, {"position": [1, 2]})
    read, kept = read_tensors(tmp_path / "x.safetensors")
    assert kept == {"position": [1, 2]}
    assert all(torch.equal(read[name], tensors[name]) and read[name].dtype == tensors[name].dtype for name in tensors)
    again = (tmp_path / "x.safetensors").read_bytes()
    write_tensors(tmp_path / "y.safetensors", tensors, {"position": [1, 2]})
    assert (tmp_path / "y.safetensors").read_bytes() == again


def test_weights_of_another_model_are_refused(fake, puzzles, tmp_path):
    with pytest.raises(Killed):
        make(fake, puzzles, tmp_path, watch=killer(9)).run()
    with pytest.raises(CorruptFileError, match=r"weights that differ in learner.weights"):
        make(fake, puzzles, tmp_path, size=5).run()


def test_only_the_last_two_checkpoints_are_kept(tmp_path):
    folder = CheckpointFolder(tmp_path)
    for step in (1, 2, 3, 10):
        folder.save(Checkpoint(step, {"w": torch.ones(1)}, {}))
    assert [path.name for path in folder.files()] == ["step-000000010.safetensors", "step-000000003.safetensors"]


def test_nothing_to_train(fake, puzzles, tmp_path):
    with pytest.raises(SettingsError, match="without a free weight"):
        make(fake, puzzles, tmp_path, mode="programmed")


def test_loss_that_is_no_number(fake, puzzles, tmp_path):
    with pytest.raises(TrainingError, match=r"step 9 \(epoch 1, batch 3\).*loss of nan"):
        make(fake, puzzles, tmp_path, nan_at=9).run()


def test_joined_sets_resume_too(puzzles):
    """Two sets of different layout in one training: every batch is of one set, all puzzles of both appear."""
    other = datasets.PuzzleDataset(datasets.generate("iraven", "center_single", n=19, seed=0))
    joined = JoinedPuzzles((puzzles, other), batch_size=8)

    def read(**options):
        batches = joined.batches(8, shuffle=True, seed=1, **options)
        return [(batch.arrays.constellation, batch.index.tolist()) for batch in batches]

    seen = read(epoch=2)
    assert len(seen) == 6 + 3 == len(joined) // 8
    assert sorted(i for name, index in seen for i in index if name == "center_single") == other.arrays.index.tolist()
    for start in range(10):
        assert read(epoch=2, start=start) == seen[start:]
    assert seen != read(epoch=3)


def test_learning_rate_schedule():
    plan = Plan(1, 1, 0.1, schedule="cosine")
    assert learning_rate(plan, 0, 100) == 0.1
    assert learning_rate(plan, 50, 100) == pytest.approx(0.05)
    assert learning_rate(plan, 100, 100) == pytest.approx(0.0)
    assert learning_rate(Plan(1, 1, 0.1), 77, 100) == 0.1


# -- the real thing: processes and SIGKILL ---------------------------------------------------------------------------


def launch(script, *arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(reasoning.__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, str(script), *map(str, arguments)],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(script, *arguments):
    process = launch(script, *arguments)
    out, err = process.communicate(timeout=280)
    assert process.returncode == 0, err
    return out


def kill_when_saved(script, out, arguments, more_checkpoints):
    """Start, wait until some more checkpoints have come, kill. False where the run ended before."""
    process = launch(script, *arguments)
    seen: set[str] = set()
    folder = out / "checkpoints"
    known = {path.name for path in folder.glob("step-*")} if folder.is_dir() else set()
    deadline = time.monotonic() + 240
    try:
        while process.poll() is None and len(seen) < more_checkpoints and time.monotonic() < deadline:
            time.sleep(0.003)
            if folder.is_dir():
                seen |= {path.name for path in folder.glob("step-*")} - known
        time.sleep(random.Random(more_checkpoints).uniform(0, 0.05))
    finally:
        process.kill()
        process.communicate()
    return process.returncode == -signal.SIGKILL


FAKE_RUN = (
    "train",
    "+model=fake",
    "dataset.n=80",
    "dataset.test_n=5",
    "epochs=4",
    "test_constellation=center",
    "checkpoints.every_seconds=0.02",
    "model.pause=0.02",
)


def test_sigkill(fake_script, tmp_path):
    """Killed from outside while training, then by itself with half a checkpoint on the disk."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(fake_script, *FAKE_RUN, f"out={whole}")
    assert kill_when_saved(fake_script, killed, (*FAKE_RUN, f"out={killed}"), 4)
    process = launch(fake_script, "--die-in-write", 5, "train", f"resume={killed}")
    _, err = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, err
    assert list((killed / "checkpoints").glob(".tmp-*"))
    finish(fake_script, "train", f"resume={killed}")
    assert (killed / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()
    assert lines(killed) == lines(whole)
    assert json.loads((killed / "results.json").read_text()) == json.loads((whole / "results.json").read_text())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_sigkill_arlc_at_twenty_moments(fake_script, tmp_path):
    """ARLC through the real command: 19 kills from outside at random moments, one in the middle of a write."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run = (
        "train",
        "+model=arlc",
        "dataset.n=320",
        "dataset.test_n=20",
        "epochs=8",
        "algebra.dim=256",
        "checkpoints.every_seconds=0.05",
    )
    finish(fake_script, *run, f"out={whole}")
    draw = random.Random(11)
    kills = 0
    assert kill_when_saved(fake_script, killed, (*run, f"out={killed}"), 1)
    for life in range(19):
        if life == 7:
            process = launch(fake_script, "--die-in-write", 3, "train", f"resume={killed}")
            process.communicate(timeout=120)
            assert process.returncode == -signal.SIGKILL
            kills += 1
        else:
            kills += kill_when_saved(fake_script, killed, ("train", f"resume={killed}"), draw.randint(1, 5))
    assert kills == 19, "a life was not killed: the run is too short for this machine"
    finish(fake_script, "train", f"resume={killed}")
    assert (killed / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()
    assert lines(killed) == lines(whole)

"""``python -m reasoning.train``: what it leaves behind, what it says, what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import reasoning
from reasoning.records import runs
from reasoning.records.checkpoints import read_tensors
from reasoning.tables.comparison import TABLES

SMALL = ("dataset.n=24", "dataset.test_n=6", "epochs=2")
ALL_FILES = {
    "checkpoints",
    "metrics.jsonl",
    "results.json",
    "rules.json",
    "run.json",
    "settings.yaml",
    "weights.safetensors",
}


def run(command, out, *arguments):
    code, stdout, err = command("train", "+model=fake", *SMALL, f"out={out}", *arguments)
    assert code == 0, err
    return stdout


def test_what_a_run_leaves(command, tmp_path):
    out = tmp_path / "run"
    screen = run(command, out)
    assert {path.name for path in out.iterdir()} == ALL_FILES
    results = json.loads((out / "results.json").read_text())
    assert len(results) == 7
    for name, entry in results.items():
        assert set(entry) == {"answers", "tied", "unambiguous", "rules"}
        assert entry["answers"]["total"] == 6
        assert set(entry["rules"]["Type"]) == {"correct", "total", "consistent"}
        assert ("Number/Position" in entry["rules"]) == ("distribute" in name)
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["model"] == "fake"
    assert record["seed"] == 0
    assert record["steps"] == 6
    assert "24 puzzles of split train" in record["protocol"]
    assert record["command"].startswith("python -m reasoning.train +model=fake dataset.n=24")
    assert record["versions"]["torch"] == torch.__version__.partition("+")[0] or record["versions"]["torch"]
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [(line["epoch"], line["batch"]) for line in lines] == [(e, b) for e in range(2) for b in range(3)]
    rules = json.loads((out / "rules.json").read_text())
    assert rules["learned"][0].startswith("weights")
    row = rules["puzzles"]["center_single"][0]
    assert set(row) == {
        "component",
        "attribute",
        "rule",
        "named",
        "consistent",
        "answers",
        "total",
        "ambiguous",
    }
    tensors, header = read_tensors(out / "weights.safetensors")
    assert set(tensors) == {"learner.weights", "learner.annealed"}
    assert header["model"]["name"] == "fake"
    assert "2x2" in screen
    assert "average" in screen
    assert "weights [" in screen, "the rules in words"


def test_the_same_seed_gives_the_same_bytes(command, tmp_path):
    for out in ("a", "b"):
        run(command, tmp_path / out, "test_constellation=center")
    run(command, tmp_path / "c", "test_constellation=center", "seed=1")
    first, second, other = ((tmp_path / out / "weights.safetensors").read_bytes() for out in "abc")
    assert read_tensors(tmp_path / "a" / "weights.safetensors")[0].keys()
    assert first == second
    assert first != other


def test_trained_on_several_constellations(command, tmp_path):
    screen = run(command, tmp_path / "run", "constellation=[center,2x2]", "test_constellation=center")
    assert "48 puzzles of center, 2x2" in screen
    assert json.loads((tmp_path / "run" / "run.json").read_text())["steps"] == 2 * 6


def test_i_raven_x_needs_no_constellation(command, tmp_path):
    run(command, tmp_path / "run", "dataset=iraven_x", "dataset.columns=4", "dataset.maxval=20")
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert list(results) == ["center_single"]
    assert set(results["center_single"]["rules"]) == {"Type", "Size", "Color"}


def test_finished_run_is_shown_again_not_repeated(command, tmp_path):
    run(command, tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    assert "finished (same settings, same code)" in run(command, tmp_path / "run")
    code, screen, _ = command("train", f"resume={tmp_path / 'run'}")
    assert code == 0
    assert "is finished already" in screen
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}


def test_other_run_in_the_folder(command, tmp_path):
    run(command, tmp_path / "run")
    code, _, err = command("train", "+model=fake", *SMALL, f"out={tmp_path / 'run'}", "seed=1")
    assert code == 2
    assert "a folder that is not empty: it holds another run" in " ".join(err.split())
    (tmp_path / "run" / "mine.txt").write_text("keep")
    run(command, tmp_path / "run", "seed=1", "overwrite=true")
    assert (tmp_path / "run" / "mine.txt").read_text() == "keep"
    assert json.loads((tmp_path / "run" / "run.json").read_text())["seed"] == 1


def interrupted(command, fake, out, monkeypatch, step):
    real = fake.Fake.training_loss

    def loss(self, *arguments):
        if self.calls == step:
            raise KeyboardInterrupt
        return real(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(fake.Fake, "training_loss", loss)
        code, _, err = command("train", "+model=fake", *SMALL, f"out={out}", "checkpoints.every_seconds=1e-9")
    assert code == 130
    assert f"interrupted; go on with python -m reasoning.train resume={out}" in " ".join(err.split())


def test_resume(command, fake, tmp_path, monkeypatch):
    run(command, tmp_path / "whole", "checkpoints.every_seconds=1e-9")
    out = tmp_path / "cut"
    interrupted(command, fake, out, monkeypatch, 4)
    code, _, err = command("train", "+model=fake", *SMALL, f"out={out}", "checkpoints.every_seconds=1e-9")
    assert code == 2
    assert f"go on with resume={out}" in err.replace("\n", "")
    code, _, err = command("train", f"resume={out}", "lr=0.5")
    assert code == 2
    assert "changed settings: lr=0.5 (the run has 0.05)" in " ".join(err.split())
    code, _, err = command("train", f"resume={out}", "+model=arlc")
    assert code == 2
    assert "changed settings" in err
    code, _, err = command("train", f"resume={out}")
    assert code == 0, err
    for name in ("weights.safetensors", "results.json", "rules.json"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    steps = [json.loads(line)["step"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(6))


def test_killed_between_training_and_evaluation(command, tmp_path, monkeypatch):
    from reasoning.training import run as training

    def stop(*arguments):
        raise KeyboardInterrupt

    run(command, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(training, "_evaluate", stop)
        assert command("train", "+model=fake", *SMALL, f"out={tmp_path / 'cut'}")[0] == 130
    (tmp_path / "cut" / "weights.safetensors").unlink()
    assert command("train", f"resume={tmp_path / 'cut'}")[0] == 0
    for name in ("weights.safetensors", "results.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_code_that_changed_is_said_on_resume(command, fake, tmp_path, monkeypatch):
    interrupted(command, fake, tmp_path / "run", monkeypatch, 2)
    monkeypatch.setattr(runs, "code_version", lambda: "other")
    code, _, err = command("train", f"resume={tmp_path / 'run'}")
    assert code == 0
    assert "the code has changed since this run began" in " ".join(err.split())


@pytest.mark.parametrize(
    ("arguments", "sentences"),
    [
        ([], ["received no model", "arlc", "write python -m reasoning.train +model=arlc"]),
        (["epochs=3"], ["received no model"]),
        (["+model=arl"], ["'arl'", "did you mean +model=arlc?"]),
        (["model=arlc"], ["expected +model=arlc"]),
        (["+model=arlc", "lrr=3"], ["setting lrr: received an unknown key", "did you mean 'lr'?"]),
        (["+model=arlc", "+lrr=3"], ["setting lrr: received an unknown key", "did you mean 'lr'?"]),
        (["+model=arlc", "+model.typo=7"], ["model.typo: received an unknown key", "terms"]),
        (["+model=arlc", "+model.rule=7"], ["did you mean 'rules'"]),
        (["+model=arlc", "model.rules=seven"], ["setting model.rules: received 'seven'", "expected an integer"]),
        (["+model=arlc", "+perception.stres=none"], ["perception.stres", "did you mean 'stress'"]),
        (["+model=arlc", "perception.stress=publishd"], ["publish"]),
        (["+model=arlc", "dataset=irave"], ["did you mean dataset=iraven?"]),
        (["+model=arlc", "dataset.m=3"], ["setting dataset.m", "dataset.n"]),
        (["+model=arlc", "algebra=gsb"], ["did you mean algebra=gsbc?"]),
        (["+model=arlc", "algebra.dim=1023"], ["1023"]),
        (["+model=arlc", "+model.rules=7"], ["write model.rules=VALUE"]),
        (["+model=arlc", "lr=fast"], ["setting lr: received 'fast' (text); expected a number"]),
        (["+model=arlc", "epochs=2.5"], ["setting epochs: received 2.5"]),
        (["+model=arlc", "seed=abc"], ["setting seed"]),
        (["+model=arlc", "lr=1,2"], ["several values", "write 'lr=[1,2]'"]),
        (["+model=arlc", "lr"], ["expected key=value"]),
        (["+model=arlc", "lr=[1"], ["expected key=value"]),
        (["+model=arlc", "+model=fake"], ["expected one of the two"]),
        (["+model=arlc", "experiment=arlc_publishd"], ["did you mean experiment=arlc_published?"]),
        (["+model=arlc", "dataset=files"], ["write dataset=files dataset.path=DIR"]),
        (["+model=arlc", "dataset=files", "dataset.path=/nowhere/at/all"], ["/nowhere/at/all"]),
        (["+model=arlc", "constellation=4x4"], ["constellation '4x4'", "2x2"]),
        (["resume=/nowhere/at/all"], ["no such folder"]),
    ],
)
def test_mistakes(command, tmp_path, monkeypatch, arguments, sentences):
    """One sentence on stderr, exit code 2, and nothing written."""
    monkeypatch.chdir(tmp_path)
    code, out, err = command("train", *arguments)
    text = " ".join(err.split())
    assert code == 2
    assert out == ""
    assert text.startswith("error: ")
    assert "Traceback" not in err
    for sentence in sentences:
        assert sentence in text
    assert list(tmp_path.iterdir()) == []


def test_settings_file_that_is_no_yaml(command, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("name: mine\nname: again\n")
    code, _, err = command("train", "+model=mine", f"hydra.searchpath=[file://{tmp_path}]")
    assert code == 2
    assert "a settings file that is no YAML" in " ".join(err.split())
    assert "mine.yaml" in err.replace("\n", "")


def test_folder_that_cannot_be_written(command, tmp_path):
    (tmp_path / "file").write_text("x")
    code, _, err = command("train", "+model=fake", *SMALL, f"out={tmp_path / 'file'}")
    assert code == 2
    assert "a file; expected a folder" in " ".join(err.split())


def test_bugs_keep_their_traceback(command, fake, tmp_path, monkeypatch):
    monkeypatch.setattr(fake.Fake, "describe", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        command("train", "+model=fake", *SMALL, f"out={tmp_path / 'run'}")


def test_debug_shows_the_traceback_of_mistakes(command, monkeypatch):
    from vsa.errors import UnknownNameError

    with pytest.raises(UnknownNameError):
        command("train", "+model=arl", "--debug")
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(UnknownNameError):
        command("train", "+model=arl")


def test_help_and_cfg(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = command("train", "--help")
    assert code == 0
    assert "+model=arlc" in out
    code, out, _ = command("train", "+model=fake", "epochs=7", "--cfg")
    assert code == 0
    assert "epochs: 7" in out
    assert list(tmp_path.iterdir()) == []


def test_as_a_program(tmp_path):
    """The module is run as users run it: no model, exit code 2, the list on stderr, no folder, no traceback."""
    environment = {**os.environ, "PYTHONPATH": str(Path(reasoning.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-m", "reasoning.train"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "received no model; expected one of: arlc" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_default_run(command, tmp_path):
    """The one command, with no other argument: at least center 95, 2x2 80, average of seven 88."""
    code, _, err = command("train", "+model=arlc", f"out={tmp_path / 'run'}")
    assert code == 0, err
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    percent = {name: 100 * e["answers"]["correct"] / e["answers"]["total"] for name, e in results.items()}
    assert all(entry["answers"]["total"] == 500 for entry in results.values())
    assert percent["center_single"] >= 95
    assert percent["distribute_four"] >= 80
    assert sum(percent.values()) / 7 >= 88


def several(command, out, *arguments, code=0):
    got, screen, err = command("train", "+model=fake", *SMALL, f"out={out}", *arguments)
    assert got == code, err
    return screen if code == 0 else err


def test_several_seeds(command, tmp_path):
    """Each run is the one that its seed alone gives; the table holds their mean and sample standard deviation."""
    out = tmp_path / "some runs"
    screen = several(command, out, "seeds=[3,5]", "test_constellation=[center,2x2]")
    assert {path.name for path in out.iterdir()} == {"3", "5", "run.json", "settings.yaml", *TABLES}
    assert {path.name for path in (out / "3").iterdir()} == ALL_FILES
    run(command, tmp_path / "alone", "seed=3", "test_constellation=[center,2x2]")
    for name in ("weights.safetensors", "results.json"):
        assert (out / "3" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    table = json.loads((out / "table.json").read_text())
    (entry,) = table["summary"]
    percent = [100 * row["results"]["center_single"]["answers"]["correct"] / 6 for row in table["runs"]]
    assert entry["seeds"] == [3, 5]
    assert entry["mean"]["center_single"] == pytest.approx(sum(percent) / 2)
    assert entry["std"]["center_single"] == pytest.approx(abs(percent[0] - percent[1]) / 2**0.5)
    for words in ("seed 3", "seed 5", "mean", "deviation"):
        assert words in screen


def test_several_seeds_go_on(command, tmp_path, fake, monkeypatch):
    """Finished runs are kept, one that was interrupted continues, and other settings are refused."""
    real, calls = fake.Fake.training_loss, [0]

    def interrupted(self, *arguments):
        calls[0] += 1
        if calls[0] == 11:
            raise KeyboardInterrupt
        return real(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(fake.Fake, "training_loss", interrupted)
        several(command, tmp_path / "a", "seeds=[0,1,2]", code=130)
    assert not (tmp_path / "a" / "table.json").exists()
    first = (tmp_path / "a" / "0" / "weights.safetensors").stat().st_mtime_ns
    several(command, tmp_path / "a", "seeds=[0,1,2]")
    several(command, tmp_path / "b", "seeds=[0,1,2]")
    assert (tmp_path / "a" / "0" / "weights.safetensors").stat().st_mtime_ns == first
    assert (tmp_path / "a" / "table.json").read_bytes() == (tmp_path / "b" / "table.json").read_bytes()
    more = several(command, tmp_path / "a", "seeds=[0,1,2,3]")
    assert "seed 3" in more
    assert "holds another run" in several(command, tmp_path / "a", "seeds=[0,1]", "epochs=3", code=2)


def test_seeds_that_make_no_sense(command, tmp_path):
    out = tmp_path / "out"
    assert "different entries" in several(command, out, "seeds=[1,1]", code=2)
    assert "different entries" in several(command, out, "seeds=[]", code=2)
    assert "one of the two" in several(command, out, "seeds=[0,1]", "seed=3", code=2)
    assert not out.exists()
    out.mkdir()
    (out / "mine.txt").write_text("x")
    assert "holds mine.txt" in several(command, out, "seeds=[0]", code=2)


def test_seeds_in_processes(command, tmp_path):
    """The same bytes as one after the other."""
    line = ("+model=learn_vrf", "algebra.dim=256", *SMALL, "test_constellation=center", "seeds=[0,1]")
    for name, more in (("serial", ()), ("processes", ("executor=processes", "workers=2"))):
        code, _, err = command("train", *line, f"out={tmp_path / name}", *more)
        assert code == 0, err
    for part in ("0/weights.safetensors", "1/weights.safetensors", "table.json"):
        assert (tmp_path / "serial" / part).read_bytes() == (tmp_path / "processes" / part).read_bytes()

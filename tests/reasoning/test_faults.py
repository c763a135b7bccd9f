"""Commands that are killed, or refused by the disk, at one of their file operations; and the harness that does it."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from datasets.files.production import Order, produce
from reasoning.evaluation.cells import CellResult, CellStore
from reasoning.outcome.metrics import Metrics, Tally
from reasoning.records import runs
from reasoning.tables import comparison
from vsa.commands import WriteError, files
from vsa.errors import CorruptFileError, SettingsError

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120  # of the sample

asks_proc = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the harness asks /proc for open files")

SCRIPT = """
import json, os, random, sys, time
sys.path[:0] = [{root!r}, {root!r} + "/benchmarks", {here!r}]
from pathlib import Path
from fault_injection.jobs import JOBS, Job
from fault_injection.operations import FAULTS, Operations
from fault_injection.rounds import play
from fault_injection.trials import Stage, start
scratch = Path({here!r}) / "trials"
{body}
"""


def outside(tmp_path: Path, body: str) -> str:
    """Run in a process of its own: audit hooks stay, and one that forks should have few threads."""
    import subprocess

    script = SCRIPT.format(root=str(ROOT), here=str(tmp_path), body=body)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=880, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


WRITER = """
import os, sys
from pathlib import Path

out = Path("work/out")
out.mkdir(parents=True, exist_ok=True)
if (out / "a.json").exists():
    sys.exit(0)  # it was written before
{write}
"""
IN_PLACE = '(out / "a.json").write_text("[1, 2]")'
WHOLE = '(out / "b").write_text("[1, 2]"); os.replace(out / "b", out / "a.json")'
HIDES = f"""
try:
    {WHOLE}
except OSError:
    pass
"""
LOCKED = f"""
if (out / "mark").exists():
    sys.exit("another one is at it")
(out / "mark").touch()
{IN_PLACE}
(out / "mark").unlink()
"""
TRIALS = """
for name in ("in_place", "whole", "hides", "marks"):
    stage = Stage(scratch, name, Job(name, ("seed=0",), reader="json"))
    for at in range(1, len(stage.operations) + 1):
        for fault in FAULTS:
            print(json.dumps({"name": name, **stage.try_one(at, fault)}))
"""


@asks_proc
def test_the_harness_finds_sabotage(tmp_path):
    """Writers that are not whole are caught where they are not; the one that is whole lacks sentences alone."""
    for name, write in (("in_place", IN_PLACE), ("whole", WHOLE), ("hides", HIDES), ("marks", LOCKED)):
        (tmp_path / f"{name}.py").write_text(WRITER.format(write=write))
    trials = [json.loads(line) for line in outside(tmp_path, TRIALS).splitlines()]
    found = {(t["name"], t["fault"], t["operation"]): t["outcome"] for t in trials}
    assert all(trial["code"] == -signal.SIGKILL for trial in trials if trial["fault"] == "kill")
    assert [t["operation"] for t in trials if t["name"] == "whole"][::3] == [
        *("mkdir out", "open out/b", "write out/b", "close out/b", "rename out/a.json")
    ]
    assert found["in_place", "kill", "write out/a.json"] == "unreadable"
    assert {outcome for (name, fault, _), outcome in found.items() if (name, fault) == ("whole", "kill")} == {"equal"}
    assert found["whole", "full", "write out/b"] == found["whole", "broken", "close out/b"] == "traceback"
    assert found["hides", "broken", "rename out/a.json"] == "different"
    assert found["marks", "kill", "open out/a.json"] == "stuck"


BLIND = '''
open(scratch.parent / "blind.py", "w").write("""
import os, sys, torch
from pathlib import Path
out = Path("work/out"); out.mkdir(parents=True, exist_ok=True)
torch.save(torch.zeros(3000), out / "native.pt")
with open(out / "seen.pt", "wb") as file: torch.save(torch.zeros(3000), file)
print("text", file=open(out / "text", "w"))
handle = os.open(out / "raw", os.O_CREAT | os.O_WRONLY); os.write(handle, b"x" * 10); os.close(handle)
""")
stage = Stage(scratch, "blind", Job("blind", ("seed=0",), reader="json"))
print(stage.unseen)
'''


@asks_proc
def test_what_native_code_writes_is_named(tmp_path):
    assert outside(tmp_path, BLIND).splitlines()[-1] == "['out/native.pt']"


SAMPLE = """
import torch
torch.set_num_threads(1)  # before the first fork
draw, found, end = random.Random(0), [], time.monotonic() + {seconds}
for name in draw.sample(list(JOBS), len(JOBS)):
    stage = Stage(scratch, name)
    assert not stage.unseen, stage.unseen
    every = [(at, fault) for at in range(1, len(stage.operations) + 1) for fault in FAULTS]
    share = time.monotonic() + (end - time.monotonic()) / (len(JOBS) - len({{trial["name"] for trial in found}}))
    for at, fault in draw.sample(every, len(every)):
        found.append({{"name": name, **stage.try_one(at, fault)}})
        if time.monotonic() > share:
            break
print(json.dumps(found))
"""


@asks_proc
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_commands_go_on_after_a_fault(tmp_path):
    found = json.loads(outside(tmp_path, SAMPLE.format(seconds=SECONDS)).splitlines()[-1])
    assert len({trial["name"] for trial in found}) >= 12
    assert [trial for trial in found if trial["outcome"] != "equal"] == []


@asks_proc
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["prompts", "explain", "benchmark", "capacity", "generate json"])
def test_two_at_once(tmp_path, name):
    rounds = json.loads(outside(tmp_path, f"print(json.dumps(play(scratch, {name!r}, 4)))").splitlines()[-1])
    assert [round_ for round_ in rounds if round_["outcome"] != "sound"] == []


# -- what the harness found, one by one ------------------------------------------------------------------------------

STRAY = ".tmp-0123456789ab-"
MARKS = {"settings": "s", "code": "c", "data": "d"}


class KilledError(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


def killed_at(monkeypatch, number, call, *arguments, **options):
    """Call, and end it before the number-th file of ours takes its place."""
    real, seen = os.replace, [0]

    def replace(source, goal):
        seen[0] += 1
        if seen[0] == number:
            raise KilledError
        real(source, goal)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        with pytest.raises(KilledError):
            call(*arguments, **options)


def test_an_unfinished_cell_is_no_result(tmp_path):
    """It was counted as a puzzle set of its own, in all tables."""
    store = CellStore(tmp_path, overwrite=False)
    store.save("a", MARKS, CellResult(Metrics(Tally(3, 4)), (), 1.5, 100.0))
    whole = tmp_path / "cells" / "a.json"
    whole.rename(whole.with_name(f"{STRAY}a.json"))
    assert store.match({"a": MARKS}) == {}
    (tmp_path / "cells" / f"{STRAY}b.json").write_text("{")
    assert store.match({"a": MARKS}) == {}


def test_a_file_is_swept_of_its_own_strays(tmp_path):
    for name in ("a.json", "b-a.json", "a.json.md"):
        (tmp_path / f"{STRAY}{name}").write_text("half")
    files.sweep(tmp_path / "a.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{STRAY}a.json.md", f"{STRAY}b-a.json"]
    files.sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_files_that_belong_together(tmp_path, monkeypatch):
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    contents, others = {one: b"1", two: b"2", three: None}, {one: b"1", two: b"x", three: b"3"}
    for number in (1, 2):
        killed_at(monkeypatch, number, files.write_together, "O", contents, overwrite=False)
        assert one.exists() is (number == 2)
    for _ in range(2):  # it goes on; and is there
        files.write_together("O", contents, overwrite=False)
        assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == [b"1", b"2"]
    with pytest.raises(SettingsError, match="two, which exists; choose another, or say overwrite=true"):
        files.write_together("O", others, overwrite=False)
    killed_at(monkeypatch, 1, files.write_together, "O", others, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["one"], "old never stands beside new"
    files.write_together("O", others, overwrite=True)
    assert three.read_bytes() == b"3"
    with pytest.raises(SettingsError, match="three, which exists"):
        files.write_together("O", {three: None}, overwrite=False)
    files.write_together("O", contents, overwrite=True)
    assert not three.exists()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_settings_are_read_at_any_moment_of_their_replacement(tmp_path, monkeypatch, number):
    """A run that was killed while ``more_epochs`` changed its settings was refused as edited."""
    old, new = {"epochs": 2}, {"epochs": 4}
    runs.begin_record(tmp_path, {}, old)
    killed_at(monkeypatch, number, runs.begin_record, tmp_path, {}, new)
    assert runs.read_settings(tmp_path) == (new if number == 3 else old)
    runs.begin_record(tmp_path, {}, new)
    (tmp_path / "settings.yaml").write_text("epochs: 2\n")
    with pytest.raises(CorruptFileError, match="changed since the run wrote it"):
        runs.read_settings(tmp_path)


def test_a_comparison_that_was_making_its_folders_goes_on(tmp_path):
    (tmp_path / "arlc" / "0").mkdir(parents=True)
    (tmp_path / "arlc" / "0" / f"{STRAY}run.json").write_text("half")
    comparison.check_folder(tmp_path)
    (tmp_path / "arlc" / "0" / "thesis.tex").write_text("mine")
    with pytest.raises(SettingsError, match="holds arlc"):
        comparison.check_folder(tmp_path)


def test_overwritten_puzzles_are_made_after_a_kill(tmp_path, monkeypatch):
    """Between the old puzzles' end and the new manifest a kill left a folder that was refused for ever."""
    shards = Order("iraven", ("center_single",), 2, form="shards", images=False)
    other = Order("iraven", ("center_single",), 2, seed=7, form="json")
    produce(shards, tmp_path)
    killed_at(monkeypatch, 1, produce, other, tmp_path, overwrite=True)
    produce(other, tmp_path, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["center_single.json", "manifest.json"]


def test_a_picture_for_which_there_is_no_space_is_an_error(command, tmp_path, monkeypatch):
    """It was said to be missing, with exit code 0."""
    real = files.write_whole

    def write(path, *rest, **options):
        if path.suffix == ".png":
            raise WriteError(f"write {path}", received="no space")
        real(path, *rest, **options)

    line = ("+model=symbolic", "constellation=center", "dataset.n=2", f"out={tmp_path / 'out'}")
    with monkeypatch.context() as patch:
        patch.setattr(files, "write_whole", write)
        code, _, err = command("explain", *line)
    assert code == 2 and "no space" in err
    assert command("explain", *line)[0] == 0
    assert (tmp_path / "out" / "explanation.png").is_file()

"""Commands that are killed, or refused by the disk, at one of their file operations; and the harness that does it."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120  # of the sample

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the harness asks /proc for open files")

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
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=280, check=False
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
MARKS = f"""
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


def test_the_harness_finds_sabotage(tmp_path):
    """Writers that are not whole are caught where they are not; the one that is whole lacks sentences alone."""
    for name, write in (("in_place", IN_PLACE), ("whole", WHOLE), ("hides", HIDES), ("marks", MARKS)):
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


def test_what_native_code_writes_is_named(tmp_path):
    assert outside(tmp_path, BLIND).splitlines()[-1] == "['out/native.pt']"


SAMPLE = """
import torch
torch.set_num_threads(1)  # before the first fork
draw, found, end = random.Random(0), [], time.monotonic() + {seconds}
for name in draw.sample(list(JOBS), len(JOBS)):
    stage = Stage(scratch, name)
    assert not stage.unseen or JOBS[name].before, stage.unseen
    every = [(at, fault) for at in range(1, len(stage.operations) + 1) for fault in FAULTS]
    share = time.monotonic() + (end - time.monotonic()) / (len(JOBS) - len({{trial["name"] for trial in found}}))
    for at, fault in draw.sample(every, len(every)):
        found.append({{"name": name, **stage.try_one(at, fault)}})
        if time.monotonic() > share:
            break
print(json.dumps(found))
"""


@pytest.mark.slow
def test_commands_go_on_after_a_fault(tmp_path):
    found = json.loads(outside(tmp_path, SAMPLE.format(seconds=SECONDS)).splitlines()[-1])
    assert len({trial["name"] for trial in found}) >= 12
    assert [trial for trial in found if trial["outcome"] != "equal"] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["prompts", "explain", "benchmark", "capacity", "generate json"])
def test_two_at_once(tmp_path, name):
    rounds = json.loads(outside(tmp_path, f"print(json.dumps(play(scratch, {name!r}, 4)))").splitlines()[-1])
    assert [round_ for round_ in rounds if round_["outcome"] != "sound"] == []

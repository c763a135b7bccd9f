"""Commands disturbed at their file operations, one after the other: killed, the disk full, the disk broken.

    python benchmarks/faults.py [--command train] [--trials 40 --seed 0] [--out benchmarks/results/faults]
    python benchmarks/faults.py --rounds 10

Each trial runs a command on tiny settings in a process of its own, disturbs the k-th operation that writes (open,
write, fsync, rename, unlink, mkdir, link, truncate, lock, close), and then does what a user does: goes on with
``resume=``, or gives the same command again. What is left is compared with what an undisturbed run leaves, times and
hosts apart.

    equal       it goes on, and all files are the same
    stuck       neither is accepted
    unreadable  what is left is refused as damaged
    different   exit code 0, and other files
    traceback   a mistake of ours instead of a sentence

Without ``--trials`` every operation is tried. What was tried by the same code stays: an interrupted script goes on.
``--rounds`` starts two processes of a command on one folder: what they leave must be what they would leave in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [path for path in (str(ROOT), str(ROOT / "benchmarks")) if path not in sys.path]
if other := os.environ.get("FAULTS_CODE"):  # another version of the library
    sys.path.insert(0, other)

from fault_injection.jobs import JOBS  # noqa: E402
from fault_injection.operations import FAULTS  # noqa: E402
from fault_injection.rounds import ROUNDS, play  # noqa: E402
from fault_injection.trials import OUTCOMES, Stage  # noqa: E402

_KEPT_SECONDS = 20


def main() -> None:
    """Runs what is asked for; writes a JSON file a command, and the table of all that are there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", action="append", choices=sorted({*JOBS, *ROUNDS}), help="default: all")
    parser.add_argument("--trials", type=int, help="of each command, drawn; default: every operation, every fault")
    parser.add_argument("--seed", type=int, default=0, help="of the drawing")
    parser.add_argument("--rounds", type=int, default=0, help="two processes at once, so many times, and no faults")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "faults")
    arguments = parser.parse_args()
    known = ROUNDS if arguments.rounds else JOBS
    if unknown := [name for name in arguments.command or () if name not in known]:
        parser.error(f"{unknown[0]!r} is not among {', '.join(known)}")
    import torch

    torch.set_num_threads(1)  # before the first fork
    _version()
    arguments.out.mkdir(parents=True, exist_ok=True)
    fast = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="faults-", dir=fast) as scratch:
        for name in arguments.command or known:
            path = arguments.out / f"{name.replace(' ', '_')}.json"
            if arguments.rounds:
                found = play(Path(scratch) / "trials", name, arguments.rounds, arguments.seed)
                _keep(path, {**_read(path), "rounds": found, "rounds_version": _version()})
                print(f"{name}: rounds {_counts(found, ('sound', 'mixed', 'traceback'))}", flush=True)
            else:
                _disturb(path, name, Stage(Path(scratch) / "trials", name), arguments.trials, arguments.seed)
            _write_table(arguments.out)


def _version() -> str:
    """The code that is tried; asked for before the first fork, so that who edits it meanwhile disturbs no trial."""
    from datasets.files import cache
    from factorizers import cells
    from reasoning.records import runs

    cache.generator_version(), cells.code_version()
    return runs.code_version()


def _disturb(path: Path, name: str, stage: Stage, trials: int | None, seed: int) -> None:
    known = _read(path)
    same = known.get("version") == _version() and known.get("operations") == stage.operations
    kept = {
        **{key: value for key, value in known.items() if key.startswith("rounds")},
        "version": _version(),
        "operations": stage.operations,
        "unseen": stage.unseen,
        "trials": known["trials"] if same else [],
    }
    tried = {(trial["fault"], trial["at"]) for trial in kept["trials"]}
    every = [(fault, at) for at in range(1, len(stage.operations) + 1) for fault in FAULTS]
    wanted = every if trials is None else random.Random(seed).sample(every, min(trials, len(every)))
    saved = time.monotonic()
    for fault, at in wanted:
        if (fault, at) in tried:
            continue
        trial = stage.try_one(at, fault)
        kept["trials"].append(trial)
        if trial["outcome"] != "equal":
            print(f"{name}: {fault} at {at}, {trial['operation']}: {trial['outcome']}", flush=True)
        if time.monotonic() - saved > _KEPT_SECONDS:
            _keep(path, kept)
            saved = time.monotonic()
    _keep(path, kept)
    print(f"{name}: {len(stage.operations)} operations, {_counts(kept['trials'], OUTCOMES)}", flush=True)


def _counts(trials: list[dict[str, Any]], outcomes: tuple[str, ...]) -> str:
    return ", ".join(f"{sum(t['outcome'] == outcome for t in trials)} {outcome}" for outcome in outcomes)


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def _keep(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=1)
    text = re.sub(r'\{\s+("at": [^{}]*?"outcome": "equal")\s+\}', lambda m: "{" + " ".join(m[1].split()) + "}", text)
    temporary = path.with_suffix(".new")
    temporary.write_text(text + "\n", "utf-8")
    temporary.replace(path)


def _write_table(folder: Path) -> None:
    """``faults.md``: of all commands that were tried."""
    head = ("command", "operations", "tried", *OUTCOMES, "rounds of two", "mixed", "traceback")
    rows = [[*head], ["---"] * len(head)]
    for path in sorted(folder.glob("*.json")):
        found = _read(path)
        trials, rounds = found.get("trials", []), found.get("rounds", [])
        outcomes = [sum(trial["outcome"] == outcome for trial in trials) for outcome in OUTCOMES]
        mixed = [sum(r["outcome"] == outcome for r in rounds) if rounds else "" for outcome in ("mixed", "traceback")]
        cells = [path.stem.replace("_", " "), len(found.get("operations", [])) or "", len(trials) or ""]
        rows.append([*map(str, (*cells, *(outcomes if trials else [""] * 5), len(rounds) or "", *mixed))])
    text = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    (folder / "faults.md").write_text(text, "utf-8")


if __name__ == "__main__":
    main()

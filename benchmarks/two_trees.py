"""CPU time of the algebra in two checkouts, operation by operation and in turns.

``python benchmarks/two_trees.py OLD NEW [PART]``: one worker for each tree, one thread; each operation that both have
(and whose name holds PART) is timed in both, again and again in turns, so that what else the machine does falls on
both. The ratio of medians is printed; from 1.05 on a line is marked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

TURNS, SECONDS = 9, 0.01
LIMIT = 1.05


def operations() -> dict[str, Callable[[], Any]]:
    """Calls by name, small and large, for every algebra."""
    import torch

    import vsa

    torch.set_num_threads(1)
    calls: dict[str, Callable[[], Any]] = {}
    for name in ("map", "map_real", "hrr", "fhrr", "bsc", "sbc", "gsbc"):
        for size, dim, batch in (("small", 1024, 1), ("large", 10_000, 64)):
            block = {"blocks": dim // 100 if dim > 5000 else 16} if name.endswith("sbc") and name != "bsc" else {}
            algebra = vsa.get(name, dim=dim, **block)
            generator = torch.Generator().manual_seed(0)
            lead = () if batch == 1 else (batch,)
            x, y = algebra.random(2, *lead, generator=generator)
            many, atoms = algebra.random(*lead, 8, generator=generator), algebra.random(50, generator=generator)
            dtype = torch.float32
            equal, odd = torch.full((8,), 0.1, dtype=dtype), torch.rand(*lead, 8, generator=generator, dtype=dtype)
            shares = torch.rand(*lead, 50, generator=generator, dtype=dtype)
            book = vsa.Codebook(algebra, atoms)
            book.similarity(x)
            here = {
                "bind": lambda a=algebra, x=x, y=y: a.bind(x, y),
                "unbind": lambda a=algebra, x=x, y=y: a.unbind(x, y),
                "bundle of 2": lambda a=algebra, m=many[..., :2, :]: a.bundle(m),
                "bundle of 3": lambda a=algebra, m=many[..., :3, :]: a.bundle(m),
                "bundle of 8": lambda a=algebra, m=many: a.bundle(m),
                "bundle of 8, equal weights": lambda a=algebra, m=many, w=equal: a.bundle(m, w),
                "bundle of 8, weights": lambda a=algebra, m=many, w=odd: a.bundle(m, w),
                "similarity": lambda a=algebra, x=x, y=y: a.similarity(x, y),
                "similarity_to_set": lambda a=algebra, x=x, s=atoms: a.similarity_to_set(x, s),
                "cosine": lambda a=algebra, x=x, y=y: a.cosine(x, y),
                "power 3": lambda a=algebra, x=x: a.power(x, 3),
                "power .5": lambda a=algebra, x=x: a.power(x, 0.5),
                "normalize": lambda a=algebra, x=x: a.normalize(x),
                "quantize": lambda a=algebra, x=x: a.quantize(x),
                "permute": lambda a=algebra, x=x: a.permute(x),
                "negative": lambda a=algebra, x=x: a.negative(x),
                "new codebook": lambda a=algebra, s=atoms: vsa.Codebook(a, s),
                "book.similarity": lambda b=book, x=x: b.similarity(x),
                "book.topk": lambda b=book, x=x: b.topk(x, 3),
                "book.cleanup": lambda b=book, x=x: b.cleanup(x),
                "book.superpose": lambda b=book, w=shares: b.superpose(w),
            }
            for what, call in here.items():
                try:
                    call()
                except vsa.VSAError:  # an operation that the algebra does not have
                    continue
                calls[f"{name} {size} {what}"] = call
    return calls


def worker() -> None:
    """Answer each name on standard input with CPU seconds of a call."""
    calls = operations()
    print(json.dumps(list(calls)), flush=True)
    for line in sys.stdin:
        call, runs = calls[line.strip()], 1
        while True:
            begin = time.process_time()
            for _ in range(runs):
                call()
            spent = time.process_time() - begin
            if spent >= SECONDS:
                break
            runs *= 2
        print(spent / runs, flush=True)


def start(tree: str) -> subprocess.Popen[str]:
    """A worker that imports from a tree."""
    environment = {**os.environ, "PYTHONPATH": tree, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).resolve()), "--worker"]
    return subprocess.Popen(command, cwd=tree, env=environment, text=True, stdin=-1, stdout=-1)


def main(old: str, new: str, part: str = "") -> None:
    """Print a line for each operation that both trees have."""
    workers = [start(old), start(new)]
    names = [json.loads(each.stdout.readline()) for each in workers]  # type: ignore[union-attr]
    print(f"{'operation':45}{'old, us':>12}{'new, us':>12}{'ratio':>8}")
    for name in [name for name in names[0] if name in names[1] and part in name]:
        times: list[list[float]] = [[], []]
        for turn in range(TURNS):
            for which in (0, 1) if turn % 2 else (1, 0):
                each = workers[which]
                each.stdin.write(name + "\n")  # type: ignore[union-attr]
                each.stdin.flush()  # type: ignore[union-attr]
                times[which].append(float(each.stdout.readline()))  # type: ignore[union-attr]
        before, after = (1e6 * median(each) for each in times)
        mark = "  slower" if after > LIMIT * before else ""
        print(f"{name:45}{before:12.1f}{after:12.1f}{after / before:8.2f}{mark}", flush=True)
    for each in workers:
        each.stdin.close()  # type: ignore[union-attr]
        each.wait()


if __name__ == "__main__":
    worker() if sys.argv[1:2] == ["--worker"] else main(*sys.argv[1:])

"""The algebra beside torchhd 5.8.4, in one process: times, numerical agreement, packed bits, and the seam's paths.

``python benchmarks/algebra.py [--quick] [--large] [--out DIR]`` writes ``algebra_<threads>threads.json`` and ``.md``.

torchhd is a peer of this benchmark only, never a dependency: ``pip install --no-deps torch-hd==5.8.4`` and what it
imports (pandas, requests, tqdm, openpyxl, scipy). Without it only our own comparisons are made. Each time is a median
over pairs, ours and the peer's in turn; the ratio is the median of the pairs' ratios. With one thread the process's CPU
time counts, so that other work on the machine shows less. A ratio above AGAIN is measured once more with three times as
many pairs, and the second measurement stands. Both get their own vectors, made from the same numbers, and results are
compared where definitions agree. ``--large`` adds top-k among a million atoms, each case in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import reduce
from pathlib import Path

import torch

import vsa
from vsa.backends.digital import Digital

try:
    import torchhd
except ImportError:
    torchhd = None

Call = Callable[[], object]
Agree = Callable[[object, object], float]
BATCHES, DIMS, ATOMS = (1, 256, 4096), (512, 2048, 8192), 1024
PAIRS = 15  # five where one call takes longer than LONG
AGAIN = 1.1
LONG = 0.02
SECONDS = 0.004  # at least this long per measurement, by repetition


@dataclass(frozen=True)
class Row:
    """One comparison: medians in microseconds, median of the pairs' ratios, largest difference of the results."""

    group: str
    operation: str
    batch: int
    dim: int
    ours_us: float
    peer_us: float
    ratio: float
    difference: float | None


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Mean time of one call."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    for _ in range(repeats):
        call()
    return (clock() - start) / repeats


def pairs_of(ours: Call, peer: Call, times: int = 1) -> list[tuple[float, float]]:
    """Times of two calls in turn."""
    once = max(seconds(peer, 1), seconds(ours, 1), 1e-7)
    repeats = max(1, int(SECONDS / once))
    pairs = []
    for turn in range(times * (PAIRS if once < LONG else 5)):
        first, second = (ours, peer) if turn % 2 == 0 else (peer, ours)
        a, b = seconds(first, repeats), seconds(second, repeats)
        pairs.append((a, b) if turn % 2 == 0 else (b, a))
    return pairs


def compare(
    group: str, operation: str, batch: int, dim: int, ours: Call, peer: Call, agree: Agree | None = None
) -> Row:
    """Time two calls."""
    left, right = ours(), peer()
    difference = agree(left, right) if agree else None
    pairs = pairs_of(ours, peer)
    if statistics.median(a / b for a, b in pairs) > AGAIN:
        pairs = pairs_of(ours, peer, times=3)
    return Row(
        group,
        operation,
        batch,
        dim,
        statistics.median(a for a, _ in pairs) * 1e6,
        statistics.median(b for _, b in pairs) * 1e6,
        statistics.median(a / b for a, b in pairs),
        difference,
    )


def largest(left: object, right: object) -> float:
    """Largest absolute difference of two tensors, whatever class the peer's is."""
    a, b = torch.as_tensor(left), right.as_subclass(torch.Tensor)
    wide = torch.complex128 if a.is_complex() else torch.float64
    return float((a.to(wide) - b.to(wide)).abs().max())


def generator(seed: int = 0) -> torch.Generator:
    """A seeded generator."""
    return torch.Generator().manual_seed(seed)


def peers(batches: tuple[int, ...], dims: tuple[int, ...]) -> list[Row]:
    """Every operation of every model that both have."""
    rows = []
    kinds = {
        "map": torchhd.MAPTensor,
        "hrr": torchhd.HRRTensor,
        "fhrr": torchhd.FHRRTensor,
        "bsc": torchhd.BSCTensor,
        "sbc": torchhd.BSBCTensor,
    }

    def peers_own(x: torch.Tensor, kind: type) -> torch.Tensor:
        own = x.clone().as_subclass(kind)
        if kind is torchhd.BSBCTensor:
            own.block_size = 16
        return own

    for name, kind in kinds.items():
        for dim in dims:
            algebra = vsa.get(name, dim=dim * 16, blocks=dim) if name == "sbc" else vsa.get(name, dim=dim)
            for batch in batches:
                x, y = algebra.random(2, batch, generator=generator())
                atoms = algebra.random(256, generator=generator(1))
                u, v, w = (peers_own(t, kind) for t in (x, y, atoms))

                def add(operation: str, ours: Call, peer: Call, agree: Agree | None = None) -> None:
                    rows.append(compare(name, operation, batch, dim, ours, peer, agree))

                add("bind", lambda: algebra.bind(x, y), lambda: torchhd.bind(u, v), largest)
                add("inverse", lambda: algebra.inverse(x), lambda: torchhd.inverse(u), largest)
                add("permute", lambda: algebra.permute(x), lambda: torchhd.permute(u), largest)
                if batch * dim <= 2**21 and name != "sbc":
                    eight = algebra.random(batch, 8, generator=generator(2))
                    theirs = peers_own(eight, kind)
                    if algebra.laws.linear:  # their majority draws ties at random from the global generator
                        add("bundle of 8", lambda: algebra.bundle(eight), lambda: torchhd.multiset(theirs), largest)
                    # Their multibind of hrr drops imaginary parts on the way: its values are those of no binding.
                    one_by_one = reduce(torchhd.bind, theirs.unbind(-2))
                    add(
                        "bind of 8",
                        lambda: algebra.bind_all(eight),
                        lambda: torchhd.multibind(theirs),
                        lambda ours, _, right=one_by_one: largest(ours, right),
                    )
                if batch * 256 * dim <= (2**25 if name == "sbc" else 2**30):  # theirs holds all comparisons at once
                    scale = 1 if name in ("hrr",) else (algebra.blocks if name == "sbc" else dim)
                    add(
                        "similarity to 256",
                        lambda: algebra.similarity_to_set(x, atoms),
                        lambda: torchhd.dot_similarity(u, w),
                        lambda a, b, s=scale: largest(a * s, b) / s,
                    )
    return rows


def blocks(batches: tuple[int, ...], dims: tuple[int, ...]) -> list[Row]:
    """Dense block codes: a transform per block, beside the definition's convolution as a matrix product per block."""
    rows = []
    for dim in dims:
        for batch in batches:
            if batch * dim > 2**21:
                continue
            algebra = vsa.get("gsbc", dim=dim, blocks=4)
            x, y = algebra.random(2, batch, generator=generator())
            i = algebra.to_index(y)
            a, b = (t.view(batch, 4, -1) for t in (x, y))

            def naive(a: torch.Tensor = a, b: torch.Tensor = b) -> torch.Tensor:
                return torch.fft.ifft(torch.fft.fft(a) * torch.fft.fft(b)).real

            def flat(left: torch.Tensor, right: torch.Tensor) -> float:
                return float((left.view(right.shape) - right).abs().max())

            ways = (("bind dense", lambda: algebra.bind(x, y)), ("bind one-hot", lambda: algebra.bind(x, i)))
            for operation, ours in ways:
                rows.append(compare("gsbc, beside a complex transform", operation, batch, dim, ours, naive, flat))
    return rows


def packed(dims: tuple[int, ...]) -> list[Row]:
    """Packed bits beside a float matmul with the same atoms."""
    rows = []
    for dim in dims:
        algebra = vsa.get("bsc", dim=dim)
        atoms = algebra.random(ATOMS, generator=generator(), dtype=torch.int64)
        floats = algebra.embed(atoms).mT.contiguous().mT
        for batch in (1, 4, 16, 64, 256):
            x = algebra.random(batch, generator=generator(1), dtype=torch.int64)
            e = algebra.embed(x)
            rows.append(
                compare(
                    "packed bsc, beside an fp32 matmul",
                    "similarity to 1024",
                    batch,
                    dim,
                    lambda: algebra.similarity_to_set(x, atoms),
                    lambda: e @ floats.mT,
                    lambda a, b, d=dim: float((a - b / d).abs().max()),
                )
            )
    return rows


def seam(batches: tuple[int, ...], dims: tuple[int, ...]) -> list[Row]:
    """The digital backend's index and int8 paths beside a float matrix with the same atoms."""
    rows = []
    for dim in dims:
        algebra, signs = vsa.get("gsbc", dim=dim, blocks=4), vsa.get("map", dim=dim)
        index = Digital().store(
            algebra.random(ATOMS, generator=generator(), dtype=torch.int64), "onehot_blocks", block_length=dim // 4
        )
        onehot = torch.eye(ATOMS) @ algebra.from_index(algebra.random(ATOMS, generator=generator(), dtype=torch.int64))
        eight = signs.random(ATOMS, generator=generator(), dtype=torch.int8)
        bipolar, dense = Digital().store(eight, "bipolar"), Digital().store(eight.float())
        matrix = Digital().store(onehot)
        for batch in batches:
            if batch * ATOMS > 2**22 and dim > 2048:
                continue
            x, w = torch.rand(batch, dim, generator=generator(2)), torch.rand(batch, ATOMS, generator=generator(3))
            s = signs.random(batch, generator=generator(4), dtype=torch.int8)
            f = s.float()

            def agree(a: torch.Tensor, b: torch.Tensor) -> float:
                return float((a - b).abs().max())

            for operation, ours, peer in (
                ("index matvec", lambda: index.matvec(x), lambda: matrix.matvec(x)),
                ("index rmatvec", lambda: index.rmatvec(w), lambda: matrix.rmatvec(w)),
                ("int8 matvec", lambda: bipolar.matvec(s), lambda: dense.matvec(f)),
            ):
                rows.append(compare("seam, beside a float matrix", operation, batch, dim, ours, peer, agree))
    return rows


def few_int8(dims: tuple[int, ...] = (256, 512, 1024)) -> list[Row]:
    """The int8 path at the sizes of factorizers, and where calling costs more than computing.

    Beside a float matrix twice: with floats made before, and with the same int8 vectors turned into floats and back.
    """
    rows = []
    algebras = {dim: vsa.get("map", dim=dim) for dim in dims}
    for dim, algebra in algebras.items():
        for count in (22, 256):
            atoms = algebra.random(count, generator=generator(), dtype=torch.int8)
            bipolar, dense = Digital().store(atoms, "bipolar"), Digital().store(atoms.float())
            for batch in (1, 4, 16, 64, 512):
                x = algebra.random(batch, generator=generator(1), dtype=torch.int8)
                f = x.float()
                group = "int8 at the sizes of factorizers, beside a float matrix"
                ways = (("", lambda: dense.matvec(f)), (" and conversion", lambda: dense.matvec(x.float()).int()))
                for way, peer in ways:
                    operation = f"matvec, N {count}{way}"
                    rows.append(
                        compare(
                            group,
                            operation,
                            batch,
                            dim,
                            lambda: bipolar.matvec(x),
                            peer,
                            lambda a, b: float((a - b).abs().max()),
                        )
                    )
    return rows


LARGE = """
import json, sys, time
from pathlib import Path
import torch, vsa
kind, batch, k = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(int(sys.argv[4]))
def memory(line):
    return int(Path("/proc/self/status").read_text().split(line + ":")[1].split()[0]) / 2**20
g = torch.Generator().manual_seed(0)
algebra = vsa.get("gsbc", dim=1024, blocks=4) if kind == "index" else vsa.get("map", dim=1024)
empty = memory("VmRSS")
book = vsa.Codebook.random(algebra, 10**6, generator=g)
made, held = memory("VmHWM") - empty, memory("VmRSS")
rows = torch.randint(10**6, (batch,), generator=g)
x = book.atoms[rows]
x = algebra.embed(x) if kind == "index" else x.float() if kind == "float query" else x
Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
start = time.perf_counter()
found, at = book.topk(x, k)
first = time.perf_counter() - start
start = time.perf_counter()
book.topk(x, k)
again, read = time.perf_counter() - start, memory("VmHWM") - held
assert torch.equal(book.similarity(x[:1]).amax(-1), found[:1, 0]) and torch.equal(found[:, 0], torch.ones(batch))
size = book.atoms.numel() * book.atoms.element_size() / 2**30
right = kind == "index" or torch.equal(at[:, 0], rows)
print(json.dumps([kind, batch, k, size, made, read, first, again, right]))
"""


def large(threads: int) -> list[list[object]]:
    """Top-k among a million atoms of dimension 1024: seconds, and by how much memory the process grew (Linux)."""
    cells = []
    for kind in ("int8 query", "float query", "index"):
        for batch, k in ((1, 1), (1, 10), (64, 10)):
            command = [sys.executable, "-c", LARGE, kind, str(batch), str(k), str(threads)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(done.stderr)
            cells.append(json.loads(done.stdout))
    return cells


def as_markdown(rows: list[Row], about: dict[str, object], cells: list[list[object]]) -> str:
    """Tables, one per group, and what they say."""
    lines = ["# The algebra beside its peers", ""]
    lines += [f"- {key}: {value}" for key, value in about.items()]
    lines += ["", "Ratio is ours over the peer's: below 1 is faster. Times in microseconds."]
    for group in dict.fromkeys(row.group for row in rows):
        lines += ["", f"## {group}", "", "| operation | batch | D | ours | peer | ratio | largest difference |"]
        lines.append("|---|---|---|---|---|---|---|")
        for row in rows:
            if row.group == group:
                difference = "" if row.difference is None else f"{row.difference:.1e}"
                lines.append(
                    f"| {row.operation} | {row.batch} | {row.dim} | {row.ours_us:.1f} | {row.peer_us:.1f} "
                    f"| {row.ratio:.2f} | {difference} |"
                )
    if cells:
        lines += ["", "## top-k among 1,000,000 atoms of dimension 1024, in a process of its own", ""]
        lines += ["Memory in GiB: the atoms, what making the codebook took at most, what top-k took beyond it at most."]
        lines += ["", "| atoms and query | batch | k | atoms | made | top-k | first s | again s | the right atom |"]
        lines += ["|---|---|---|---|---|---|---|---|---|"]
        for cell in cells:
            lines.append("| " + " | ".join(f"{c:.3f}" if isinstance(c, float) else str(c) for c in cell) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run all comparisons and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--quick", action="store_true", help="one small size, to see that it runs")
    parser.add_argument("--large", action="store_true", help="also top-k among a million atoms: 6 GiB of memory")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--dims", type=int, nargs="+", default=DIMS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    batches, dims = ((1,), (512,)) if arguments.quick else (tuple(arguments.batches), tuple(arguments.dims))
    before = os.getloadavg()[0]
    rows = [] if torchhd is None else peers(batches, dims)
    rows += blocks(batches, dims) + packed(dims) + seam(batches, dims) + ([] if arguments.quick else few_int8())
    cells = large(arguments.threads) if arguments.large else []
    about = {
        "command": " ".join(["python benchmarks/algebra.py", *sys.argv[1:]]),
        "torch": torch.__version__,
        "torchhd": "absent" if torchhd is None else "5.8.4",
        "processor": platform.machine() + ", " + torch.backends.cpu.get_cpu_capability(),
        "threads": arguments.threads,
        "load": f"{before:.1f} before, {os.getloadavg()[0]:.1f} after (with this run), {os.cpu_count()} processors",
        "clock": "CPU time of the process" if arguments.threads == 1 else "wall",
        "pairs": f"{PAIRS}, 5 for calls longer than {LONG} s; three times as many where the ratio was above {AGAIN}",
    }
    if arguments.quick:
        print(as_markdown(rows, about, cells))
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    stem = arguments.out / f"algebra_{arguments.threads}threads"
    entries = [asdict(row) for row in rows]
    stem.with_suffix(".json").write_text(json.dumps({"about": about, "rows": entries, "large": cells}, indent=1) + "\n")
    stem.with_suffix(".md").write_text(as_markdown(rows, about, cells))
    print(f"wrote {stem}.json and .md, {len(rows)} comparisons")


if __name__ == "__main__":
    main()

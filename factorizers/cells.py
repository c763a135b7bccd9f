"""One cell of a capacity sweep: a factorizer at one size and one level of damage, measured on fresh codebooks."""

from __future__ import annotations

import hashlib
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

import vsa
from vsa import SettingsError

from . import FACTORIZERS
from .base import Factorizer
from .block_code import BlockCode
from .damage import damage
from .exhaustive import Exhaustive
from .in_memory import InMemory
from .result import SWEEP_SHARE
from .theory import ceiling, false_factorizations, wilson

__all__ = ["Cell", "as_pairs", "code_version", "compute", "fingerprint"]

_EXHAUSTIVE_SECONDS = 2.0  # what a cell spends on timing brute force, by and large
_EXHAUSTIVE_PART = 1 << 27  # multiply-accumulates of a query, of the first part that is timed
_GROWTH = 4  # of that part while there is time
_PAIRS = ("options", "threads", "backend", "algebra_options")  # fields that a line shows in another form
_PUBLISHED = {"in_memory": InMemory.published, "block_code": BlockCode.published}


@dataclass(frozen=True)
class Cell:
    """All that a result depends on.

    Args:
        factorizer: a registered name.
        options: of its constructor, sorted pairs; ``published: true`` takes the published dynamics and settings.
        algebra: name.
        dim: D.
        blocks: K where the algebra's constructor takes it, else None.
        factors: F.
        size: N of each factor.
        queries: how many, over all draws.
        draws: fresh codebooks that the queries are spread over.
        seed: of everything.
        noise: level of the damage.
        damage: kind of the damage.
        threads: of torch.
        backend: where codebooks are stored: sorted pairs, with its name; options that are mappings are pairs, too.
        algebra_options: further arguments of the algebra's constructor: sorted pairs.
    """

    factorizer: str
    options: tuple[tuple[str, Any], ...]
    algebra: str
    dim: int
    blocks: int | None
    factors: int
    size: int
    queries: int
    draws: int
    seed: int
    noise: float
    damage: str
    threads: int
    backend: tuple[tuple[str, Any], ...] = (("name", "digital"),)
    algebra_options: tuple[tuple[str, Any], ...] = ()

    def plugins(self) -> dict[str, Any]:
        """Whose the parts are that other packages offer, as :func:`vsa.plugins.origins`."""
        options = dict(self.backend)
        named = {"factorizers": self.factorizer, "algebras": self.algebra, "backends": options.get("name")}
        return vsa.plugins.origins(named, options)

    def make_backend(self) -> vsa.Backend:
        """The backend."""
        options = from_pairs(self.backend)
        name = options.pop("name")
        made: vsa.Backend = vsa.commands.schema.call(
            vsa.backends.BACKENDS.get(name), "backend", options, {}, f"backend {name}"
        )
        return made

    def make_algebra(self) -> vsa.Algebra:
        """The algebra."""
        size = {"dim": self.dim} if self.blocks is None else {"dim": self.dim, "blocks": self.blocks}
        options = from_pairs(self.algebra_options)
        for key in sorted(set(size) & set(options)):
            raise SettingsError(
                f"setting algebra.{key}",
                received=repr(options[key]),
                expected=f"{key}={options[key]}, a setting of its own",
            )
        cls = vsa.ALGEBRAS.get(self.algebra)
        made: vsa.Algebra = vsa.commands.schema.call(cls, "algebra", {**size, **options}, {}, f"algebra {self.algebra}")
        return made

    def make(self, books: list[vsa.Codebook]) -> Factorizer:
        """The factorizer."""
        options = from_pairs(self.options)
        published = vsa.commands.schema.coerce(bool, options.pop("published", False), "factorizer.published")
        if published:
            if self.factorizer not in _PUBLISHED:
                raise SettingsError(
                    "setting factorizer.published", received=self.factorizer, expected=" or ".join(_PUBLISHED)
                )
            allowed = ("budget", "noise", "threshold") if self.factorizer == "in_memory" else ("budget",)
            for option in options:
                if option not in allowed:
                    raise SettingsError(
                        f"setting factorizer.{option}", received="published dynamics", expected=f"one of {allowed}"
                    )
        target: Any = _PUBLISHED[self.factorizer] if published else FACTORIZERS.get(self.factorizer)
        made: Factorizer = vsa.commands.schema.call(
            target, "factorizer", options, {"books": books}, f"factorizer {self.factorizer}"
        )
        return made


def as_pairs(options: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Nested options as sorted pairs, which can be compared and hashed.

    Args:
        options: by name.
    """
    return tuple(
        (key, as_pairs(value) if isinstance(value, Mapping) else value) for key, value in sorted(options.items())
    )


def from_pairs(pairs: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    """What :func:`as_pairs` took apart; no option is a tuple by itself, for YAML has none.

    Args:
        pairs: sorted.
    """
    return {key: from_pairs(value) if isinstance(value, tuple) else value for key, value in pairs}


def compute(cell: Cell) -> dict[str, Any]:
    """Measure a cell. A function of the module, so that other processes can import it.

    Args:
        cell: what to measure.

    Returns:
        The line of the table. All but times and memory depend on the cell alone.
    """
    torch.set_num_threads(cell.threads)
    algebra = cell.make_algebra()
    right = valid = 0
    seconds = brute = 0.0
    brute_queries = 0
    scale = 1.0
    iterations: list[float] = []
    shares: list[float] = []
    certificate = (1.0, 0.0)
    backend = cell.make_backend()
    costs: list[vsa.Cost] = []
    for draw in range(cell.draws):
        count = (cell.queries * (draw + 1)) // cell.draws - (cell.queries * draw) // cell.draws
        if not count:
            continue
        books = [
            vsa.Codebook.random(algebra, cell.size, seed=vsa.child_seed(cell.seed, "books", draw, factor))
            for factor in range(cell.factors)
        ]
        if not backend.exact:
            seeds = [vsa.child_seed(cell.seed, "array", draw, factor) for factor in range(cell.factors)]
            books = [book.on(backend, seed=seed) for book, seed in zip(books, seeds, strict=True)]
        made = cell.make(books)
        generator = torch.Generator().manual_seed(vsa.child_seed(cell.seed, "queries", draw))
        indices = torch.randint(cell.size, (count, cell.factors), generator=generator)
        query = damage(cell.damage, algebra, made.problem.product(indices), cell.noise, generator)
        began = time.perf_counter()
        answer = made(query, generator=torch.Generator().manual_seed(vsa.child_seed(cell.seed, "search", draw)))
        seconds += time.perf_counter() - began
        costs += [cost for book in books if (cost := book.stored.handle.cost()) is not None]
        right += int((answer.indices == indices).all(-1).sum())
        valid += int(answer.valid.sum())
        iterations += answer.iterations.double().tolist()
        shares += (answer.macs.double() / answer.exhaustive_macs).tolist()
        certificate = (float(answer.tau.max()), float(answer.false_expected.max()))
        if brute < _EXHAUSTIVE_SECONDS and (draw == 0 or brute / max(1, brute_queries) < 0.1):
            few = min(count, 8)
            took, scale = _brute_force(cell, books, few, vsa.child_seed(cell.seed, "exhaustive", draw))
            brute += took
            brute_queries += few
    low, high = wilson(right, cell.queries)
    length, width = algebra.block_length, algebra.embedding.width
    expected = None if length is None else false_factorizations(cell.size**cell.factors, width // length, length)
    return {
        **{key: value for key, value in asdict(cell).items() if key not in _PAIRS},
        "options": from_pairs(cell.options),
        **({"algebra_options": from_pairs(cell.algebra_options)} if cell.algebra_options else {}),
        "backend": from_pairs(cell.backend),
        "microjoules_per_query": _microjoules(costs, "energy_joules", cell.queries),
        "digital_microjoules_per_query": _microjoules(costs, "digital_joules", cell.queries),
        "right": right,
        "valid": valid,
        "right_interval": [round(low, 5), round(high, 5)],
        "valid_interval": [round(end, 5) for end in wilson(valid, cell.queries)],
        "iterations_mean": round(statistics.fmean(iterations), 3),
        "iterations_median": statistics.median(iterations),
        "ms_per_query": round(seconds / cell.queries * 1e3, 4),
        "exhaustive_ms_per_query": round(brute / brute_queries * 1e3 * scale, 4),
        "exhaustive_scaled": scale,
        "ceiling": None if expected is None else round(ceiling(expected), 5),
        "exhaustive_share": round(statistics.fmean(shares), 5),
        "sweep": FACTORIZERS.get(cell.factorizer).sweeps or statistics.fmean(shares) > SWEEP_SHARE,
        "tau": round(certificate[0], 5),
        "false_expected": None if math.isnan(certificate[1]) else certificate[1],
        "peak_memory_mb": _peak_memory_mb(),
        "threads": cell.threads,
        "torch": torch.__version__,
        "code": code_version(),
        **({"plugins": plugins} if (plugins := cell.plugins()) else {}),
        "settings": fingerprint(cell),
    }


def _microjoules(costs: list[vsa.Cost], name: str, queries: int) -> float | None:
    """Energy per query, programming included; None where the backend models no costs."""
    return round(1e6 * sum(getattr(cost, name) for cost in costs) / queries, 4) if costs else None


def _brute_force(cell: Cell, books: list[vsa.Codebook], queries: int, seed: int) -> tuple[float, float]:
    """Seconds of exhaustive search, and the factor that they are to be multiplied by.

    Its time is about proportional to the products that it looks at. Where these are too many to wait for, a part is
    searched, growing while there is time: codebooks are cut to their first atoms and queries are made of these.
    """
    whole = [len(book) for book in books]
    products = _EXHAUSTIVE_PART // cell.dim
    while True:
        sizes = list(whole)
        while math.prod(sizes) > max(1, products):
            largest = sizes.index(max(sizes))
            sizes[largest] = (sizes[largest] + 1) // 2
        took = _search_part(cell, books, sizes, queries, seed)
        if sizes == whole or _GROWTH * took > _EXHAUSTIVE_SECONDS:
            return took, math.prod(whole) / math.prod(sizes)
        products *= _GROWTH


def _search_part(cell: Cell, books: list[vsa.Codebook], sizes: list[int], queries: int, seed: int) -> float:
    algebra = books[0].algebra
    search = Exhaustive(
        [vsa.Codebook(algebra, book.atoms[:size], unrelated=False) for book, size in zip(books, sizes, strict=True)]
    )
    generator = torch.Generator().manual_seed(seed)
    indices = torch.stack([torch.randint(size, (queries,), generator=generator) for size in sizes], -1)
    query = damage(cell.damage, algebra, search.problem.product(indices), cell.noise, generator)
    began = time.perf_counter()
    search(query)
    return time.perf_counter() - began


def fingerprint(cell: Cell) -> str:
    """Short hash of a cell's settings.

    Args:
        cell: what to measure.
    """
    settings = asdict(cell)
    if not cell.algebra_options:  # cells without any keep the hash that they had before there were some
        del settings["algebra_options"]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


@lru_cache(maxsize=1)
def code_version() -> str:
    """Hash of the sources that a result depends on: equal code, equal version, committed or not."""
    home = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for room in ("vsa", "factorizers"):
        for path in sorted((home / room).rglob("*.py")):
            digest.update(f"{path.relative_to(home).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def check(cell: Cell) -> None:
    """Refuse a cell that cannot be made, before anything is computed.

    Args:
        cell: what to measure.

    Raises:
        VSAError: an unknown name or option, a size that does not fit.
    """
    if cell.factorizer not in FACTORIZERS:
        FACTORIZERS.get(cell.factorizer)
    cell.make_backend()
    algebra = cell.make_algebra()
    source = torch.Generator().manual_seed(0)
    few = min(cell.size, 3) if not dict(cell.options).get("published") or cell.factorizer == "in_memory" else cell.size
    books = [vsa.Codebook.random(algebra, few, generator=source) for _ in range(cell.factors)]
    made = cell.make(books)
    memory = cell.factors * cell.size * books[0].atoms.shape[-1] * books[0].atoms.element_size()
    if memory > _physical_memory():
        raise SettingsError(
            "setting size",
            received=f"codebooks of {memory / 1e9:,.0f} GB: {cell.factors} factors of {cell.size:,}",
            expected="what the memory of this machine holds",
        )
    product = made.problem.product(torch.zeros(1, cell.factors, dtype=torch.int64))
    damage(cell.damage, algebra, product, cell.noise, source)
    if cell.size > 2**algebra.dim or not math.isfinite(cell.noise):
        raise SettingsError("setting size", received=cell.size, expected="fewer atoms than there are vectors")


def _physical_memory() -> float:
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # not on Windows
        return math.inf


def _peak_memory_mb() -> float:
    try:
        import resource
    except ImportError:  # not on Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 if sys.platform != "darwin" else 1024**2), 1)

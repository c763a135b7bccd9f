"""Structures as single vectors: records, sequences, multisets, scalars, and distributions.

Plain functions over an algebra, or over a codebook where atoms are read (so that they run on its backend). Sets of
slots, with union, difference and roll, are in :mod:`vsa.slots`.

Reference:
    Plate, "Holographic reduced representations", 1995 (records, sequences); Kleyko, Rachkovskij, Osipov, Rahimi, "A
    survey on hyperdimensional computing", ACM Computing Surveys 2022 (all of these, and levels); Frady, Kleyko, Kymn,
    Olshausen, Sommer, "Computing on functions using randomized vector representations", 2021 (kernels).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Literal

import torch
from torch import Tensor

from .algebra import Algebra
from .arithmetic import widened
from .backends.base import Backend
from .codebook import Codebook
from .codebook_labels import label_names
from .errors import DtypeError, ShapeError, UnsupportedError, VSAError
from .validation import (
    check_broadcast,
    check_computable,
    check_count,
    check_kind,
    check_number,
    describe,
    make_generator,
)

__all__ = [
    "circular",
    "kernel",
    "kernel_base",
    "level",
    "ngrams",
    "pmf_to_vector",
    "read_record",
    "read_sequence",
    "record",
    "sequence",
    "vector_to_pmf",
]

Kernel = Literal["sinc", "gaussian"]


# ---------------------------------------------------------------------- records and sequences


def record(algebra: Algebra, roles: Tensor, fillers: Tensor, weights: Tensor | None = None) -> Tensor:
    """Role-filler pairs as one vector: the bundle of each role bound with its filler.

    Args:
        algebra: of the vectors.
        roles: (..., N, D).
        fillers: (..., N, D), broadcast against the roles.
        weights: (..., N). Default: all 1.

    Returns:
        (..., D).
    """
    check_kind("record", algebra, Algebra, "an algebra", "see vsa.get")
    return algebra.bundle(algebra.bind(roles, fillers), weights)


def read_record(algebra: Algebra, vector: Tensor, roles: Tensor) -> Tensor:
    """What fills each role, noisy: to be cleaned up against the codebook of fillers.

    Args:
        algebra: of the vectors.
        vector: (..., D), a record.
        roles: (N, D), or (..., N, D).

    Returns:
        (..., N, D).
    """
    check_kind("read_record", algebra, Algebra, "an algebra", "see vsa.get")
    algebra._check("read_record", vector)
    return algebra.unbind(vector.unsqueeze(-2), roles)


def sequence(algebra: Algebra, items: Tensor) -> Tensor:
    """Items in their order as one vector: the bundle of item i permuted i times.

    Args:
        algebra: of the vectors.
        items: (..., N, D), N at most ``laws.permutation_order``, after which a permutation would repeat.

    Returns:
        (..., D).
    """
    check_kind("sequence", algebra, Algebra, "an algebra", "see vsa.get")
    return algebra.bundle(_shifted(algebra, "sequence", items, range(_length("sequence", items))))


def read_sequence(algebra: Algebra, vector: Tensor, position: int) -> Tensor:
    """The item at a position, noisy.

    Args:
        algebra: of the vectors.
        vector: (..., D), a sequence.
        position: counted from 0.

    Returns:
        (..., D).
    """
    check_kind("read_sequence", algebra, Algebra, "an algebra", "see vsa.get")
    if isinstance(position, bool) or not isinstance(position, int):
        raise DtypeError("read_sequence", received=f"position {position!r}"[:80], expected="an integer")
    return algebra.permute(vector, -position)


def ngrams(algebra: Algebra, items: Tensor, n: int) -> Tensor:
    """A text's n-grams as one vector: runs of n items, each bound after permuting item j of the run n - 1 - j times.

    Args:
        algebra: of the vectors.
        items: (..., N, D).
        n: length of a run, at most N.

    Returns:
        (..., D), the bundle of the N - n + 1 runs.
    """
    check_kind("ngrams", algebra, Algebra, "an algebra", "see vsa.get")
    length = _length("ngrams", items)
    check_count("ngrams", "n", n, least=0)
    if not 1 <= n <= length:
        raise ShapeError("ngrams", received=f"n = {n} for {length} items", expected=f"n from 1 to {length}")
    runs = items.unfold(-2, n, 1).movedim(-1, -2)  # (..., N - n + 1, n, D)
    return algebra.bundle(algebra.bind_all(_shifted(algebra, "ngrams", runs, range(n - 1, -1, -1))))


# ---------------------------------------------------------------------- distributions and counts


def pmf_to_vector(book: Codebook, pmf: Tensor) -> Tensor:
    """A distribution over a codebook's atoms, or counts of them (a multiset), as one vector.

    Args:
        book: N atoms.
        pmf: (..., N), weights of the atoms.

    Returns:
        (..., D): the weighted sum of the atoms.
    """
    check_kind("pmf_to_vector", book, Codebook, "a Codebook")
    if not book.algebra.laws.linear:
        raise UnsupportedError(
            f"{book.algebra.name} pmf_to_vector",
            received="an algebra whose bundle is a vote",
            expected="one whose bundle keeps weights",
            hint=book.algebra.room_for_sums,
        )
    return book.superpose(pmf)


def vector_to_pmf(book: Codebook, vector: Tensor, *, normalize: bool = True) -> Tensor:
    """The weights of a superposition, read back: similarity less what chance gives, negative ones cut to 0.

    Exact where the atoms have no crosstalk but its mean (powers of a full-period base), else noisy by
    ``laws.crosstalk_std`` times the norm of the weights.

    Args:
        book: N atoms.
        vector: (..., D), a weighted sum of them.
        normalize: scale the weights to sum one; where none is left they are uniform. Without it they are counts.

    Returns:
        (..., N).
    """
    check_kind("vector_to_pmf", book, Codebook, "a Codebook")
    chance = 0.0 if _orthogonal(book) else book.algebra.laws.crosstalk_mean
    similarity = book.similarity(vector)
    scores = widened(similarity)
    if chance:
        # Each of N weights w_i adds w_i (1 - c) to its own atom and the total, times c, to every atom.
        total = scores.sum(-1, keepdim=True) / (1 + (len(book) - 1) * chance)
        scores = (scores - chance * total) / (1 - chance)
    weights = scores.clamp_min(0)
    if not normalize:
        return weights.to(similarity.dtype)
    mass = weights.sum(-1, keepdim=True)
    empty = mass <= torch.finfo(weights.dtype).tiny
    return torch.where(empty, 1.0 / len(book), weights / torch.where(empty, 1.0, mass)).to(similarity.dtype)


# ---------------------------------------------------------------------- scalars


def kernel_base(
    algebra: Algebra,
    kind: Kernel = "sinc",
    bandwidth: float = 1.0,
    *,
    generator: torch.Generator | None = None,
    seed: int | None = None,
) -> Tensor:
    """A base whose powers represent real numbers: similarity of two powers is a kernel of their distance.

    The kernel is the Fourier transform of the phases' distribution: uniform phases give a sinc, normal ones a Gaussian.

    Args:
        algebra: one whose vectors are made of phases: fhrr, hrr.
        kind: ``"sinc"`` or ``"gaussian"``, see :func:`kernel`.
        bandwidth: the larger, the narrower the kernel; at most 1, for powers read phases in (-pi, pi] (of Gaussian
            ones at bandwidth 1, 0.2 % lie outside). For a narrower kernel scale the values.
        generator: the source of randomness; or
        seed: of a new one.

    Returns:
        (D,), for ``algebra.power(base, values)``.
    """
    check_kind("kernel_base", algebra, Algebra, "an algebra", "see vsa.get")
    source = make_generator("kernel_base", generator, seed)
    if algebra.phases is None:
        raise UnsupportedError(
            f"{algebra.name} kernel_base",
            received="an algebra without phases",
            expected="one that declares phases, as fhrr and hrr do",
            hint="for block codes use power_base: its kernel is the Dirichlet kernel of length L",
        )
    _check_kernel(kind, bandwidth)
    width = algebra.phases
    if kind == "sinc":
        phases = math.pi * bandwidth * (2 * torch.rand(width, generator=source, device=source.device) - 1)
    else:
        phases = bandwidth * torch.randn(width, generator=source, device=source.device)
    return algebra.from_phases(phases)


def kernel(kind: Kernel, distance: Tensor, bandwidth: float = 1.0) -> Tensor:
    """The expected similarity of two powers at a distance: what :func:`kernel_base` approximates.

    Args:
        kind: ``"sinc"``: sin(pi b d) / (pi b d); ``"gaussian"``: exp(-(b d)^2 / 2).
        distance: (...), float.
        bandwidth: b.

    Returns:
        (...).
    """
    _check_kernel(kind, bandwidth)
    check_computable("kernel", distance)
    return torch.sinc(bandwidth * distance) if kind == "sinc" else torch.exp(-((bandwidth * distance) ** 2) / 2)


def level(
    algebra: Algebra,
    labels: Sequence[Hashable] | int,
    *,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    backend: Backend | None = None,
) -> Codebook:
    """Atoms for a scale: similarity falls linearly with distance, from 1 to that of unrelated atoms at the ends.

    Atom i takes each entry (each block, for block codes) from one random vector or from another, by a threshold drawn
    once for that entry: entries change one after the other along the scale, and never back.

    Args:
        algebra: whose vectors the atoms are.
        labels: N names, or N itself, at least 2.
        generator: the source of randomness; or
        seed: of a new one.
        backend: where the atoms are stored.

    Returns:
        The codebook; atoms i and j have similarity 1 - (1 - c) |i - j| / (N - 1), c the crosstalk mean.
    """
    check_kind("level", algebra, Algebra, "an algebra", "see vsa.get")
    source = make_generator("level", generator, seed)
    names = _names("level", labels, 2)
    place = torch.linspace(0, 1, len(names), device=source.device)
    return _mixed(algebra, names, lambda u: u < place[:, None], source, backend)


def circular(
    algebra: Algebra,
    labels: Sequence[Hashable] | int,
    *,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    backend: Backend | None = None,
) -> Codebook:
    """Atoms for a circle (hours, angles): similarity falls linearly with the distance around it.

    Args:
        algebra: whose vectors the atoms are.
        labels: N names, or N itself, at least 2.
        generator: the source of randomness; or
        seed: of a new one.
        backend: where the atoms are stored.

    Returns:
        The codebook; atoms at distance d around the circle have similarity 1 - (1 - c) 2 d / N, c the crosstalk mean.
    """
    check_kind("circular", algebra, Algebra, "an algebra", "see vsa.get")
    source = make_generator("circular", generator, seed)
    names = _names("circular", labels, 2)
    place = torch.arange(len(names), device=source.device) / len(names)
    return _mixed(algebra, names, lambda u: (place[:, None] - u).remainder(1) < 0.5, source, backend)


# ---------------------------------------------------------------------- helpers


def _mixed(
    algebra: Algebra,
    names: tuple[Hashable, ...],
    choose: Callable[[Tensor], Tensor],
    source: torch.Generator,
    backend: Backend | None,
) -> Codebook:
    """Atoms that take each entry from the second of two random vectors where ``choose`` says so, else the first."""
    dtype = algebra.compact_dtype
    first, last = algebra.random(2, generator=source, dtype=dtype)
    taken = choose(torch.rand(first.shape[-1], generator=source, device=source.device))
    atoms = torch.where(taken, last, first)
    if atoms.is_floating_point():
        atoms = algebra.normalize(atoms)
    return Codebook(algebra, atoms, labels=names, backend=backend, unrelated=False)


def _names(operation: str, labels: Sequence[Hashable] | int, least: int) -> tuple[Hashable, ...]:
    names = label_names(operation, labels)
    if len(names) < least:
        raise VSAError(operation, received=f"{len(names)} values", expected=f"at least {least}")
    return names


def _length(operation: str, items: Tensor) -> int:
    check_computable(operation, items)
    if items.ndim < 2 or not items.shape[-2]:
        raise ShapeError(operation, received=describe(items), expected="(..., N, D), N at least 1")
    return int(items.shape[-2])


def _shifted(algebra: Algebra, operation: str, items: Tensor, shifts: range) -> Tensor:
    """Item i permuted shifts[i] times."""
    order = algebra.laws.permutation_order
    if len(shifts) > order:
        raise VSAError(
            f"{algebra.name} {operation}",
            received=f"{len(shifts)} items",
            expected=f"at most {order}, after which permutations repeat",
            hint="use more blocks, or bind items with powers of a base",
        )
    check_broadcast(algebra.name, operation, (len(shifts),), (items.shape[-2],))
    return torch.stack([algebra.permute(items[..., i, :], shift) for i, shift in enumerate(shifts)], -2)


def _orthogonal(book: Codebook) -> bool:
    """Whether atoms of a block code share no position, so that not even chance makes them alike."""
    atoms, count = book.atoms, len(book)
    if book.algebra.block_length is None or atoms.dtype != torch.int64 or atoms.ndim != 2 or count > 4096:
        return False
    ordered = atoms.sort(0).values
    return not bool((ordered[1:] == ordered[:-1]).any())


def _check_kernel(kind: str, bandwidth: float) -> None:
    check_number("kernel", "bandwidth", bandwidth)
    if not isinstance(kind, str) or kind not in ("sinc", "gaussian"):
        raise VSAError("kernel", received=f"kind {kind!r}", expected="one of sinc, gaussian")
    if not 0 < bandwidth <= 1:
        raise VSAError(
            "kernel", received=f"bandwidth {bandwidth}", expected="above 0, at most 1", hint="scale the values instead"
        )

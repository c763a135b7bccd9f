"""Law suites for algebras and backends, for the project's own and for those that others write.

>>> import vsa
>>> results = vsa.check_algebra(vsa.get("gsbc", dim=64, blocks=4))
>>> {result.law: result.status for result in results}["associative"]
'held'
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch

from .algebra import Algebra
from .backends.base import Backend
from .codebook import Codebook
from .errors import UnknownNameError, UnsupportedError
from .law_suite import ALGEBRA_LAWS, Case, LawError, Skipped, difference
from .validation import default_dtype, real_dtype

__all__ = ["ALGEBRA_LAWS", "LawError", "LawResult", "check_algebra", "check_backend", "check_law"]


@dataclass(frozen=True)
class LawResult:
    """The outcome of one law.

    Args:
        law: its name.
        status: whether it held or said nothing.
        detail: the largest error, or the reason of skipping.
    """

    law: str
    status: Literal["held", "skipped"]
    detail: str


def check_law(algebra: Algebra, law: str, *, seed: int = 0) -> LawResult:
    """Hold an algebra to one law.

    Args:
        algebra: the algebra, small (D of some hundred), for gradients are checked numerically.
        law: a key of ``ALGEBRA_LAWS``.
        seed: of the random vectors.

    Returns:
        The outcome.

    Raises:
        LawError: the law is broken.
    """
    if law not in ALGEBRA_LAWS:
        raise UnknownNameError("check_law", name=law, known=ALGEBRA_LAWS, kind="law")
    try:
        error = ALGEBRA_LAWS[law](Case(algebra, torch.Generator().manual_seed(seed)))
    except Skipped as reason:
        return LawResult(law, "skipped", str(reason))
    except UnsupportedError as missing:
        raise LawError(
            f"{algebra}, law {law}", received=f"no operation behind {missing.operation!r}",
            expected="each that is missing listed in laws.lacks, with the reason",
        ) from missing  # fmt: skip
    except LawError as broken:
        raise LawError(f"{algebra}, law {law}", received=broken.received, expected=broken.expected) from broken
    return LawResult(law, "held", f"largest error {error:.2g}")


def check_algebra(algebra: Algebra, *, seed: int = 0) -> tuple[LawResult, ...]:
    """Hold an algebra to every law it claims.

    Args:
        algebra: the algebra.
        seed: of the random vectors.

    Returns:
        One outcome per law; a skipped one says why.

    Raises:
        LawError: a law is broken.
    """
    return tuple(check_law(algebra, law, seed=seed) for law in ALGEBRA_LAWS)


def check_backend(
    backend: Backend, algebra: Algebra, *, seed: int = 0, tolerance: float | None = 1e-5
) -> tuple[LawResult, ...]:
    """Hold a backend to the seam: every codebook read equals the dense formula.

    Args:
        backend: the backend.
        algebra: whose codebooks it stores, in each of the algebra's forms, plain and stacked.
        seed: of atoms and arguments.
        tolerance: of the error's norm over the output's; None for a noisy backend, where only shapes are compared.

    Returns:
        One outcome per read and form.

    Raises:
        LawError: a read is wrong.
    """
    generator = torch.Generator().manual_seed(seed)
    results = []
    for form in algebra.forms:
        dtype = default_dtype(form)
        # Few atoms, a stack, and more atoms than dimensions: a backend may read each in another way.
        for shape in ((11,), (2, 11), (algebra.embedding.width + 1,)):
            book = Codebook(algebra, algebra.random(*shape, generator=generator, dtype=dtype), backend=backend)
            for lead in ((), (3,), (40,), (2, 0)):
                results += _check_reads(book, shape[:-1], lead, generator, tolerance)
    return tuple(results)


def _query_dtype(algebra: Algebra, embedded: torch.dtype) -> torch.dtype:
    """The canonical form's dtype that goes with the embedding's; any where vectors are no floats."""
    dtypes = algebra.forms[0].dtypes
    return next((d for d in dtypes if real_dtype(d) == embedded), dtypes[0])


def _check_reads(
    book: Codebook, stack: tuple[int, ...], lead: tuple[int, ...], generator: torch.Generator, tolerance: float | None
) -> list[LawResult]:
    algebra, atoms = book.algebra, book.algebra.embed(book.atoms)
    x = algebra.random(*lead, *stack, generator=generator, dtype=_query_dtype(algebra, atoms.dtype))
    w = torch.rand(*lead, *stack, len(book), generator=generator, dtype=atoms.dtype)
    e = algebra.embedding
    scores = (algebra.embed(x).unsqueeze(-2) * atoms).sum(-1) * e.scale + e.offset
    pairs = {
        "similarity": (book.similarity(x), scores),
        "superpose": (book.superpose(w), algebra.unembed((w.unsqueeze(-2) @ atoms).squeeze(-2))),
        "topk": (book.topk(x, 4)[0], scores.topk(4).values),
    }
    if book.stored.block_length is not None:
        products = (algebra.embed(x).unsqueeze(-2) * atoms).unflatten(-1, (-1, book.stored.block_length)).sum(-1)
        pairs["block_similarity"] = (book.block_similarity(x), products)
        pairs["linf_similarity"] = (book.linf_similarity(x), products.amin(-1))
    results = []
    for read, (left, right) in pairs.items():
        name = f"{read} of {book.stored.kind} {tuple(book.atoms.shape)} at {tuple(x.shape)}"
        error = math.inf
        if left.shape == right.shape:
            size = difference(right, torch.zeros_like(right)).norm().clamp_min(1e-12)
            error = float(difference(left, right).norm() / size)
        if left.shape != right.shape or (tolerance is not None and error > tolerance):
            raise LawError(
                f"{book.backend.name} {name}",
                received=f"shape {tuple(left.shape)}, relative error {error:.3g}",
                expected=f"shape {tuple(right.shape)}, relative error up to {tolerance}",
            )
        results.append(LawResult(name, "held", f"relative error {error:.2g}"))
    return results

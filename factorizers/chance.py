"""What is known of chance for given atoms: what the algebra declares is true of the vectors that it draws."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from vsa import UnsupportedError

if TYPE_CHECKING:
    from .problem import Problem

__all__ = ["Spread", "flattened", "spread"]

Spread = Literal["normal", "flattened", "unknown"]

_ROUNDING = 1e-3  # by which an entry may be off that was computed
_LOOKED_AT = 512  # atoms of a codebook, at least, in whose mean a lean is looked for
_SHIFT = 0.5  # standard deviations by which chance may be shifted


def spread(problem: Problem) -> Spread:
    """What is known of the cosine of unrelated products of these atoms: ``laws.products``, judged by their values.

    Normal is claimed for vectors that the algebra could have drawn, whose entries have magnitude one; others are as
    good once flattened. Where all atoms lean to one side, so do unrelated products, and nothing is known.

    Args:
        problem: the codebooks.
    """
    known: Spread = problem.algebra.laws.products
    if known == "unknown" or problem.block_length is not None:
        return known
    if known == "normal" and not problem.nearly_signs and not all(_drawn(problem, b.atoms) for b in problem.books):
        known = "flattened"
    return "unknown" if _leans(problem, known == "flattened") else known


def flattened(problem: Problem, x: Tensor) -> Tensor:
    """Magnitudes taken away in the canonical form, so that products of atoms spread evenly by chance.

    Args:
        problem: the codebooks.
        x: (..., D') in any form.

    Returns:
        (..., E).
    """
    algebra = problem.algebra
    embedded = algebra.embed(x)
    if algebra.laws.signs:
        return torch.where(embedded < 0, -1.0, 1.0).to(embedded)
    return algebra.embed(algebra.flatten(algebra.unembed(embedded)))


def _drawn(problem: Problem, atoms: Tensor) -> bool:
    """Whether the algebra could have drawn these vectors, but for rounding."""
    if not (atoms.is_floating_point() or atoms.is_complex()):
        return True
    try:
        off = flattened(problem, atoms) - problem.algebra.embed(atoms)
    except UnsupportedError:  # an algebra whose author did not say what a flat vector is: taken at its word
        return True
    return bool((off.abs() <= max(_ROUNDING, 4 * torch.finfo(off.dtype).eps)).all())


def _leans(problem: Problem, flat: bool) -> bool:
    """Whether unrelated products of such atoms would resemble each other, for all lean to the identity."""
    algebra = problem.algebra
    if algebra.laws.reason("identity") is not None:
        return False
    width = algebra.embedding.width
    identity = algebra.identity(dtype=problem.books[0].atoms.dtype, device=problem.device)
    one = algebra.embed(identity).float()
    lean = 1.0
    for factor, book in enumerate(problem.books):
        atoms = book.atoms[:-1] if factor in problem.optional and len(book) > 1 else book.atoms
        atoms = atoms[:: max(1, len(atoms) // _LOOKED_AT)]
        mean = one.new_zeros(width)
        for part in atoms.split(max(1, 2**22 // width)):
            made = (flattened(problem, part) if flat else algebra.embed(part)).float()
            if atoms.is_floating_point() or atoms.is_complex():
                made = made / made.square().sum(-1, keepdim=True).sqrt().clamp_min(torch.finfo(made.dtype).tiny)
            mean += made.sum(0)
        length = 1.0 if atoms.is_floating_point() or atoms.is_complex() else math.sqrt(problem.perfect)
        lean *= abs(float(mean @ one)) / (len(atoms) * length * float(one.square().sum().sqrt()))
        if lean <= 5 / math.sqrt(width):
            return False
    # An unrelated product leans as much: similarities are shifted by lean^2, of a standard deviation 1 / sqrt(E).
    return lean**2 > _SHIFT / math.sqrt(width)

"""Damage to queries and codebooks, as pure functions with an explicit generator: how much does a factorizer stand?"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

import vsa
from vsa import Algebra, Codebook, DtypeError, UnknownNameError, UnsupportedError, VSAError

__all__ = ["DAMAGES", "corrupt_blocks", "damage", "flip_bits", "gaussian_noise", "missing_blocks", "quantize_atoms"]


def flip_bits(algebra: Algebra, x: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Flip entries of vectors of signs or bits, each with the same probability.

    Args:
        algebra: one that declares ``laws.signs``: map, bsc.
        x: (..., D), signs or bits.
        share: the probability, from 0 to 1.
        generator: the source of randomness.

    Returns:
        (..., D).
    """
    _share("flip_bits", share)
    if not algebra.laws.signs:
        raise UnsupportedError(
            "flip_bits", received=f"vectors of {algebra.name}", expected="signs or bits (laws.signs)"
        )
    embedded = algebra.embed(x)
    drawn = _uniform(embedded.shape, generator, x.device) < share
    mask = algebra.unembed(torch.where(drawn, -1.0, 1.0).to(embedded))
    alike = algebra.mixes_forms or x.dtype == mask.dtype
    flipped = algebra.bind(x, mask) if alike else algebra.unembed(embedded * algebra.embed(mask))
    return flipped.to(x.dtype) if flipped.shape == x.shape else flipped


def gaussian_noise(algebra: Algebra, x: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Add normal noise to every entry of the real embedding.

    Args:
        algebra: of the vectors; where bundling is a vote (``laws.linear`` is false) they cannot hold noise.
        x: (..., D).
        level: its standard deviation over the root mean square of the entries.
        generator: the source of randomness.

    Returns:
        (..., D) in the canonical form.
    """
    if not 0 <= level < math.inf:
        raise VSAError("gaussian_noise", received=level, expected="a level that is finite and not negative")
    if not algebra.laws.linear:
        raise UnsupportedError(
            "gaussian_noise",
            received=f"vectors of {algebra.name}",
            expected="vectors of real or complex numbers (laws.linear)",
        )
    embedded = algebra.embed(x)
    rms = embedded.square().mean(-1, keepdim=True).sqrt()
    noise = torch.randn(embedded.shape, generator=generator, device=generator.device).to(embedded)
    return algebra.unembed(embedded + level * rms * noise)


def corrupt_blocks(algebra: Algebra, x: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Replace blocks by random ones, each with the same probability.

    Args:
        algebra: one that declares ``block_length``: gsbc, sbc.
        x: (..., D) or (..., K) positions.
        share: the probability, from 0 to 1.
        generator: the source of randomness.

    Returns:
        The same form.
    """
    _share("corrupt_blocks", share)
    blocks, length = _geometry("corrupt_blocks", algebra)
    hit = _uniform((*x.shape[:-1], blocks), generator, x.device) < share
    places = torch.randint(length, hit.shape, generator=generator, device=generator.device).to(x.device)
    if x.dtype == torch.int64:
        return torch.where(hit, places, x)
    random = torch.nn.functional.one_hot(places, length).to(x.dtype)
    return torch.where(hit.unsqueeze(-1), random, x.unflatten(-1, (blocks, length))).flatten(-2)


def missing_blocks(algebra: Algebra, x: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Make blocks uniform, so that they say nothing, each with the same probability.

    Args:
        algebra: one of blocks that hold sums: gsbc.
        x: (..., D) or (..., K) positions.
        share: the probability, from 0 to 1.
        generator: the source of randomness.

    Returns:
        (..., D), dense.
    """
    _share("missing_blocks", share)
    blocks, length = _geometry("missing_blocks", algebra)
    if not algebra.laws.linear:
        raise UnsupportedError(
            "missing_blocks",
            received=f"vectors of {algebra.name}",
            expected="blocks that hold sums, as those of gsbc do (laws.linear)",
        )
    hit = _uniform((*x.shape[:-1], blocks), generator, x.device) < share
    split = algebra.embed(x).unflatten(-1, (blocks, length))
    return torch.where(hit.unsqueeze(-1), torch.full_like(split, 1 / length), split).flatten(-2)


def quantize_atoms(book: Codebook, bits: int) -> Codebook:
    """A codebook whose real atoms are rounded to so many bits.

    Args:
        book: of an algebra of real or complex numbers.
        bits: at least 1; 2^bits levels from minus to plus the largest magnitude of the book.

    Returns:
        A codebook on the same backend.
    """
    vsa.validation.check_count("quantize_atoms", "bits", bits)
    embedded = book.algebra.embed(book.atoms)
    if not (book.atoms.is_floating_point() or book.atoms.is_complex()):
        raise DtypeError("quantize_atoms", received=f"atoms of {book.atoms.dtype}", expected="real or complex numbers")
    largest = embedded.abs().max()
    step = 2 * largest / (2**bits - 1)
    rounded = ((embedded + largest) / step).round() * step - largest
    atoms = book.algebra.unembed(rounded).to(book.atoms.dtype)
    return Codebook(
        book.algebra,
        atoms,
        labels=book.labels,
        backend=book.backend,
        seed=vsa.child_seed(book.seed, "bits", bits),
        unrelated=False,
    )


Damage = Callable[[Algebra, Tensor, float, torch.Generator], Tensor]
DAMAGES: dict[str, Damage] = {
    "flips": flip_bits,
    "gaussian": gaussian_noise,
    "blocks": corrupt_blocks,
    "missing": missing_blocks,
}


def damage(kind: str, algebra: Algebra, x: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Damage by name.

    Args:
        kind: a key of ``DAMAGES``.
        algebra: of the vectors.
        x: (..., D).
        level: as the function of that name says; 0 leaves the vectors as they are.
        generator: the source of randomness.

    Returns:
        (..., D).
    """
    if kind not in DAMAGES:
        raise UnknownNameError("damage", name=kind, known=DAMAGES, kind="damage")
    return DAMAGES[kind](algebra, x, level, generator) if level else x


def _share(operation: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise VSAError(operation, received=share, expected="a probability from 0 to 1")


def _geometry(operation: str, algebra: Algebra) -> tuple[int, int]:
    length = algebra.block_length
    if length is None:
        raise UnsupportedError(operation, received=f"vectors of {algebra.name}", expected="block codes (block_length)")
    return algebra.embedding.width // length, length


def _uniform(shape: tuple[int, ...], generator: torch.Generator, device: torch.device) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device).to(device)

"""The block-code factorizer written from its formulas, with the (B, N, K, L) tensor of its L-infinity similarity.

It is what the fast form is held against, in step-by-step tests and in time; nothing imports it but these.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["mean_start", "naive_step", "similarity"]


def mean_start(atoms: list[Tensor], batch: int) -> list[Tensor]:
    """The means of the codebooks.

    Args:
        atoms: (N, K, L) of each factor, one-hot blocks.
        batch: B.

    Returns:
        (B, K, L) of each factor.
    """
    return [book.mean(0).expand(batch, *book.shape[1:]).clone() for book in atoms]


def similarity(vectors: Tensor, atoms: Tensor) -> Tensor:
    """1 - max |vector - atom|.

    Args:
        vectors: (B, K, L).
        atoms: (N, K, L).

    Returns:
        (B, N).
    """
    return 1 - (vectors.unsqueeze(1) - atoms).abs().amax((-2, -1))


def naive_step(
    query: Tensor,
    estimates: list[Tensor],
    atoms: list[Tensor],
    threshold: float,
    converge: float,
    subsets: list[Tensor] | None,
) -> tuple[Tensor, Tensor]:
    """One sequential iteration, in place.

    Args:
        query: (B, K, L), blocks that sum to one.
        estimates: (B, K, L) of each factor; overwritten.
        atoms: (N, K, L) of each factor.
        threshold: T.
        converge: similarity from which the best atom is kept alone.
        subsets: (B, N) of each factor: ones at the random atoms that a row takes where it is lost; None: all atoms are
            kept.

    Returns:
        Largest similarities (B, F) and the atoms that have them (B, F).
    """
    best, at = [], []
    spectrum = torch.fft.rfft(query)
    for factor, book in enumerate(atoms):
        unbound = spectrum
        for other, estimate in enumerate(estimates):
            if other != factor:
                unbound = unbound * torch.fft.rfft(estimate).conj()
        values = similarity(torch.fft.irfft(unbound, n=query.shape[-1]), book)
        largest, where = values.max(-1)
        kept = torch.where(values >= threshold, values, torch.zeros_like(values))
        weights = torch.where((largest < threshold).unsqueeze(-1), values, kept)
        if subsets is not None:
            weights = torch.where((largest <= threshold).unsqueeze(-1), subsets[factor], weights)
        alone = torch.nn.functional.one_hot(where, book.shape[0]).to(values.dtype)
        weights = torch.where((largest >= converge).unsqueeze(-1), alone, weights)
        superposed = torch.einsum("bn,nkl->bkl", weights, book)
        estimates[factor] = superposed / superposed.sum(-1, keepdim=True)
        best.append(largest)
        at.append(where)
    return torch.stack(best, -1), torch.stack(at, -1)

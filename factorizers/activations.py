"""Activations: from similarities to the weights of the next superposition. Pure functions, except those that end in _.

Raw similarities are inner products, integers where the backend counts exactly; thresholds are in the same units.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["hard_threshold", "int8_shift", "int8_threshold_", "random_subset"]


def hard_threshold(similarities: Tensor, threshold: float) -> Tensor:
    """Zero what is below the threshold.

    Args:
        similarities: (..., N).
        threshold: in the same units.

    Returns:
        (..., N).

    Reference:
        Langenegger et al., "In-memory factorization of holographic perceptual representations", Nature
        Nanotechnology 2023.
    """
    return torch.where(similarities >= threshold, similarities, torch.zeros_like(similarities))


def int8_threshold_(similarities: Tensor, threshold: int, shift: int) -> Tensor:
    """Zero what is below the threshold, and round the rest down to int8.

    Args:
        similarities: (..., N), int32; it is overwritten.
        threshold: at least 1.
        shift: bits that are dropped, so that the largest similarity fits.

    Returns:
        (..., N), int8.
    """
    kept = torch.threshold_(similarities, threshold - 1, 0)
    return kept.bitwise_right_shift_(shift).to(torch.int8)


def int8_shift(largest: float) -> int:
    """The bits to drop so that values up to ``largest`` fit an int8.

    Args:
        largest: not negative.
    """
    shift = 0
    while largest / 2**shift >= 128:
        shift += 1
    return shift


def random_subset(rows: int, count: int, size: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """Distinct random atoms for each row.

    Args:
        rows: R.
        count: N, atoms to choose from.
        size: how many, at most N.
        generator: the source of randomness.
        device: of the result.

    Returns:
        (R, size), int64.
    """
    keys = torch.rand(rows, count, generator=generator, device=generator.device)
    return keys.topk(size, dim=-1, sorted=False).indices.to(device)

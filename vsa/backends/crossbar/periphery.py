"""Converters and their noise, in units of one device at its whole range under the largest input."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["bounded", "input_scale", "quantize"]

_DOUBLINGS = 10  # at most, in bound management


def quantize(x: Tensor, bits: int | None) -> Tensor:
    """Round to the levels of a converter from -1 to 1, symmetric about zero; what lies outside saturates.

    Args:
        x: (...).
        bits: resolution, sign included; None: not rounded, and not clipped.
    """
    if bits is None:
        return x
    steps = 2 ** (bits - 1) - 1
    return (x * steps).round_().clamp_(-steps, steps).div_(steps)


def input_scale(x: Tensor, limit: float | None) -> Tensor:
    """What the largest input stands for.

    Args:
        x: (..., I).
        limit: fixed; None: each vector's own largest entry.

    Returns:
        (..., 1), positive.
    """
    if limit is not None:
        return torch.full_like(x[..., :1], limit)
    largest = x.abs().amax(-1, keepdim=True)
    return torch.where(largest > 0, largest, torch.ones_like(largest))


def bounded(peak: Tensor, bound: Tensor | float, managed: bool) -> Tensor:
    """By how much the inputs are turned down so that no output exceeds the converter's range.

    Args:
        peak: (..., 1), the largest output of a vector.
        bound: the range.
        managed: whether the read is repeated at half, a quarter, ... of the input (bound management).

    Returns:
        (..., 1): 1 or a power of two by which the result is to be multiplied.
    """
    if not managed:
        return torch.ones_like(peak)
    return torch.exp2((peak / bound).clamp_min(1e-9).log2().ceil().clamp(0, _DOUBLINGS))

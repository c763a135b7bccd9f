"""Converters and their noise, in units of one device at its whole range under the largest input."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["input_scale", "quantile_of", "quantize"]


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


def quantile_of(x: Tensor, quantile: float) -> Tensor:
    """The least of the numbers that so large a share of them does not exceed; all of them are looked at.

    Args:
        x: (...), of any size.
        quantile: the share.

    Returns:
        ().
    """
    flat = x.flatten()
    return flat.kthvalue(min(max(math.ceil(quantile * flat.numel()), 1), flat.numel())).values

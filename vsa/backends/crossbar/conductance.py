"""Weights to conductances and back: pairs or single devices, scales, slices of bits, wires.

A normalised weight of 1 is the whole range of a device: g_max - g_min.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .devices import Device

__all__ = ["MAPPINGS", "SCALINGS", "Scales", "scales", "slice_weights", "slice_shares", "targets", "wire_share"]

MAPPINGS = ("differential", "offset")
SCALINGS = ("array", "tile", "column")


@dataclass(frozen=True)
class Scales:
    """What a normalised weight stands for: ``tile[t] * column[o]``.

    Args:
        tile: (G, T, 1, 1), by tiles of inputs.
        column: (G, 1, 1, O), by outputs.
    """

    tile: Tensor
    column: Tensor


def scales(weights: Tensor, kind: str) -> Scales:
    """The largest weights, which get the whole range of conductance.

    Args:
        weights: (G, T, e, O), padded with zeros.
        kind: "array", "tile" (each tile of inputs by itself) or "column" (each output by itself).

    Returns:
        Scales; one where all weights are zero.
    """
    size = weights.abs()
    one_tile, one_column = torch.ones_like(size[:, :, :1, :1]), torch.ones_like(size[:, :1, :1, :])
    if kind == "column":
        column = size.amax((1, 2), keepdim=True)
        return Scales(one_tile, torch.where(column > 0, column, one_column))
    tile = size.amax((2, 3), keepdim=True)
    if kind == "array":
        tile = tile.amax(1, keepdim=True).expand_as(one_tile)
    return Scales(torch.where(tile > 0, tile, one_tile), one_column)


def slice_shares(slices: int, bits: int | None) -> tuple[float, ...]:
    """What each slice, read as a whole, adds to the weight; the most significant first.

    Args:
        slices: how many arrays share a weight.
        bits: of each slice.
    """
    if bits is None:
        return (1.0,)
    base, steps = 2**bits, 2 ** (bits * slices) - 1
    return tuple((base - 1) * base ** (slices - 1 - place) / steps for place in range(slices))


def slice_weights(normalised: Tensor, slices: int, bits: int | None) -> Tensor:
    """Digits of the weights.

    Args:
        normalised: (...) from -1 to 1.
        slices: how many arrays share a weight.
        bits: of each slice; None: analog, with a single slice.

    Returns:
        (slices, ...) from -1 to 1; times :func:`slice_shares` they add up to the weights, rounded.
    """
    if bits is None:
        return normalised.unsqueeze(0)
    base = 2**bits
    left = (normalised.abs().double() * (base**slices - 1)).round().long()
    digits = []
    for place in range(slices):
        unit = base ** (slices - 1 - place)
        digits.append((left // unit).to(normalised) / (base - 1) * normalised.sign())
        left = left % unit
    return torch.stack(digits)


def targets(normalised: Tensor, mapping: str, device: Device) -> Tensor:
    """Conductances to program.

    Args:
        normalised: (...) from -1 to 1.
        mapping: "differential": a pair of devices, positive and negative; "offset": one device, zero in mid-range.
        device: whose range.

    Returns:
        (polarities, ...) in uS.
    """
    span = device.g_max_us - device.g_min_us
    if mapping == "differential":
        parts = torch.stack([normalised.clamp_min(0), (-normalised).clamp_min(0)])
        return device.g_min_us + span * parts
    return device.g_min_us + span * (normalised.unsqueeze(0) + 1) / 2


def wire_share(g_us: Tensor, wire_ohm: float) -> Tensor:
    """The share of its conductance that a device keeps behind a resistive output wire.

    One wire segment lies between neighbouring devices of a column and between the last one and the virtual ground. The
    network is solved exactly; it is linear in the inputs, so that a device's share does not depend on them.
    Not modelled: the resistance of the input wires, and the load of the drivers.

    Args:
        g_us: (..., e, O), the devices of a tile, in uS.
        wire_ohm: resistance of a segment.

    Returns:
        (..., e, O), from 0 to 1; 1 nearest to the ground for a wire without resistance.
    """
    # By reciprocity a device's current into the ground equals the voltage at its node with the ground driven by 1 V:
    # a ladder of series resistances and shunt conductances, whose voltages fall away from the ground.
    load = g_us * 1e-6 * wire_ohm
    length = g_us.shape[-2]
    ratio = []  # voltage of a node over that of its neighbour nearer to the ground
    beyond = torch.ones_like(load[..., 0, :])
    for place in range(length):  # from the far end to the ground
        own = load[..., place, :]
        # Node equation: (v_next - v) + (v_far - v) = load v; the far end has no further neighbour.
        stay = 1 + own if place == 0 else 2 + own - beyond
        beyond = 1 / stay
        ratio.append(beyond)
    share, voltage = [], torch.ones_like(beyond)
    for place in reversed(range(length)):
        voltage = voltage * ratio[place]
        share.append(voltage)
    return torch.stack(share[::-1], dim=-2)

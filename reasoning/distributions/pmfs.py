"""Probability mass functions: how they are made less sure, and what of a panel follows from its slots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from datasets.attributes import ATTRIBUTES
from vsa.errors import SettingsError

__all__ = [
    "check_softening",
    "count_pmf",
    "lowest_value",
    "panel_pmf",
    "share_pmf",
    "soften",
    "soften_states",
    "temperature_of",
    "within",
]

_TINY = 1e-12
_LEAST = 1e-30  # a probability of zero, where a logarithm is taken


def lowest_value(name: str, width: int) -> int:
    """The smallest magnitude of an attribute, below which its axis has no mass.

    Args:
        name: of the attribute.
        width: V, the length of its axis.

    Returns:
        1 for Number, and for Type and Size where the axis is that of RAVEN's range; else 0.
    """
    if name == "Number":
        return 1
    known = ATTRIBUTES.get(name)
    return known.low + known.offset if known and width == known.high + known.offset + 1 else 0


def check_softening(temperature: float | Mapping[Any, float], floor: float) -> None:
    """Refuse temperatures and floors that make no PMFs.

    Args:
        temperature: one, or several by attribute.
        floor: share of the even distribution.

    Raises:
        SettingsError: a temperature that is not positive and finite, or a floor outside [0, 1].
    """
    for one in temperature.values() if isinstance(temperature, Mapping) else (temperature,):
        if not 0 < one < float("inf"):
            raise SettingsError("soften PMFs", received=f"temperature={one}", expected="a positive number")
    if not 0 <= floor <= 1:
        raise SettingsError("soften PMFs", received=f"floor={floor}", expected="between 0 and 1")


def temperature_of(key: tuple[int, str], temperature: float | Mapping[Any, float]) -> float:
    """One attribute's temperature: by its key, else by its name, else 1."""
    if isinstance(temperature, Mapping):
        return float(temperature.get(key, temperature.get(key[1], 1.0)))
    return float(temperature)


def soften(pmf: Tensor, temperature: float, floor: float, lowest: int = 0, highest: int | None = None) -> Tensor:
    """Less sure PMFs; above one a temperature flattens, below it sharpens.

    Args:
        pmf: (..., V). Mass that is missing stays missing.
        temperature: T: probabilities are taken to the power 1 / T.
        floor: f: a share f of the mass is spread evenly.
        lowest: the first value that may have mass.
        highest: the last one; None: that of the axis.

    Returns:
        (..., V).
    """
    if temperature == 1 and floor == 0:
        return pmf
    above = 0 if highest is None else pmf.shape[-1] - 1 - highest
    values = pmf[..., lowest : pmf.shape[-1] - above]
    mass = values.sum(-1, keepdim=True)
    if temperature != 1:
        values = (values.clamp_min(_LEAST).log() / temperature).softmax(-1) * mass
    values = (1 - floor) * values + floor * mass / values.shape[-1]
    return functional.pad(values, (lowest, above))


def soften_states(occupied: Tensor, temperature: float, floor: float) -> Tensor:
    """As :func:`soften`, of occupancies (..., S), each a PMF of two values."""
    if temperature == 1 and floor == 0:
        return occupied
    return soften(torch.stack([1 - occupied, occupied], dim=-1), temperature, floor)[..., 1]


def within(pmf: Tensor, lowest: int, highest: int) -> Tensor:
    """What a PMF says of those who know that its value lies in a range.

    Args:
        pmf: (..., V).
        lowest: the first value that may have mass.
        highest: the last.

    Returns:
        (..., V), nothing outside, the same mass as before inside; spread evenly where none was there.
    """
    above = pmf.shape[-1] - 1 - highest
    if lowest == 0 and above == 0:
        return pmf
    inside = pmf[..., lowest : highest + 1]
    there, mass = inside.sum(-1, keepdim=True), pmf.sum(-1, keepdim=True)
    even = torch.full_like(inside, 1 / inside.shape[-1])
    inside = torch.where(there > _TINY, inside / there.clamp_min(_TINY), even) * mass
    return functional.pad(inside, (lowest, above))


def panel_pmf(entities: Tensor, occupied: Tensor) -> Tensor:
    """The probability that all entities of a panel have one value.

    The sum over the non-empty sets of slots of the product over their slots is itself a product over slots.

    Args:
        entities: (..., S, V), the PMF of each slot's entity.
        occupied: (..., S).

    Returns:
        (..., V); what is missing to one is the probability that entities differ.
    """
    there = occupied.unsqueeze(-1)
    empty = (1 - occupied).prod(-1, keepdim=True)
    alike = (1 - there + there * entities).prod(-2)
    return ((alike - empty) / (1 - empty).clamp_min(_TINY)).clamp_min(0)


def share_pmf(entities: Tensor, occupied: Tensor) -> Tensor:
    """The PMF of an entity drawn at random: the bundle of the entities.

    Args:
        entities: (..., S, V).
        occupied: (..., S).

    Returns:
        (..., V).
    """
    bundle = (occupied.unsqueeze(-2) @ entities).squeeze(-2)
    return bundle / occupied.sum(-1, keepdim=True).clamp_min(_TINY)


def count_pmf(occupied: Tensor, width: int) -> Tensor:
    """The PMF of the number of occupied slots, none being empty of all.

    Args:
        occupied: (..., S).
        width: V, more than S.

    Returns:
        (..., V), index n is n entities.
    """
    counts = functional.pad(torch.ones_like(occupied[..., :1]), (0, width - 1))
    for chance in occupied.unbind(-1):  # one more slot each time
        here = chance.unsqueeze(-1)
        counts = counts * (1 - here) + functional.pad(counts, (1, 0))[..., :-1] * here
    some = counts[..., 1:]
    return functional.pad(some / some.sum(-1, keepdim=True).clamp_min(_TINY), (1, 0))

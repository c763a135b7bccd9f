"""What NVSA sees of a panel: one PMF per attribute, worked out of the entities in its slots."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from reasoning.scene import Scene
from vsa.errors import ShapeError

__all__ = ["Panels", "count_pmf", "divergence", "look", "panel_pmf", "share_pmf"]

_TINY = 1e-12


@dataclass(frozen=True)
class Panels:
    """The panels of B puzzles.

    Attributes:
        pmfs: (B, A, P, V) of the A attributes with values, padded to the widest; missing mass: the entities differ.
        widths: how many entries each attribute has.
        shares: (B, A, P, V), how often each value occurs among the entities of a panel; None where they are not known.
        sets: (B, P, S) occupancies, one for each attribute that is a set.
        pairs: (number, position) of each component that has both, as indices into the scene's keys.
        gridded: which attributes with values belong to a component with several slots, Number aside.
    """

    pmfs: Tensor | None
    widths: tuple[int, ...]
    shares: Tensor | None
    sets: tuple[Tensor, ...]
    pairs: tuple[tuple[int, int], ...]
    gridded: tuple[bool, ...]


def look(scene: Scene, shares: bool) -> Panels:
    """The panels of a scene.

    Args:
        scene: B puzzles.
        shares: whether the shares are wanted too.

    Returns:
        The panels.

    Raises:
        ShapeError: entities and slots of a component do not fit together.
    """
    keys = scene.keys
    positions = {key.component: key for key in scene.sets}
    numbers = {key.component: key for key in scene.pmfs if key.name == "Number" and key.component in positions}
    pairs = tuple((keys.index(key), keys.index(positions[component])) for component, key in numbers.items())
    gridded = tuple(key.component in positions and key.name != "Number" for key in scene.pmfs)
    widths = tuple(pmf.shape[-1] for pmf in scene.pmfs.values())
    if not scene.pmfs:
        return Panels(None, widths, None, tuple(scene.sets.values()), pairs, gridded)
    seen, parts = [], []
    for key, pmf in scene.pmfs.items():
        entities = scene.entities.get(key)
        if entities is None or key.component not in positions:
            seen.append(pmf)
            parts.append(pmf)
            continue
        occupied = scene.sets[positions[key.component]]
        if entities.shape[2:] != (occupied.shape[-1], pmf.shape[-1]):
            raise ShapeError(
                f"Scene attribute {key}",
                received=f"entities of shape {tuple(entities.shape)}",
                expected=f"(B, {scene.panels}, {occupied.shape[-1]}, {pmf.shape[-1]}), as slots and values are",
            )
        seen.append(panel_pmf(entities, occupied))
        parts.append(share_pmf(entities, occupied) if shares else pmf)
    known = shares and bool(scene.entities)
    return Panels(_stack(seen), widths, _stack(parts) if known else None, tuple(scene.sets.values()), pairs, gridded)


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


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """Jensen-Shannon divergence of PMFs (..., V), in nats; at most log 2."""
    p, q = p.clamp_min(_TINY), q.clamp_min(_TINY)
    middle = (p + q) / 2
    apart = (p * p.log() + q * q.log()) / 2 - middle * middle.log()
    return apart.sum(-1).clamp_min(0)


def _stack(parts: list[Tensor]) -> Tensor:
    widest = max(part.shape[-1] for part in parts)
    return torch.stack([functional.pad(part, (0, widest - part.shape[-1])) for part in parts], dim=1)

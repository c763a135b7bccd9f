"""What NVSA sees of a panel: one PMF per attribute, worked out of the entities in its slots."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from reasoning.distributions.pmfs import panel_pmf, share_pmf
from reasoning.scene import Scene
from reasoning.sparse import PMF, SparsePMF, dense, stack

__all__ = ["Panels", "divergence", "look", "unlikelihood"]

_TINY = 1e-12
_CHANCE = 1e-3  # that what is seen is wrong altogether


@dataclass(frozen=True)
class Panels:
    """The panels of B puzzles.

    Attributes:
        context: (B, A, 3 n - 1, V) PMFs of the A attributes with values, padded to the widest; missing mass: the
            entities differ. Sparse where all of them are; None where there are no such attributes.
        candidates: (B, A, 8, V), likewise; always a tensor.
        widths: how many entries each attribute has.
        shares: (B, A, P, V), how often each value occurs among the entities of a panel; None where they are not known.
        sets: (B, P, S) occupancies, one for each attribute that is a set.
        pairs: (number, position) of each component that has both, as indices into the scene's keys.
        gridded: which attributes with values belong to a component with several slots, Number aside.
    """

    context: PMF | None
    candidates: Tensor | None
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
    """
    keys = scene.keys
    positions = {key.component: key for key in scene.sets}
    numbers = {key.component: key for key in scene.pmfs if key.name == "Number" and key.component in positions}
    pairs = tuple((keys.index(key), keys.index(positions[component])) for component, key in numbers.items())
    gridded = tuple(key.component in positions and key.name != "Number" for key in scene.pmfs)
    widths = tuple(pmf.shape[-1] for pmf in scene.pmfs.values())
    if not scene.pmfs:
        return Panels(None, None, widths, None, tuple(scene.sets.values()), pairs, gridded)
    sets = tuple(scene.sets.values())
    few = [pmf for pmf in scene.pmfs.values() if isinstance(pmf, SparsePMF)]
    if len(few) == len(widths) and not sets:
        narrow = stack([pmf[:, : scene.context_panels] for pmf in few], dim=1)
        candidates = _stack([pmf[:, scene.context_panels :].dense() for pmf in few])
        return Panels(narrow, candidates, widths, None, sets, pairs, gridded)
    seen, parts = [], []
    for key, shown in scene.pmfs.items():
        pmf, entities = dense(shown), scene.entities.get(key)
        if entities is None or key.component not in positions:
            seen.append(pmf)
            parts.append(pmf)
            continue
        occupied = scene.sets[positions[key.component]]
        seen.append(panel_pmf(entities, occupied))
        parts.append(share_pmf(entities, occupied) if shares else pmf)
    whole, known = _stack(seen), shares and bool(scene.entities)
    context, candidates = whole[:, :, : scene.context_panels], whole[:, :, scene.context_panels :]
    return Panels(context, candidates, widths, _stack(parts) if known else None, sets, pairs, gridded)


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """Jensen-Shannon divergence of PMFs (..., V), in nats; at most log 2."""
    p, q = p.clamp_min(_TINY), q.clamp_min(_TINY)
    middle = (p + q) / 2
    apart = (p * p.log() + q * q.log()) / 2 - middle * middle.log()
    return apart.sum(-1).clamp_min(0)


def unlikelihood(p: Tensor, q: Tensor) -> Tensor:
    """Minus the log of the probability that draws of two PMFs (..., V) are alike; finite also where they exclude it."""
    return -(p * q).sum(-1).add(_CHANCE).log()


def _stack(parts: list[Tensor]) -> Tensor:
    widest = max(part.shape[-1] for part in parts)
    return torch.stack([functional.pad(part, (0, widest - part.shape[-1])) for part in parts], dim=1)

"""Panels whose entities differ: how much better kept entities explain a row than entities drawn anew."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["alike", "kept", "matched", "permuted", "slot_ratios"]


def slot_ratios(occupied: Tensor, pmfs: Tensor, low: int, high: int) -> Tensor:
    """How much more probable what is seen in a slot becomes if its entity, should there be one, has a value.

    Args:
        occupied: (B, P, S) probabilities.
        pmfs: (B, P, S, V) of the entities; mass that is missing is spread evenly.
        low: the first value in use.
        high: the last.

    Returns:
        float64 (B, P, S, W), W = high - low + 1; ones where there is nothing to see.
    """
    inside = pmfs[..., low : high + 1].double()
    size = inside.shape[-1]
    inside = inside + (1 - inside.sum(-1, keepdim=True)).clamp_min(0) / size
    return 1 + occupied.double().unsqueeze(-1) * (size * inside - 1)


def alike(ratios: Tensor) -> Tensor:
    """(B, P, S, W) -> (B, P, W): all entities of a panel share one value."""
    return ratios.prod(2)


def kept(context: Tensor, candidates: Tensor, step: int) -> Tensor:
    """Every entity of a row keeps its own value, and moves on by ``step`` slots from panel to panel.

    Args:
        context: (B, 8, S, W) slot ratios.
        candidates: (B, C, S, W).
        step: 0: the entities stay where they are.

    Returns:
        (B, C) likelihood ratio against entities drawn anew for every panel.
    """

    def panel(index: int) -> Tensor:
        return context[:, index].roll(-step * (index % 3), 1)

    rows = [(panel(3 * r) * panel(3 * r + 1) * panel(3 * r + 2)).mean(-1).prod(-1) for r in range(2)]
    shown = (panel(6) * panel(7)).unsqueeze(1)
    final = (shown * candidates.roll(-2 * step, 2)).mean(-1).prod(-1)
    return (rows[0] * rows[1]).unsqueeze(1) * final


def permuted(occupied: Tensor, ratios: Tensor, seen: int) -> Tensor:
    """The panels of a row hold the same entities in unknown places.

    The sum over all ways to match the entities of two panels is the permanent of their slots' similarities.

    Args:
        occupied: (B, 8 + C, S), context and candidates.
        ratios: (B, 8 + C, S, W) their slot ratios.
        seen: how many of the C candidates are panels; the rest is not seen and gets a ratio of one.

    Returns:
        (B, C) likelihood ratio against entities drawn anew for every panel.
    """
    batch, panels, _ = occupied.shape
    pairs = [(0, 1), (1, 2), (3, 4), (4, 5), (6, 7), *((7, 8 + c) for c in range(seen))]
    one, two = torch.tensor(pairs, device=occupied.device).T
    ratio = matched(occupied[:, one], ratios[:, one], occupied[:, two], ratios[:, two])
    result = torch.ones((batch, panels - 8), dtype=ratio.dtype, device=ratio.device)
    result[:, :seen] = ratio[:, 5:]
    return result * ratio[:, :5].prod(-1, keepdim=True)


def matched(here: Tensor, seen_here: Tensor, there: Tensor, seen_there: Tensor) -> Tensor:
    """Two panels hold the same entities in unknown places.

    Args:
        here: (..., S) probabilities that slots of the one are occupied.
        seen_here: (..., S, W) their slot ratios.
        there: (..., S) of the other.
        seen_there: (..., S, W).

    Returns:
        (...) likelihood ratio against entities drawn anew.
    """
    here, there = here.double(), there.double()
    # The chance that both slots show the same entity, or that both are empty; a slot's ratio minus its empty part is
    # the entity's own.
    one, two = seen_here - (1 - here).unsqueeze(-1), seen_there - (1 - there).unsqueeze(-1)
    both = (one @ two.transpose(-1, -2)) / one.shape[-1]
    neither = (1 - here).unsqueeze(-1) * (1 - there).unsqueeze(-2)
    count = here.sum(-1)
    log_orders = torch.lgamma(count + 1) + torch.lgamma(here.shape[-1] - count + 1)
    return _permanent(both + neither).clamp_min(0) / torch.exp(log_orders)


@lru_cache(maxsize=16)
def _subsets(size: int) -> tuple[Tensor, Tensor]:
    numbers = torch.arange(1, 2**size)
    members = ((numbers[:, None] >> torch.arange(size)) & 1).double()
    signs = 1 - 2 * ((size - members.sum(-1)) % 2)
    return members.T.contiguous(), signs


def _permanent(matrix: Tensor) -> Tensor:
    """(..., S, S) -> (...), by Ryser's sum over the subsets of the columns."""
    members, signs = (part.to(matrix.device) for part in _subsets(matrix.shape[-1]))
    return (matrix @ members).prod(-2) @ signs

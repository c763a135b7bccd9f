"""One formula, read on sets of slots: what is bound is united, what is unbound is taken away, and all may move.

Bound keys count: a slot that two of the panels have is there twice, and one taken away that was not there is there
minus once. Position follows other laws: a union has every slot once, a difference takes away what is there, and the
entities may move on by some slots. So each formula is also read as a bundle that saturates, moved or not, and how well
each reading predicts the complete rows tells which one is meant.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from reasoning.learners.soft.formula import coefficients

__all__ = ["SETS", "read_on_sets"]

SETS = {"bound": (), "saturated": (0,), "rolled": (0, 1, -1, 2, -2)}  # slots by which a saturated bundle may move
_PURE = 0.999  # probability above which a term is its likeliest input

Rows = Sequence[tuple[Tensor, Sequence[int]]]  # of each row: weights (R, T, I) and its I - 1 panels


def read_on_sets(rows: Rows, occupied: Tensor, moves: Sequence[int]) -> Tensor:
    """What the formulas predict where + is union and - is difference; the identity is the empty set.

    Args:
        rows: each row's term weights and the panels that are its inputs.
        occupied: (B, P, S), how likely each slot is occupied.
        moves: slots by which the outcome moves on, round.

    Returns:
        (B, rows, N, R, S), one for each move.
    """
    predicted = torch.stack([_saturate(_plain(weights), occupied[:, list(panels)]) for weights, panels in rows], dim=1)
    return torch.stack([predicted.roll(move, -1) for move in moves], dim=2)


def _saturate(weights: Tensor, occupied: Tensor) -> Tensor:
    """(R, T, I), (B, I - 1, S) -> (B, R, S): in one of the bound terms, and in none of the unbound ones."""
    free = 1 - torch.einsum("rti,bis->brts", weights[..., :-1], occupied)
    bound, unbound = free.chunk(2, dim=2)
    return (1 - bound.prod(2)) * unbound.prod(2)


def _plain(weights: Tensor) -> Tensor:
    """Formulas of pure terms with every input once: what is bound and unbound is neither, twice is once."""
    if weights.requires_grad or bool((weights.amax(-1) <= _PURE).any()):
        return weights
    counts = coefficients(weights).to(weights)
    return torch.cat([torch.diag_embed(sign.clamp(0, 1)) for sign in (counts, -counts)], dim=1)

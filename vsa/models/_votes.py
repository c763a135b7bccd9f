"""Who wins a tie, where bundling is a vote: shared by the models whose bundles are atoms again."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["first_voter"]


def first_voter(entries: int, voters: int, device: torch.device) -> Tensor:
    """For each entry (or block) the voter that is asked first in a tie: (entries,), int64 in [0, voters).

    It is spread over the voters by a hash of the entry's place, so that no voter is favoured; it depends on nothing
    else, so that the same vote has the same result, and binding distributes over it.
    """
    places = torch.arange(1, entries + 1, device=device)
    return (((places * 2654435761) & 0xFFFFFFFF) >> 12) % voters

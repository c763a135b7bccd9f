"""The stored codebooks of a module, found wherever it keeps them."""

from __future__ import annotations

from torch import nn

from vsa import StoredMatrix

__all__ = ["stored_arrays"]


def stored_arrays(module: nn.Module) -> dict[str, list[StoredMatrix]]:
    """What a module and its parts have read so far.

    Args:
        module: a learner or a front-end. Parts that read codebooks say so by a method ``stored()``.

    Returns:
        What it is read for -> the matrices.
    """
    found: dict[str, list[StoredMatrix]] = {}
    for owner in module.modules():
        for part in (owner, *vars(owner).values()):
            stored = getattr(part, "stored", None)
            if callable(stored) and (part is owner or not isinstance(part, nn.Module)):
                for purpose, matrices in stored().items():
                    found.setdefault(purpose, []).extend(matrices)
    return found

"""What is likeliest taken for certain: scenes of the plain solver, beside which uncertain puzzles are judged."""

from __future__ import annotations

import torch

from reasoning.scene import Scene
from reasoning.sparse import PMF, SparsePMF

__all__ = ["sharpened"]


def sharpened(scene: Scene) -> Scene:
    """The likeliest value of every PMF, or that entities differ; the likelier state of every slot."""

    def sharp(pmf: PMF) -> PMF:
        best, value = pmf.max(-1, keepdim=True)
        told = (best > 0) & (best >= 1 - pmf.sum(-1, keepdim=True))
        if isinstance(pmf, SparsePMF):
            return SparsePMF(value, told.to(pmf.dtype), pmf.width)
        return torch.zeros_like(pmf).scatter_(-1, value, 1.0) * told

    return Scene(
        scene.columns,
        {key: sharp(pmf) for key, pmf in scene.pmfs.items()},
        {key: (occupied > 0.5).to(occupied) for key, occupied in scene.sets.items()},
        {key: sharp(pmf) for key, pmf in scene.entities.items()},
        scene.ranges,
    )

"""How well a Scene agrees with the labels: the loss by which any front-end can be taught to see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from datasets.pmf import oracle_pmfs
from reasoning.scene import AttributeKey, Scene
from reasoning.sparse import dense

if TYPE_CHECKING:
    from datasets.arrays import PuzzleArrays

__all__ = ["disagreement"]

_LEAST = 1e-30  # a probability of zero, where a logarithm is taken


def disagreement(scene: Scene, arrays: PuzzleArrays) -> Tensor:
    """Mean cross-entropy between labels and what is seen, over panels, slots and attributes.

    Entities count slot by slot where the scene holds them; otherwise the panel's PMF does. Number follows from Position
    and does not count by itself.

    Args:
        scene: B puzzles.
        arrays: those puzzles.

    Returns:
        A scalar, in nats.
    """
    truth = oracle_pmfs(arrays, mixed="shares", entities=True, magnitudes=True)
    slots = {AttributeKey(*key): torch.from_numpy(value).to(scene.device) for key, value in truth.sets.items()}
    entities = {AttributeKey(*key): torch.from_numpy(value).to(scene.device) for key, value in truth.entities.items()}
    lost = []
    for key, occupied in scene.sets.items():
        there = slots[key].to(occupied.dtype)
        either = torch.stack((occupied, 1 - occupied)).clamp_min(_LEAST).log()
        lost.append(-(there * either[0] + (1 - there) * either[1]).mean())
    for key, pmf in scene.pmfs.items():
        if key.name == "Number" and AttributeKey(key.component, "Position") in scene.sets:
            continue
        if key in scene.entities:
            there = slots[AttributeKey(key.component, "Position")].to(scene.entities[key].dtype)
            logs = scene.entities[key].clamp_min(_LEAST).log()
            wanted = entities[key].to(logs.dtype)
            lost.append(-((wanted * logs).sum(-1) * there).sum() / there.sum().clamp_min(1))
        else:
            logs = dense(pmf).clamp_min(_LEAST).log()
            wanted = torch.from_numpy(truth.pmfs[key.component, key.name]).to(logs.device, logs.dtype)
            lost.append(-(wanted * logs).sum(-1).mean())
    return torch.stack(lost).mean()

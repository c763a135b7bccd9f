"""How long and how fast to train."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Plan", "learning_rate"]


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train, and when to save."""

    epochs: int
    batch_size: int
    lr: float
    weight_decay: float = 0.01
    schedule: str = "constant"
    seed: int = 0
    every_seconds: float = 60.0
    every_epochs: int = 1
    perception_lr: float | None = None  # of a front-end's weights; None: lr
    answers: float = 1.0  # weight of the learner's loss
    labels: float = 0.0  # weight of the front-end's loss of labels


def learning_rate(plan: Plan, step: int, steps: int, lr: float | None = None) -> float:
    """Learning rate of one step; a function of the step, so that nothing of it need be stored.

    Args:
        plan: with ``lr`` and ``schedule``: "constant", or "cosine" (from ``lr`` to 0 over all steps).
        step: from 0.
        steps: of the whole training.
        lr: to start from, instead of the plan's.

    Returns:
        The rate.
    """
    start = plan.lr if lr is None else lr
    if plan.schedule == "cosine":
        return start * 0.5 * (1 + math.cos(math.pi * step / max(steps, 1)))
    return start

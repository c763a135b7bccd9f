"""Names that the panels exclude: a formula that explains the rows may be more general than the rule it is named after.

A sum with any constant explains 2, 3, 3 and 3, 3, 4 alike (-2), and what a row lacks of the sum of the row before
explains 3, 2, 2 and 3, 3, 1; neither is a rule of the grammar. Where panels are seen for certain, they tell.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from datasets.arrays import UNKNOWN
from datasets.rules import SlotSets, Values
from datasets.rules.base import PUBLISHED, rules_named
from datasets.rules.domains import Bools, Domain
from datasets.streams import Ints
from reasoning.distributions.pmfs import lowest_value
from reasoning.learners.base import EXPLAINED, Prediction
from reasoning.scene import AttributeKey, Scene

__all__ = ["domain_of", "keep_possible", "seen"]


def seen(scene: Scene, key: AttributeKey, panels: slice = slice(None)) -> tuple[Tensor, Tensor]:
    """The likeliest thing that each panel shows of an attribute.

    Args:
        scene: B puzzles.
        key: which attribute.
        panels: which panels.

    Returns:
        long (B, P) magnitudes, or sets of slots as bit masks; and how likely each is.
    """
    if key in scene.pmfs:
        best = scene.pmfs[key][:, panels].max(-1)
        return best.indices, best.values
    occupied = scene.sets[key][:, panels]
    bits = 1 << torch.arange(occupied.shape[-1], device=occupied.device)
    return ((occupied > 1 / 2) * bits).sum(-1), torch.maximum(occupied, 1 - occupied).prod(-1)


def domain_of(scene: Scene, key: AttributeKey) -> Domain:
    """What rules relate: the magnitudes of an attribute, or sets of slots.

    Args:
        scene: where it is seen.
        key: which attribute.

    Returns:
        The domain. Whether sums of nothing tell, a scene does not know: they do not.
    """
    if key in scene.sets:
        return SlotSets(scene.sets[key].shape[-1])
    width = scene.pmfs[key].shape[-1]
    return Values(lowest_value(key.name, width), width - 1, white=False)


def keep_possible(prediction: Prediction, scene: Scene, grammar: Iterable[str] = PUBLISHED) -> Prediction:
    """Take back names that the panels exclude, where all of them are seen for certain.

    Args:
        prediction: of B puzzles.
        scene: those puzzles.
        grammar: names of the rules that may be at work.

    Returns:
        The prediction; families that no last panel would make true are UNKNOWN.
    """
    context = slice(scene.context_panels)
    shown = [seen(scene, key, context) for key in prediction.keys]
    values: Ints = torch.stack([value for value, _ in shown], dim=1).cpu().numpy()
    clear: Bools = (torch.stack([share for _, share in shown], dim=1).amin(-1) >= EXPLAINED).cpu().numpy()
    families = prediction.families.cpu().numpy().copy()
    rules = {rule.code: rule for rule in rules_named(grammar)}
    claims = np.where(clear, families, UNKNOWN)
    for column, key in enumerate(prediction.keys):
        for code in rules.keys() & set(claims[:, column].tolist()):
            claimed = np.flatnonzero(claims[:, column] == code)
            fits = rules[code].extends(values[claimed, column], scene.columns, domain_of(scene, key))
            families[claimed[~fits], column] = UNKNOWN
    return replace(prediction, families=torch.from_numpy(families).to(prediction.families.device))

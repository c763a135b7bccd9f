"""Oracle perception: PMFs straight from the labels, exact, smoothed, or under the stress of I-RAVEN-X."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from datasets.panels import Key
from datasets.pmf import attribute_keys, check_options, oracle_pmfs, value_range
from reasoning.perception import PERCEPTIONS
from reasoning.perception.base import Perception
from reasoning.scene import AttributeKey, Scene
from reasoning.sparse import PMF, SparsePMF

if TYPE_CHECKING:
    from datasets.loaders import PuzzleBatch


@PERCEPTIONS.register("oracle")
class Oracle(Perception):
    """PMFs from labels; SparsePMFs where few of many values have mass.

    Args:
        smoothing: width of exp(-|v - v*| / smoothing) around the true value, as ARLC's published runs (0.2); None
            for exact labels.
        epsilon: probability of each other value, as NVSA's published runs (1e-4); None for exact labels.
        stress: "none", "published" or "calibrated" perceptual uncertainty of I-RAVEN-X.
        p_left: lowest probability that stress leaves at the centre value, in (0, 1].
        confounders: whether attributes that no rule governs are passed on.
        mixed: what a panel shows whose entities differ: the "shares" of their values (a bundle, once encoded) or
            "missing" mass (an inconsistent state, as published); None: what the learner asks for.
        seed: of the stress; a puzzle's PMFs depend on the seed and its index, not on its batch.
    """

    def __init__(
        self,
        *,
        smoothing: float | None = None,
        epsilon: float | None = None,
        stress: str = "none",
        p_left: float = 1.0,
        confounders: bool = True,
        mixed: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_options(smoothing, epsilon, stress, p_left, "shares" if mixed is None else mixed)
        self.smoothing, self.epsilon, self.stress = smoothing, epsilon, stress
        self.p_left, self.confounders, self.mixed, self.seed = p_left, confounders, mixed, seed

    def forward(
        self,
        batch: PuzzleBatch,
        *,
        mixed: str = "shares",
        entities: bool = False,
        generator: torch.Generator | None = None,
    ) -> Scene:
        arrays = batch.arrays
        labels = oracle_pmfs(
            arrays,
            smoothing=self.smoothing,
            epsilon=self.epsilon,
            stress=self.stress,
            p_left=self.p_left,
            confounders=self.confounders,
            mixed=self.mixed or mixed,
            entities=entities,
            seed=self.seed,
            magnitudes=True,
            few=True,
        )
        device = batch.target.device

        def moved(parts: Mapping[Key, Any]) -> dict[AttributeKey, torch.Tensor]:
            return {AttributeKey(*key): torch.from_numpy(value).to(device) for key, value in parts.items()}

        dense, pmfs = moved(labels.pmfs), dict[AttributeKey, PMF]()
        for key in (AttributeKey(*key) for key in attribute_keys(arrays, self.confounders)):
            if key in labels.few:
                few = labels.few[key]
                values, weights = (torch.from_numpy(part).to(device) for part in (few.values, few.weights))
                pmfs[key] = SparsePMF(values, weights, few.width)
            else:
                pmfs[key] = dense[key]
        exact = self.smoothing is None and not self.epsilon  # else mass reaches beyond what a component may have
        ranges = {key: value_range(arrays, key) for key in pmfs} if exact else {}
        return Scene(
            columns=labels.columns,
            pmfs=pmfs,
            sets=moved(labels.sets),
            entities=moved(labels.entities),
            ranges=ranges,
        )
